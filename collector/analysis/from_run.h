// collector/analysis/from_run.h
//
// The analysis of a recorded run: what it holds as the input of the judgement, and the judgement as a report.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/degradation.h"
#include "collector/analysis/gauges.h"
#include "collector/analysis/input.h"
#include "collector/analysis/leaks.h"
#include "collector/analysis/own_stretches.h"
#include "collector/analysis/proof.h"
#include "run/reader.h"
#include "run/report.h"

namespace camprobe::analysis {

// What the statistics does not need to know of a population and the report does.
struct Origin {
  run::ProcessId process{};
  run::StackId stack{};
  std::string kind;                          // descriptors: accept, connect, file, ...
  std::map<std::string, std::size_t> peers;  // of the descriptors open at the end
};

struct RunInput {
  WorkClock clock;
  std::string work_span;  // where the clock counts spans: which
  Stretch stretch;
  std::vector<OwnStretch> own;  // a population's `stretch` is 0 for the run's, else one more than the index in this
  std::vector<Population> populations;
  std::vector<Origin> origins;  // one a population
  MemoryParts memory;
  ServiceInput service;
  std::optional<ProofPhases> proof;  // of a run with --prove-leak that got to its end
  std::string latency_from;          // load tool | spans, or empty
  double heap_interval = 0;          // mean sampling interval, weighed by samples; 0: heap was not sampled
  double heap_lost_share = 0;
  double neighbours = 0;           // how much more of the machine other programs took late than early, as a share of it
  double idle = 1;                 // late in the run, of the machine's processors
  std::vector<std::string> notes;  // what the input could not give
};

// The run's stretch and then those of `own`, as find_leaks() takes them; and one of these.
std::vector<Stretch> all_stretches(const RunInput& input);
const Stretch& stretch_number(const RunInput& input, std::size_t number);

// Without the service (latencies, CPU by frame and request, spans) it takes a fraction of the memory.
RunInput input_from(run::Reader& reader, const Thresholds& thresholds, bool with_service = true);

// A damaged run gives the report of what could be read; reader.error() then says so.
run::Report analyse(run::Reader& reader, const Thresholds& thresholds = {});
run::Report analyse(run::Reader& reader, const RunInput& input, const Thresholds& thresholds);

// The findings on leaks alone, as analyse() has them: for looks at a run while it is recorded.
std::vector<run::Finding> leaks_in(run::Reader& reader, const Thresholds& thresholds);

run::ReportQuantiles quantiles_of(const run::Histogram& histogram);  // in milliseconds

// CAM's figures from the spans of these parts of the run, which must not overlap.
run::ReportCam cam_figures(run::Reader& reader, const std::vector<run::Slice>& slices);

}  // namespace camprobe::analysis
