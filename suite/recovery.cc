#include "suite/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace camprobe::suite {

std::optional<Recovery> recovery_after(const std::vector<LoadSecond>& seconds, double surge_from_s, double surge_to_s) {
  constexpr std::size_t kInARow = 3;
  std::vector<double> before;
  Recovery out;
  std::vector<const LoadSecond*> after;
  for (const LoadSecond& second : seconds) {
    if (second.at_s + 1 <= surge_from_s + 0.5) before.push_back(second.p95_ms);
    if (second.at_s + 0.5 >= surge_from_s && second.at_s < surge_to_s)
      out.worst_ms = std::max(out.worst_ms, second.p95_ms);
    if (second.at_s >= surge_to_s - 0.5) after.push_back(&second);
  }
  if (before.size() < kInARow || after.empty()) return std::nullopt;
  std::nth_element(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(before.size() / 2), before.end());
  out.usual_ms = before[before.size() / 2];
  const double limit = std::max(1.25 * out.usual_ms, out.usual_ms + 2);
  std::size_t good = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    good = after[i]->p95_ms <= limit && !after[i]->has_errors ? good + 1 : 0;
    // At the run's end fewer are enough only if all that is left is good: that is not known, so it is not taken.
    if (good == kInARow) {
      out.seconds = std::max(0.0, after[i + 1 - kInARow]->at_s - surge_to_s);
      break;
    }
  }
  return out;
}

nlohmann::ordered_json recovery_json(const RunOutcome& outcome) {
  nlohmann::ordered_json list = nullptr;
  std::vector<LoadSecond> seconds;
  for (const load::LoadBucket& bucket : outcome.timeline.buckets) {
    if (bucket.width > std::chrono::seconds(1)) continue;
    if (const auto p95 = bucket.all.latency.quantile(0.95))
      seconds.push_back({static_cast<double>(bucket.from.time_since_epoch().count() - outcome.from_ns) / 1e9,
                         static_cast<double>(*p95) / 1e6, bucket.all.errors > 0});
  }
  for (const PhaseSpan& phase : outcome.phases) {
    if (phase.kind != "spike") continue;
    if (list.is_null()) list = nlohmann::ordered_json::array();
    const double from = static_cast<double>(phase.from_ns - outcome.from_ns) / 1e9,
                 to = static_cast<double>(phase.to_ns - outcome.from_ns) / 1e9;
    const auto recovery = recovery_after(seconds, from, to);
    nlohmann::ordered_json one{
        {"phase", phase.name}, {"usual_p95_ms", nullptr}, {"worst_p95_ms", nullptr}, {"recovery_s", nullptr}};
    if (!recovery) {
      one["text"] = seconds.empty()
                        ? "the load tool gives no latencies by the second: the time of recovery is not known"
                        : "there are fewer than three seconds of load before the surge, or none after it: the time of "
                          "recovery is not known";
    } else {
      one["usual_p95_ms"] = recovery->usual_ms;
      one["worst_p95_ms"] = recovery->worst_ms;
      if (recovery->seconds) one["recovery_s"] = *recovery->seconds;
      one["text"] =
          recovery->seconds
              ? fmt::format("p95 rose from {:.1f} to {:.1f} ms and was back {:.0f} s after the surge",
                            recovery->usual_ms, recovery->worst_ms, *recovery->seconds)
              : fmt::format(
                    "p95 rose from {:.1f} to {:.1f} ms and was not back, for three seconds in a row, within the run",
                    recovery->usual_ms, recovery->worst_ms);
    }
    list.push_back(one);
  }
  return list;
}

}  // namespace camprobe::suite
