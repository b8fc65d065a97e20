// collector/compare/run_summary.h
//
// A run as far as a comparison needs it: every compared metric with its error, the load, the heavy stacks, the
// findings. Small enough to be kept in git (baseline.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "collector/compare/equivalence.h"
#include "run/reader.h"

namespace camprobe::compare {

struct Figure {
  std::string metric, endpoint;  // "": all together
  Level level;                   // on the scale of effects.h
};

struct HeavyStack {
  std::string kind;                 // cpu | alloc
  std::vector<std::string> frames;  // function names, root first
  double weight = 0;                // ns or bytes
  std::int64_t samples = 0;
};

struct SummedFinding {
  std::string id, title;
  bool confirmed = false;
};

struct RunSummary {
  std::string file, run_id, started_at, host, camprobe_version;
  std::vector<std::string> command;
  double seconds = 0, requests = 0, requests_per_second = 0;
  std::string latency_basis;
  std::map<std::string, double> mix;  // share of requests by endpoint
  std::vector<Figure> figures;
  std::map<std::string, double> stack_totals;  // by kind: samples of all stacks, light ones too
  std::vector<HeavyStack> stacks;              // heaviest first, by kind; those below kLightest of all are left out
  std::vector<SummedFinding> findings;
  bool leaks_judged = false;
};

inline constexpr double kLightest = 0.001;
inline constexpr std::size_t kMostStacks = 300;  // of a kind

RunSummary summary_of(run::Reader& reader);

}  // namespace camprobe::compare
