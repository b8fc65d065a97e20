// collector/compare/effects.cc
#include "collector/compare/effects.h"

#include <fmt/format.h>

namespace camprobe::compare {

const std::vector<Effect>& all_effects() {
  constexpr double kMiB = 1048576;
  static const std::vector<Effect> kEffects = {
      {"latency_p50_ms", true, 0.05, 0.015, true},
      {"latency_p95_ms", true, 0.05, 0.015, true},
      {"latency_p99_ms", true, 0.10, 0.04, true},
      {"throughput_rps", true, 0.05, 0.01, false},
      {"error_rate", false, 0.001, 0.0003, true},
      {"availability", false, 0.001, 0.0005, true},
      {"cpu_average_cores", true, 0.05, 0.015, true},
      {"cpu_per_request_ms", true, 0.03, 0.015, true},
      {"rss_peak_bytes", true, 0.05, 0.02, true},
      {"rss_growth_bytes_per_hour", false, kMiB, 0.2 * kMiB, true},
      {"heap_peak_bytes", true, 0.05, 0.02, true},
      {"heap_growth_bytes_per_hour", false, kMiB, 0.2 * kMiB, true},
      {"fds_peak", true, 0.10, 0.03, true},
      {"threads_peak", true, 0.10, 0.03, true},
      {"allocations_per_request", true, 0.02, 0.005, false},
      {"allocated_bytes_per_request", true, 0.03, 0.01, false},
      {"arbitration_p50_ms", true, 0.05, 0.015, true},
      {"arbitration_p95_ms", true, 0.05, 0.015, true},
      {"arbitration_p99_ms", true, 0.10, 0.04, true},
      {"consensus_p50_ms", true, 0.05, 0.015, true},
      {"consensus_p95_ms", true, 0.05, 0.015, true},
      {"consensus_p99_ms", true, 0.10, 0.04, true},
      {"provider_switch_rate", false, 0.02, 0.005, false},
      {"cost_optimization_rate", false, 0.02, 0.005, false},
  };
  return kEffects;
}

const Effect* effect_on(std::string_view metric) {
  for (const Effect& effect : all_effects()) {
    if (effect.metric == metric) return &effect;
  }
  return nullptr;
}

std::string effects_table() {
  std::string table =
      "| metric | compared by | smallest change that counts | usual deviation between runs |\n|---|---|---|---|\n";
  for (const Effect& e : all_effects()) {
    const auto amount = [&](double value) {
      return e.is_ratio ? fmt::format("{:g} %", 100 * value) : fmt::format("{:g}", value);
    };
    table += fmt::format("| `{}` | {} | {} | {} |\n", e.metric, e.is_ratio ? "ratio" : "difference", amount(e.minimum),
                         amount(e.usual_deviation));
  }
  return table;
}

}  // namespace camprobe::compare
