// viewer/page_values.h
//
// Values as the page has them: instants in seconds, nothing where nothing is known, numbers no longer than a chart
// needs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace camprobe::viewer {

inline constexpr std::int64_t kSecond = 1'000'000'000;

inline double seconds(std::int64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

template <class Value>
nlohmann::json or_null(const std::optional<Value>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}
nlohmann::json seconds_or_null(const std::optional<std::int64_t>& ns);
nlohmann::json positive_or_null(std::int64_t value);

// Six digits draw a chart; seventeen fill a page. Null where it is no number.
nlohmann::json short_number(double value);

// The next wider bucket, in seconds, that a reader of clocks would choose; and how one says it.
std::int64_t wider(std::int64_t width);
std::string width_text(std::int64_t width);

}  // namespace camprobe::viewer
