// run/comparison.h
//
// What a comparison of runs says, as plain values: the analysis fills it, exporters picture it. to_json() is the
// contract `camprobe.comparison/1` that docs/comparison.schema.json describes.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "run/report.h"

namespace camprobe::run {

inline constexpr const char* kComparisonSchema = "camprobe.comparison/1";

struct ComparedRun {
  std::string file, run_id, started_at, host;
  double seconds = 0, requests_per_second = 0;
};

struct ComparedFigure {
  std::string metric, endpoint, unit;  // endpoint "": all together
  std::string verdict;                 // same | better | worse | cannot tell
  std::optional<Estimate> base, other;
  std::optional<Estimate> change;  // of a ratio or a difference, by `is_ratio`; 95 %
  bool is_ratio = true;            // change.value 0.1: 10 % more
  double minimum = 0;              // smaller changes are the same
  std::string why;                 // where it cannot be told
};

struct ComparedStack {
  std::string kind;                 // cpu | alloc
  std::vector<std::string> frames;  // root first
  double share = 0;                 // of the side that has it
  std::int64_t samples = 0;
};

struct ComparedFinding {
  std::string id, title;
};

struct Comparison {
  std::string verdict;  // same | better | worse | cannot tell
  std::string summary;
  std::vector<ComparedRun> base, other;
  bool same_load = true;
  std::string load;  // a sentence
  double base_requests_per_second = 0, other_requests_per_second = 0, mix_distance = 0;
  std::vector<ComparedFigure> figures;  // worse first
  std::vector<ComparedStack> new_stacks, vanished_stacks;
  std::vector<ComparedFinding> new_findings, gone_findings;
  std::vector<std::string> notes;
};

nlohmann::ordered_json to_json(const Comparison& comparison);

}  // namespace camprobe::run
