// collector/analysis/clock.cc
#include "collector/analysis/clock.h"

#include <algorithm>

namespace camprobe::analysis {

WorkClock::WorkClock(std::vector<WorkPoint> points, WorkSource source) {
  std::stable_sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  for (std::size_t i = 1; i < points.size(); ++i) points[i].total = std::max(points[i].total, points[i - 1].total);
  if (points.size() < 2 || source == WorkSource::kTime) return;
  const Requests all = points.back().total - points.front().total;
  if (all <= 0) return;
  points_ = std::move(points);
  source_ = source;
  // A server answers a few health checks before the load arrives and a few stragglers after it: 0.1 % of the work at
  // either end does not stretch the body.
  body_begin_ = when(points_.front().total + 0.001 * all);
  body_end_ = when(points_.back().total - 0.001 * all);
}

Requests WorkClock::at(Seconds t) const {
  if (points_.empty()) return t;
  if (t <= points_.front().at) return points_.front().total;
  if (t >= points_.back().at) return points_.back().total;
  const auto after =
      std::upper_bound(points_.begin(), points_.end(), t, [](Seconds x, const auto& p) { return x < p.at; });
  const auto before = after - 1;
  const double span = after->at - before->at;
  return span <= 0 ? after->total : before->total + (after->total - before->total) * (t - before->at) / span;
}

Seconds WorkClock::when(Requests total) const {
  if (points_.empty()) return total;
  if (total <= points_.front().total) return points_.front().at;
  const auto after =
      std::lower_bound(points_.begin(), points_.end(), total, [](const auto& p, Requests x) { return p.total < x; });
  if (after == points_.end()) return points_.back().at;
  const auto before = after - 1;
  const double work = after->total - before->total;
  return work <= 0 ? after->at : before->at + (after->at - before->at) * (total - before->total) / work;
}

}  // namespace camprobe::analysis
