// collector/gates/tiers.cc
#include "collector/gates/tiers.h"

#include <fmt/format.h>

#include <array>

namespace camprobe::gates {

namespace {

struct Tier {
  std::string_view name;
  double latency_p95_ms, throughput_rps, error_rate;
};
constexpr std::array<Tier, 3> kTiers = {
    {{"community", 200, 100, 0.001}, {"professional", 100, 500, 0.0005}, {"enterprise", 50, 2000, 0.0001}}};

}  // namespace

std::optional<std::vector<Gate>> gates_of_tier(std::string_view name) {
  for (const Tier& tier : kTiers) {
    if (tier.name != name) continue;
    const auto gate = [&](std::string_view metric, std::optional<double> min, std::optional<double> max,
                          bool missing_passes = false) {
      Gate made;
      made.name = fmt::format("{}: {}", name, metric);
      made.metric = metric_named(metric);
      made.min = min;
      made.max = max;
      made.missing_passes = missing_passes;
      return made;
    };
    Gate throughput = gate("throughput_rps", tier.throughput_rps, std::nullopt);
    throughput.prefers_steady = true;
    return std::vector<Gate>{gate("latency_p95_ms", std::nullopt, tier.latency_p95_ms), throughput,
                             gate("error_rate", std::nullopt, tier.error_rate), gate("leaks", std::nullopt, 0, true),
                             gate("degradations", std::nullopt, 0, true)};
  }
  return std::nullopt;
}

}  // namespace camprobe::gates
