// collector/load/command.h
//
// The user's own load command, as given to `camprobe run --load 'CMD'`: which tool it starts, what to add so that the
// tool leaves results that an adapter can read, and where they will be. What the user wrote is never altered or taken
// out; a results file she already asks for is used instead of one of ours.
//
// The command is a shell command line. Found are simple commands anywhere in a list or pipeline (a && b | c; d), behind
// assignments, sudo-like prefixes (env, nice, time, timeout, taskset, ...), behind npx and its like, and inside
// `sh -c '...'`. A tool started from a script is not found, and a results file called "$OUT" not understood: then there
// is nothing to add, and the user names the results file herself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace camprobe::load {

struct LoadCommand {
  std::string tool;           // h2load, k6, wrk, ...
  std::string command;        // the shell command line to run
  std::string added;          // what was added to it; empty: nothing
  std::string results;        // the file that will hold the results, as the command's own directory sees it
  std::string results_below;  // not empty: that is a directory, and the newest file of this name below it is meant
  bool results_are_stdout = false;  // the caller must write the command's standard output to `results`
  bool results_are_text = false;    // and that output is made for people: it is to be shown all the same
  bool results_are_users = false;   // the file was asked for by the user: it is hers to keep
  // An existing results file is appended to (h2load does, >> does): what is in it from before is not this run's.
  bool appends = false;
  // The tool's printed text counts what the results lack (see h2load_summary.h): worth catching where stdout is free.
  bool summary_is_stdout = false;
};

// `results` is where the results should go where the user names no file: an absolute path. Nothing where no tool that
// is known is found.
std::optional<LoadCommand> plan_load_command(std::string_view command, const std::string& results);

}  // namespace camprobe::load
