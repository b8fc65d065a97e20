// collector/gates/limit.cc
#include "collector/gates/limit.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

namespace camprobe::gates {

namespace {

using Suffixes = std::vector<std::pair<std::string_view, double>>;

const Suffixes& suffixes_of(std::string_view unit) {
  static const Suffixes kTime = {{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"s", 1000}, {"m", 60'000}};
  static const Suffixes kBytes = {{"MiB", 1048576.0}, {"B", 1},    {"KiB", 1024.0}, {"GiB", 1073741824.0},
                                  {"kB", 1e3},        {"MB", 1e6}, {"GB", 1e9},     {"bytes", 1}};
  static const Suffixes kShare = {{"%", 0.01}};
  static const Suffixes kRate = {{"/s", 1}, {"rps", 1}, {"per second", 1}};
  static const Suffixes kCores = {{"cores", 1}, {"%", 0.01}};
  static const Suffixes kNone;
  if (unit == "ms") return kTime;
  if (unit.starts_with("bytes")) return kBytes;
  if (unit == "ratio") return kShare;
  if (unit == "per second") return kRate;
  if (unit == "cores") return kCores;
  return kNone;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

run::Result<double> limit_of(std::string_view text, std::string_view unit) {
  const std::string_view written = trimmed(text);
  const Suffixes& suffixes = suffixes_of(unit);
  const auto wrong = [&] {
    std::string example =
        suffixes.empty() ? "" : fmt::format(" or one with its unit, like \"5 {}\"", suffixes[0].first);
    return run::Error{fmt::format("\"{}\" is no limit: give a number ({}){}", written.substr(0, 60), unit, example)};
  };
  double number = 0;
  const auto [rest, failed] = std::from_chars(written.data(), written.data() + written.size(), number);
  if (failed != std::errc() || !std::isfinite(number)) return wrong();
  std::string_view suffix = trimmed(written.substr(static_cast<std::size_t>(rest - written.data())));
  if (unit.ends_with("per hour") && suffix.ends_with("/h")) suffix = trimmed(suffix.substr(0, suffix.size() - 2));
  double factor = 1;
  if (!suffix.empty()) {
    factor = 0;
    for (const auto& [name, worth] : suffixes) {
      if (name == suffix) factor = worth;
    }
    if (factor == 0) return wrong();
  } else if (unit == "ratio" && std::abs(number) > 1) {
    return run::Error{fmt::format("{0} is no share: write \"{0} %\" or {1}", written, number / 100)};
  }
  return number * factor;
}

}  // namespace camprobe::gates
