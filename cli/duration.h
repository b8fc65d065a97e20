// cli/duration.h: "90", "90s", "15m", "1h30m" and "2d" on the command line, as a CLI11 transformation into seconds.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace camprobe::cli {

// Nothing where the text is no time, or one of more than a hundred years.
inline std::optional<std::int64_t> seconds_of(std::string_view text) {
  constexpr std::int64_t kLongest = std::int64_t{100} * 366 * 86400;
  std::int64_t all = 0;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits > 10) return std::nullopt;
    std::int64_t number = 0;
    for (const char digit : text.substr(0, digits)) number = 10 * number + (digit - '0');
    text.remove_prefix(digits);
    std::int64_t unit = 1;
    if (!text.empty()) {
      const char name = text.front();
      unit = name == 's' ? 1 : name == 'm' ? 60 : name == 'h' ? 3600 : name == 'd' ? 86400 : 0;
      if (unit == 0) return std::nullopt;
      text.remove_prefix(1);
    }
    if (number > kLongest / unit) return std::nullopt;
    all += number * unit;
    if (all > kLongest) return std::nullopt;
  }
  return all;
}

// For an option bound to a number of seconds, at least so many.
inline CLI::Validator duration_from(std::int64_t least) {
  return CLI::Validator(
      [least](std::string& text) -> std::string {
        const auto seconds = text.empty() ? std::nullopt : seconds_of(text);
        if (!seconds) return text + " is no time: give one like 90, 90s, 15m or 2h";
        if (*seconds < least) return text + " is too short";
        text = std::to_string(*seconds);
        return {};
      },
      "");
}

}  // namespace camprobe::cli
