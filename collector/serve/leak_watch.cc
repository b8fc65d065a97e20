#include "collector/serve/leak_watch.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "collector/analysis/thresholds.h"

namespace camprobe::serve {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

LeakState state_of(const analysis::GaugeVerdict& verdict) {
  switch (verdict.verdict) {
    case analysis::Verdict::kLeaks:
      return LeakState::kSuspected;
    case analysis::Verdict::kSaturating:
    case analysis::Verdict::kStep:
      return LeakState::kSettling;
    case analysis::Verdict::kNone:
      return LeakState::kNone;
    case analysis::Verdict::kInconclusive:
      break;
  }
  return LeakState::kInconclusive;
}

}  // namespace

const char* text_of(LeakResource resource) {
  constexpr std::array kTexts = {"heap", "descriptors", "threads", "mappings"};
  static_assert(kTexts.size() == kLeakResources);
  return kTexts[static_cast<std::size_t>(resource)];
}

const char* text_of(LeakState state) {
  constexpr std::array kTexts = {"too_early", "none", "settling", "inconclusive", "suspected"};
  static_assert(kTexts.size() == kLeakStates);
  return kTexts[static_cast<std::size_t>(state)];
}

LeakWatch::LeakWatch() : seconds_to_limit_(kNever) {}

void LeakWatch::History::add(double at, double value) {
  if (at < next_at) return;
  std::vector<analysis::GaugePoint>& points = gauge.points;
  if (points.size() >= kMostPoints) {
    if (step < kLongestStep) {
      step = std::max(2 * step, (points.back().at - points.front().at) / (kMostPoints / 2.0));
      for (std::size_t i = 0; i + 1 < points.size(); i += 2)
        points[i / 2] = {(points[i].at + points[i + 1].at) / 2, (points[i].value + points[i + 1].value) / 2};
      points.resize(points.size() / 2);
    } else {
      points.erase(points.begin());
    }
  }
  points.push_back({at, value});
  next_at = at + step;
}

void LeakWatch::add(double at, const Levels& levels) {
  last_ = levels;
  const auto keep = [&](History& history, const std::optional<double>& level) {
    if (level) history.add(at, *level);
  };
  const auto of = [&](LeakResource resource) -> History& { return histories_[static_cast<std::size_t>(resource)]; };
  keep(of(LeakResource::kHeap), levels.heap_bytes);
  keep(of(LeakResource::kDescriptors), levels.descriptors);
  keep(of(LeakResource::kThreads), levels.threads);
  keep(of(LeakResource::kMappings), levels.mapping_bytes);
  keep(resident_, levels.resident_bytes);
}

analysis::GaugeVerdict LeakWatch::verdict_on(const History& history, double minimum) const {
  const analysis::Thresholds k;
  const std::vector<analysis::GaugePoint>& points = history.gauge.points;
  analysis::Stretch stretch;
  stretch.begin = points.front().at;
  stretch.end = points.back().at;
  stretch.warm_up = stretch.begin + k.warm_up_share * (stretch.end - stretch.begin);
  return analysis::judge_gauge(history.gauge, stretch, minimum, k);
}

void LeakWatch::judge() {
  const analysis::Thresholds k;
  const auto is_long_enough = [&](const History& history) {
    const std::vector<analysis::GaugePoint>& points = history.gauge.points;
    return !points.empty() && points.back().at - points.front().at >= k.early_first_look;
  };
  const double least_bytes =
      std::max(k.min_growth_share_of_rss * last_.resident_bytes.value_or(0), k.min_bytes_per_hour);
  // What an estimate's error makes of nothing is no growth.
  const std::array<double, kLeakResources> least = {least_bytes + 4 * last_.heap_error, k.min_survivors_exact,
                                                    k.min_survivors_exact, least_bytes};
  for (std::size_t i = 0; i < kLeakResources; ++i) {
    if (is_long_enough(histories_[i])) states_[i] = state_of(verdict_on(histories_[i], least[i]));
  }
  seconds_to_limit_ = kNever;
  if (!is_long_enough(resident_) || !last_.resident_bytes || last_.memory_limit_bytes <= 0) return;
  const analysis::GaugeVerdict resident = verdict_on(resident_, least_bytes);
  if (resident.verdict == analysis::Verdict::kLeaks && resident.trend.slope > 0)
    seconds_to_limit_ = std::max(0.0, last_.memory_limit_bytes - *last_.resident_bytes) / resident.trend.slope;
}

std::size_t LeakWatch::points() const {
  std::size_t sum = resident_.gauge.points.size();
  for (const History& history : histories_) sum += history.gauge.points.size();
  return sum;
}

}  // namespace camprobe::serve
