// run/units.cc
#include "run/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace camprobe::run {

namespace {

// Three significant digits without an exponent, thousands in groups.
std::string three_digits(double value) {
  if (!std::isfinite(value)) return "?";
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size < 0.001) return fmt::format("{:.1e}", value);
  if (size < 999.5) {
    const int decimals = size < 1 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
    std::string text = fmt::format("{:.{}f}", value, decimals);
    if (decimals > 0) {
      while (text.back() == '0') text.pop_back();
      if (text.back() == '.') text.pop_back();
    }
    return text;
  }
  std::string digits = fmt::format("{:.0f}", size);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return (value < 0 ? "-" : "") + digits;
}

}  // namespace

std::string in_bytes(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 1023.5 && unit + 1 < kUnits.size()) bytes /= 1024, ++unit;
  return three_digits(unit == 0 ? std::round(bytes) : bytes) + " " + kUnits[unit];
}

std::string in_count(double count) {
  return three_digits(count);
}

std::string in_seconds(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0) return "-" + in_seconds(-seconds);
  if (seconds < 1e-3) return three_digits(seconds * 1e6) + " us";
  if (seconds < 1) return three_digits(seconds * 1e3) + " ms";
  if (seconds < 10) return three_digits(seconds) + " s";
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600)
    return whole % 60 == 0 ? fmt::format("{} m", whole / 60) : fmt::format("{} m {} s", whole / 60, whole % 60);
  if (whole < 48LL * 3600) {
    const auto minutes = whole / 60;
    return minutes % 60 == 0 ? fmt::format("{} h", minutes / 60) : fmt::format("{} h {} m", minutes / 60, minutes % 60);
  }
  return three_digits(seconds / 86400) + " days";
}

std::string at_time(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string in_percent(double share) {
  return three_digits(100 * share) + " %";
}

std::string in_unit(double value, std::string_view unit) {
  if (unit == "bytes") return in_bytes(value);
  if (unit == "ms") return in_seconds(value / 1e3);
  if (unit == "ns") return in_seconds(value / 1e9);
  if (unit == "ratio") return in_percent(value);
  if (unit == "cores") return in_count(value) + (value == 1 ? " core" : " cores");
  if (unit == "bytes per hour") return in_bytes(value) + "/h";
  if (unit == "per hour") return in_count(value) + "/h";
  if (unit == "per second") return in_count(value) + "/s";
  return in_count(value);
}

}  // namespace camprobe::run
