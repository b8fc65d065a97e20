// collector/analysis/gauges.cc
#include "collector/analysis/gauges.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace camprobe::analysis {

namespace {

std::vector<GaugePoint> judged_points(const Gauge& gauge, const Stretch& stretch) {
  std::vector<GaugePoint> points;
  for (const auto& p : gauge.points) {
    if (p.at >= stretch.warm_up && p.at <= stretch.end) points.push_back(p);
  }
  return points;
}

// Median of the last eighth less that of the first.
double growth_over(std::span<const GaugePoint> points) {
  if (points.size() < 8) return points.empty() ? 0 : points.back().value - points.front().value;
  const std::size_t part = std::max<std::size_t>(points.size() / 8, 2);
  std::vector<double> first, last;
  for (std::size_t i = 0; i < part; ++i) {
    first.push_back(points[i].value);
    last.push_back(points[points.size() - 1 - i].value);
  }
  return median(std::move(last)) - median(std::move(first));
}

double slope_between(std::span<const GaugePoint> points, double from, double to) {
  std::vector<GaugePoint> part;
  for (const auto& p : points) {
    if (p.at >= from && p.at <= to) part.push_back(p);
  }
  return part.size() < 3 ? 0 : theil_sen(part);
}

}  // namespace

GaugeVerdict judge_gauge(const Gauge& gauge, const Stretch& stretch, double minimum, const Thresholds& k) {
  GaugeVerdict verdict;
  const std::vector<GaugePoint> points = judged_points(gauge, stretch);
  if (points.size() < 12) {
    verdict.verdict = Verdict::kInconclusive;
    verdict.why = "too few points after warm-up";
    verdict.longer_by = 12.0 / static_cast<double>(std::max<std::size_t>(points.size(), 1));
    return verdict;
  }
  const double length = points.back().at - points.front().at;
  const std::vector<GaugePoint> minima = sawtooth_minima(points, k);
  verdict.sawtooth = !minima.empty();
  const std::vector<GaugePoint>& series = verdict.sawtooth ? minima : points;
  verdict.trend = fit_trend(series, k.gauge_alpha, verdict.sawtooth && minima.size() < 20);
  verdict.growth = verdict.sawtooth ? verdict.trend.slope * length : growth_over(points);
  const double level = std::max(std::abs(verdict.trend.mean), 1e-9);
  const double matters = std::max(minimum, verdict.sawtooth ? 0 : k.gauge_min_growth * level);

  if (verdict.growth < matters && verdict.trend.slope * length < matters) {
    // Whether there is a trend or not, it is too small to matter: sure of it only if the interval says so as well.
    verdict.verdict = Verdict::kNone;
    verdict.why = "its growth is below what matters";
    return verdict;
  }
  const Bend bend = find_bend(block_medians(points, 48));
  if (!verdict.sawtooth && bend.found) {
    verdict.since_start = false;
    verdict.since = bend.at;
    verdict.since_interval = bend.interval;
  }
  const std::vector<GaugePoint> blocks = block_medians(points, 12);
  const double begin = points.front().at;
  const double middle = slope_between(points, begin + length / 3, begin + 2 * length / 3);
  const double last = slope_between(points, begin + 2 * length / 3, points.back().at);
  const Saturation saturation = fit_saturation(blocks);
  const bool last_matters = last * length >= 0.5 * matters;
  if (!verdict.sawtooth && !last_matters) {
    verdict.verdict = saturation.better ? Verdict::kSaturating : Verdict::kStep;
    verdict.plateau = saturation.better ? saturation.plateau : points.back().value;
    verdict.why = "it no longer grows";
    return verdict;
  }
  if (!verdict.sawtooth && (saturation.better || last < k.gauge_last_third_slope * middle)) {
    verdict.verdict = Verdict::kSaturating;
    verdict.plateau = saturation.plateau;
    verdict.why = "it grows ever more slowly";
    return verdict;
  }
  // The line's own error says nothing of a series that was flat and then rose: judged since the bend.
  Trend since = verdict.trend;
  if (!verdict.since_start) {
    std::vector<GaugePoint> later;
    for (const auto& p : points) {
      if (p.at >= bend.at) later.push_back(p);
    }
    since = fit_trend(later, k.gauge_alpha);
    if (since.judged) verdict.trend = since;
  }
  if (!since.judged || since.interval.low <= 0) {
    verdict.verdict = Verdict::kInconclusive;
    verdict.longer_by = since.effective_points > 0 ? std::clamp(8 / since.effective_points, 1.5, 8.0) : 4;
    verdict.why = "its ups and downs are as large as its growth";
    return verdict;
  }
  verdict.verdict = Verdict::kLeaks;
  verdict.why = "it grows steadily";
  return verdict;
}

MemoryVerdict judge_memory(const MemoryParts& parts, const Stretch& stretch, const Thresholds& k) {
  MemoryVerdict memory;
  const double minimum = std::max(k.min_growth_share_of_rss * stretch.rss_bytes, k.min_bytes_per_hour);
  memory.rss = judge_gauge(parts.rss, stretch, minimum, k);
  const auto growth = [&](const Gauge& gauge) { return growth_over(judged_points(gauge, stretch)); };
  memory.rss_growth = growth(parts.rss);
  memory.live_growth = growth(parts.live_heap);
  memory.retained_growth = growth(parts.retained);
  memory.stack_growth = growth(parts.stacks);
  memory.mapping_growth = growth(parts.mappings);
  memory.retained_known = !parts.retained.points.empty();
  if (memory.rss.verdict == Verdict::kNone || memory.rss_growth < minimum) return memory;

  const double other = memory.rss_growth - std::max(0.0, memory.live_growth) - std::max(0.0, memory.retained_growth) -
                       std::max(0.0, memory.stack_growth) - std::max(0.0, memory.mapping_growth);
  const std::array<std::pair<double, MemoryGrowth>, 5> shares = {{{memory.live_growth, MemoryGrowth::kLiveHeap},
                                                                  {memory.retained_growth, MemoryGrowth::kRetention},
                                                                  {memory.stack_growth, MemoryGrowth::kStacks},
                                                                  {memory.mapping_growth, MemoryGrowth::kMappings},
                                                                  {other, MemoryGrowth::kOther}}};
  memory.mainly = std::max_element(shares.begin(), shares.end())->second;
  // The live heap is an estimate: what its error covers is no residue.
  if (memory.mainly == MemoryGrowth::kOther && other < 2 * parts.live_heap_error + minimum) {
    memory.mainly = MemoryGrowth::kLiveHeap;
  }
  return memory;
}

}  // namespace camprobe::analysis
