// suite/recovery.h
//
// After a surge: how long until answers were again as quick as before it. By the second, from the load tool's single
// latencies: usual is the median of the seconds' p95 before the surge, without those of earlier surges; recovered is
// the first of three seconds in a row after it whose p95 is at most a quarter above that (or 2 ms, where that is more)
// and which had no errors.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "suite/engine.h"

namespace camprobe::suite {

struct LoadSecond {
  double at_s = 0;  // when it began, or the phase did
  double p95_ms = 0;
  bool has_errors = false;
};

struct Recovery {
  double usual_ms = 0, worst_ms = 0;
  std::optional<double> seconds;  // from the surge's end; none: not within them
};

// Of the phases before a surge, of its own and of those after it up to the next one, in order; it ended at
// `surge_to_s`. Nothing where there are fewer than three seconds before the surge, or none after it.
std::optional<Recovery> recovery_after(std::vector<LoadSecond> before, const std::vector<LoadSecond>& surge,
                                       const std::vector<LoadSecond>& after, double surge_to_s);

// One for each phase of kind spike, by its name; null where there is none. What cannot be told says why.
nlohmann::ordered_json recovery_json(const RunOutcome& outcome);

}  // namespace camprobe::suite
