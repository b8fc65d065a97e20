// push/push.h
//
// `camprobe push` from beginning to end: a recorded run, or what the processes with the probe do right now, to a
// receiver that takes requests instead of scraping. Prints what the user must know to standard error, one line a fact.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace camprobe::push {

struct PushOptions {
  std::string run;      // the file; empty: the processes that run now
  std::string to, url;  // the kind of receiver (receiver.h) and its address
  std::string token_file, ca_file;
  std::string job = "camprobe";
  std::vector<std::string> labels;  // "env=staging"
  std::int64_t every_s = 15;
  std::int64_t patience_s = 600;        // of a run: how long a receiver may be away
  std::size_t keep_at_most = 64 << 20;  // bytes; of a live push
  std::string spool;                    // of a live push: a directory to keep them in; empty: in memory
  std::size_t most_targets = 100;       // of a live push
  pid_t pid = 0;                        // of a live push: this process only; 0: all
  bool is_quiet = false;
};

// The exit code: 0 where the receiver has everything, 2 for what the user can put right, 1 where something is missing.
int push(const PushOptions& options);

}  // namespace camprobe::push
