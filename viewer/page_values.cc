// viewer/page_values.cc: see page_values.h.
#include "viewer/page_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace camprobe::viewer {

using nlohmann::json;

json seconds_or_null(const std::optional<std::int64_t>& ns) {
  return ns ? json(seconds(*ns)) : json();
}
json positive_or_null(std::int64_t value) {
  return value > 0 ? json(value) : json();
}

json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  const double scale = std::pow(10, 6 - std::ceil(std::log10(std::abs(value))));
  const double rounded = scale >= 1 ? std::round(value * scale) / scale : std::round(value / (1 / scale)) * (1 / scale);
  if (std::abs(rounded) < 9e15 && rounded == std::floor(rounded)) return static_cast<std::int64_t>(rounded);
  return rounded;
}

std::int64_t wider(std::int64_t width) {
  static constexpr std::array<std::int64_t, 14> kWidths{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200};
  const auto* next = std::upper_bound(kWidths.begin(), kWidths.end(), width);
  return next == kWidths.end() ? width * 2 : *next;
}

std::string width_text(std::int64_t width) {
  if (width % 3600 == 0) return fmt::format("{} h", width / 3600);
  if (width % 60 == 0) return fmt::format("{} min", width / 60);
  return fmt::format("{} s", width);
}

}  // namespace camprobe::viewer
