// suite/tool.h
//
// Load tools, and how a scenario that is written once becomes each tool's own command line and file. To add one: write
// tools/<tool>.cc with a `const Tool`, declare it below, list it in tool.cc, and give it a test in
// tests/suite/tool_test.cc.
//
// What a tool cannot do as the suite asks for is told in `notes`, which the report shows; what would make another load
// of it is an error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "run/result.h"
#include "suite/suite.h"

namespace camprobe::suite {

// A stretch of constant load, or of a straight ramp where the tool has ramps.
struct Stage {
  std::string phase, kind;
  double duration_s = 0;
  int users = 0, users_from = 0;          // users_from == users: constant
  std::optional<double> rate, rate_from;  // of all users together
};

struct Work {
  std::string base;  // http://127.0.0.1:8080
  std::vector<Request> requests;
  std::vector<Stage> stages;
  int threads = 1;
  std::string file;       // the tool's own
  std::string directory;  // where its files and results go
};

// One process of a load tool.
struct Invocation {
  std::vector<std::string> arguments;                      // without the program
  std::vector<std::pair<std::string, std::string>> files;  // path and text, to be written before it starts
  std::string results;                                     // the file an adapter of collector/load reads
  bool results_are_stdout = false;
  double cpus = 1;            // how many CPUs it can keep busy
  int most_under_way = 0;     // requests that may be so when its time is over, which it then leaves out of its count
  double starts_after_s = 0;  // into its step
  // The environment a scenario file of the user's own finds its target in.
  std::vector<std::string> environment;
};

// Stages first .. last, driven by processes that run at the same time. None: a pause.
struct Step {
  std::size_t first = 0, last = 0;
  std::vector<Invocation> together;  // in the order in which they start
};

struct Translation {
  std::vector<Step> steps;
  std::vector<std::string> notes;
};

struct Tool {
  const char* name;
  const char* program;
  const char* how_to_get;            // "apt-get install nghttp2-client"
  std::vector<std::string> version;  // arguments that make it print one
  bool takes_file;                   // can be given a script or scenario of its own
  bool has_ramps;                    // else ramps become stairs
  run::Result<Translation> (*translate)(const Work& work);
  // What the user must know of a failure that the tool tells in words of its own; "": nothing more.
  std::string (*explain)(std::string_view said) = nullptr;
};

extern const Tool kH2loadTool, kAutocannonTool, kWrkTool, kArtilleryTool, kK6Tool, kLocustTool, kVegetaTool,
    kJmeterTool;

const std::vector<const Tool*>& all_tools();
std::vector<std::string> tool_names();
const Tool* tool_named(std::string_view name);  // nullptr: there is none
// Where its program is: an npm package of the suite's directory or of one above it, or of the working directory, or a
// name for PATH.
std::string find_program(const Tool& tool, const std::string& suite_directory);

// The phases, times `time_scale` (at least a second each), as stages. Ramps are cut into `stairs` where the tool has
// none.
std::vector<Stage> stages_of(const std::vector<Phase>& phases, double time_scale, bool has_ramps);

// What several tools' translations share.

// Requests as often as they weigh, evenly mixed: a list to be taken in turn.
std::vector<Request> in_turn(const std::vector<Request>& requests);
std::string in_words(const Stage& stage);  // "steady: 50 users, 500 requests/s, 30 s"
// Files and arguments for one process per stage, with `make` filling in the rest.
std::string number_text(double number);  // "12.5", never in exponent notation

}  // namespace camprobe::suite
