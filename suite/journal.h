// suite/journal.h
//
// What a run has done so far, a line of JSON for each thing, written as it happens: so that a run which was broken off,
// by Ctrl-C or with its whole suite, goes on where it was. Only endurance runs keep one; others are made anew.
#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "suite/engine.h"

namespace camprobe::suite {

// What an adapter reads of a load tool's process, and what that printed.
struct ToolResult {
  std::string file, printed;
  std::int64_t began_ns = 0;  // wall clock, for tools that print none
  int phase = -1;             // that it ran for: an index of the run's phases; -1: for several, or not known any more
};

// Stages first .. last of an attempt, as far as they came.
struct StepSpan {
  std::size_t first = 0, last = 0;
  std::int64_t began_ns = 0, ended_ns = 0;
};

// From where the load began to where it was broken off.
struct Attempt {
  double done_s = 0;  // of the whole load, when it began
  std::vector<StepSpan> steps;
  std::int64_t server = 0;       // requests it had counted at the last checkpoint
  bool is_in_recording = false;  // it ended in order: the recording holds its load
};

struct Earlier {
  std::vector<Attempt> attempts;
  double done_s = 0;         // seconds of the load that are over
  std::int64_t from_ns = 0;  // wall clock, of the load
  std::vector<ToolResult> results;
  std::size_t results_in_recording = 0;
  std::vector<Second> seconds;
  std::vector<std::pair<std::int64_t, std::string>> events;
};

class Journal {
 public:
  void open(const std::string& path) { file_.open(path, std::ios::app); }
  bool is_open() const { return file_.is_open(); }
  void put(const nlohmann::ordered_json& line);  // nothing where it is not open

  // What an earlier suite wrote; a last line that was not finished is left out. Nothing done where there is no file.
  static Earlier read(const std::string& path);

 private:
  std::ofstream file_;
};

// The same load without its first `done_s` seconds: a ramp begins where it was.
std::vector<Stage> without_first(const std::vector<Stage>& stages, double done_s);

}  // namespace camprobe::suite
