#include "suite/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "suite/phase_load.h"

namespace camprobe::suite {

std::optional<Recovery> recovery_after(std::vector<LoadSecond> before, const std::vector<LoadSecond>& surge,
                                       const std::vector<LoadSecond>& after, double surge_to_s) {
  constexpr std::size_t kInARow = 3;
  if (before.size() < kInARow || after.empty()) return std::nullopt;
  Recovery out;
  for (const LoadSecond& second : surge) out.worst_ms = std::max(out.worst_ms, second.p95_ms);
  std::sort(before.begin(), before.end(), [](const auto& a, const auto& b) { return a.p95_ms < b.p95_ms; });
  out.usual_ms = (before[(before.size() - 1) / 2].p95_ms + before[before.size() / 2].p95_ms) / 2;
  const double limit = std::max(1.25 * out.usual_ms, out.usual_ms + 2);
  std::size_t good = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    good = after[i].p95_ms <= limit && !after[i].has_errors ? good + 1 : 0;
    // At the run's end fewer are enough only if all that is left is good: that is not known, so it is not taken.
    if (good == kInARow) {
      out.seconds = std::max(0.0, after[i + 1 - kInARow].at_s - surge_to_s);
      break;
    }
  }
  return out;
}

namespace {

std::vector<LoadSecond> seconds_of(const RunOutcome& outcome, std::size_t phase) {
  std::vector<LoadSecond> seconds;
  for (const load::LoadBucket& bucket : buckets_of_phase(outcome, phase)) {
    if (bucket.width > std::chrono::seconds(1)) continue;
    const std::int64_t from = std::max(bucket.from.time_since_epoch().count(), outcome.phases[phase].from_ns);
    if (const auto p95 = bucket.all.latency.quantile(0.95))
      seconds.push_back(
          {static_cast<double>(from - outcome.from_ns) / 1e9, static_cast<double>(*p95) / 1e6, bucket.all.errors > 0});
  }
  return seconds;
}

}  // namespace

nlohmann::ordered_json recovery_json(const RunOutcome& outcome) {
  nlohmann::ordered_json list = nullptr;
  std::vector<std::vector<LoadSecond>> seconds;
  bool any = false;
  for (std::size_t i = 0; i < outcome.phases.size(); ++i) {
    seconds.push_back(seconds_of(outcome, i));
    any |= !seconds.back().empty();
  }
  for (std::size_t surge = 0; surge < outcome.phases.size(); ++surge) {
    const PhaseSpan& phase = outcome.phases[surge];
    if (phase.kind != "spike") continue;
    if (list.is_null()) list = nlohmann::ordered_json::array();
    std::vector<LoadSecond> before, after;
    for (std::size_t i = 0; i < surge; ++i) {
      if (outcome.phases[i].kind != "spike") before.insert(before.end(), seconds[i].begin(), seconds[i].end());
    }
    for (std::size_t i = surge + 1; i < outcome.phases.size() && outcome.phases[i].kind != "spike"; ++i)
      after.insert(after.end(), seconds[i].begin(), seconds[i].end());
    const double to = static_cast<double>(phase.to_ns - outcome.from_ns) / 1e9;
    const auto recovery = recovery_after(before, seconds[surge], after, to);
    nlohmann::ordered_json one{
        {"phase", phase.name}, {"usual_p95_ms", nullptr}, {"worst_p95_ms", nullptr}, {"recovery_s", nullptr}};
    if (!recovery) {
      one["text"] = !any ? "the load tool gives no latencies by the second: the time of recovery is not known"
                         : "there are fewer than three seconds of load before the surge, or none after it: the time of "
                           "recovery is not known";
    } else {
      one["usual_p95_ms"] = recovery->usual_ms;
      one["worst_p95_ms"] = recovery->worst_ms;
      if (recovery->seconds) one["recovery_s"] = *recovery->seconds;
      one["text"] =
          recovery->seconds
              ? fmt::format("p95 rose from {:.1f} to {:.1f} ms and was back {}", recovery->usual_ms, recovery->worst_ms,
                            *recovery->seconds < 0.5 ? "in the first second after the surge"
                                                     : fmt::format("{:.0f} s after the surge", *recovery->seconds))
              : fmt::format(
                    "p95 rose from {:.1f} to {:.1f} ms and was not back, for three seconds in a row, before "
                    "the next surge or the end",
                    recovery->usual_ms, recovery->worst_ms);
    }
    list.push_back(one);
  }
  return list;
}

}  // namespace camprobe::suite
