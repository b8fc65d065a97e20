// suite/conduct.h
//
// A suite from its file to its report: which runs it is made of and in which order, each measured and judged, all of
// them compared, and the directory that holds it all.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "run/result.h"
#include "suite/engine.h"
#include "suite/suite.h"

namespace camprobe::suite {

struct Wishes {
  double time_scale = 1;
  std::optional<int> users;
  std::optional<double> duration_s;  // of the whole load: phases keep their proportions
  std::optional<double> rate;
  std::string scenario, tool;
  std::optional<int> repeats;
  bool stops_when_decided = false;
  double checkpoint_s = 60;
  std::string directory;         // "": camprobe-suites/NAME-YYYYmmdd-HHMMSS
  bool resumes = false;          // what is unfinished in `directory` (unfinished.h)
  std::string tier, gates_file;  // where `gates` come from
  bool is_quiet = false, has_bar = false;
  std::vector<gates::Gate> gates;  // instead of the suite's
};

// The suite with the wishes in it, each told in a sentence. The error says what cannot be.
run::Result<std::vector<std::string>> apply(const Wishes& wishes, Suite& suite);

// Runs in order: for each repeat all variants once, shuffled, so that a slow minute of the machine meets all alike.
std::vector<RunPlan> runs_of(const Suite& suite, const std::string& directory);

// Seconds of load of all runs together.
double planned_seconds(const Suite& suite, double time_scale);

struct Conducted {
  int exit_code = 0;
  std::string directory;
};
// `started_at`: of the suite that is gone on with.
Conducted conduct(Suite suite, const Wishes& wishes, std::string started_at = "");

// Files and names: a path, or a name of a suite in one of `directories`.
run::Result<std::vector<Suite>> find_suites(const std::string& name, const std::vector<std::string>& directories);
std::vector<std::string> suite_directories();

}  // namespace camprobe::suite
