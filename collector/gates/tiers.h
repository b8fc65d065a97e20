// collector/gates/tiers.h
//
// CAM's service tiers as gates: p95 latency, throughput and error rate, and no confirmed leak or degradation. The
// first three must be known; the verdicts count where the run could be judged.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "collector/gates/gate.h"

namespace camprobe::gates {

inline constexpr std::string_view kTierNames = "community, professional, enterprise";

std::optional<std::vector<Gate>> gates_of_tier(std::string_view name);

}  // namespace camprobe::gates
