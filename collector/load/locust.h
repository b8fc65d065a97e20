// collector/load/locust.h: what Locust's figures may be, in its history and in its totals.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collector/load/numbers.h"

namespace camprobe::load {

inline constexpr std::uint64_t kMostLocustRequests = std::uint64_t{1} << 48;

// Milliseconds; nothing for "N/A".
inline std::optional<double> locust_ms(std::string_view text) {
  double value = 0;
  return parse_number(text, value) && value >= 0 && value < 1e12 ? std::optional(value) : std::nullopt;
}

}  // namespace camprobe::load
