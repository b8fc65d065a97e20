// suite/recovery.h
//
// After a surge: how long until answers were again as quick as before it. By the second, from the load tool's single
// latencies: usual is the median of the seconds' p95 before the surge; recovered is the first of three seconds in a row
// after it whose p95 is at most a quarter above that (and no more than 2 ms where that is less) and which had no
// errors.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "suite/engine.h"

namespace camprobe::suite {

struct LoadSecond {
  double at_s = 0;
  double p95_ms = 0;
  bool has_errors = false;
};

struct Recovery {
  double usual_ms = 0, worst_ms = 0;
  std::optional<double> seconds;  // from the surge's end; none: not within the run
};

// Nothing where there are fewer than three seconds before the surge, or none after it.
std::optional<Recovery> recovery_after(const std::vector<LoadSecond>& seconds, double surge_from_s, double surge_to_s);

// One for each phase of kind spike, by its name; null where there is none. What cannot be told says why.
nlohmann::ordered_json recovery_json(const RunOutcome& outcome);

}  // namespace camprobe::suite
