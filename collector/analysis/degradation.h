// collector/analysis/degradation.h
//
// Does the same load cost more late in the run than early? Latency quantiles, CPU per request, errors; per endpoint.
//
// The first and the last third after warm-up are compared on the logarithm of window values. Windows are as wide as the
// quantile needs. Their noise is autocorrelated, so its size is taken about the best of a line, a step and a bend, and
// counted with the effective number of windows (trend.h): a Welch test on raw windows flags 7 % of quiet series at
// phi = .5 and 36 % at .95 for a nominal .5 %. A difference counts if the lower end of its interval exceeds a minimum
// effect and it is still there in the last quarter.
//
// "Same load" is no more requests a second than before. In a closed loop a slower server lowers the rate, and less load
// with more latency is degradation all the more; for CPU per request, whose fixed part weighs more on fewer requests,
// half of the fall is added to the minimum effect.
#pragma once

#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "collector/analysis/survival.h"
#include "collector/analysis/trend.h"

namespace camprobe::analysis {

enum class CostKind { kP50, kP95, kP99, kCpu, kErrors };
const char* to_string(CostKind);

struct Culprit {
  std::uint64_t frame = 0;
  std::string name;
  double share = 0;            // of the growth of CPU per request
  double early = 0, late = 0;  // nanoseconds a request, with everything it called
  bool of_library = false;
};

struct CostChange {
  CostKind kind = CostKind::kP50;
  std::string endpoint;
  Verdict verdict = Verdict::kNone;  // kStep: rose once and stayed; kLeaks: goes on rising; kNone; kInconclusive
  bool confirmed = false;
  bool open = false;           // worse beyond chance, but not surely by more than the minimum: no innocent verdict
  double early = 0, late = 0;  // ms, ns a request, or share of errors
  double ratio = 1;
  Interval ratio_interval;  // 95 %
  double p_value = 1;
  Seconds since = 0;
  Interval since_interval;
  double windows = 0, effective_windows = 0;
  bool waiting = false;           // latency rose, CPU per request did not
  std::vector<Culprit> culprits;  // kCpu
  std::string why;                // where it could not be judged
};

struct Degradation {
  std::vector<CostChange> changes;  // confirmed ones first; then what could not be judged
  std::size_t judged = 0;           // comparisons made
  bool same_load = true;
  bool mix_changed = false;
  double load_change = 0;  // late over early requests a second, less one
};

Degradation find_degradation(const ServiceInput& service, const Stretch& stretch, const Thresholds& thresholds);

}  // namespace camprobe::analysis
