// collector/load/summary.cc: see summary.h.
#include "collector/load/summary.h"

#include <fmt/format.h>

#include <cmath>

#include "collector/load/numbers.h"

namespace camprobe::load {
namespace {

constexpr double kMostRequests = 281'474'976'710'656;  // 2^48: more is damage, and would not add up
constexpr Nanoseconds kLongestRun = std::chrono::hours{24 * 365};

template <typename T>
std::optional<T> sum(const std::optional<T>& a, const std::optional<T>& b) {
  return a && b ? std::optional<T>(*a + *b) : std::nullopt;
}

}  // namespace

void Summaries::add(Summary summary) {
  if (summary.duration && (*summary.duration <= Nanoseconds{0} || *summary.duration > kLongestRun)) {
    summary.duration.reset();
  }
  if (count_++ == 0) {
    sum_ = std::move(summary);
    return;
  }
  sum_.requests = sum(sum_.requests, summary.requests);
  sum_.errors = sum(sum_.errors, summary.errors);
  sum_.duration.reset();  // what was between them is not known
  sum_.latency = {};
  sum_.users.reset();
  if (sum_.endpoint != summary.endpoint) sum_.endpoint.clear();
}

void Summaries::finish(LoadTimeline& timeline, LatencyBasis basis) {
  timeline.requests = sum_.requests;
  timeline.errors = sum_.errors;
  timeline.error_kinds = kinds.take();
  timeline.duration = sum_.duration;
  timeline.users = sum_.users;
  const Quantiles& latency = sum_.latency;
  if (latency.p50_ms || latency.p95_ms || latency.p99_ms || latency.max_ms) {
    timeline.given = latency;
    timeline.latency_basis = basis;
  }
  if (!sum_.endpoint.empty()) timeline.endpoints.push_back(sum_.endpoint);
  if (count_ > 1) timeline.notes.push_back(fmt::format("{} results in one file: their quantiles do not merge", count_));
  timeline.notes.push_back(
      fmt::format("{} prints a summary: quantiles of the whole run, no series, and no time of day", timeline.tool));
}

std::optional<double> parse_ms(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3'600'000.0}};
  const std::size_t unit_at = text.find_first_not_of("0123456789.");
  if (unit_at == std::string_view::npos) return std::nullopt;
  double value = 0;
  if (!parse_number(text.substr(0, unit_at), value)) return std::nullopt;
  for (const auto& [unit, ms] : kUnits) {
    if (text.substr(unit_at) == unit) return value * ms;
  }
  return std::nullopt;
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

std::optional<double> number_behind(std::string_view line, std::string_view label) {
  const std::size_t at = line.find(label);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(at + label.size());
  std::string_view word = take_word(rest);
  word = word.substr(0, word.find_first_not_of("0123456789."));
  double value = 0;
  return parse_number(word, value) ? std::optional(value) : std::nullopt;
}

std::optional<std::uint64_t> as_count(std::optional<double> number) {
  if (!number || !(*number >= 0 && *number <= kMostRequests)) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

}  // namespace camprobe::load
