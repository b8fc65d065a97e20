// collector/load/phases.cc: see phases.h for the method.
#include "collector/load/phases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace camprobe::load {
namespace {

constexpr std::size_t kFewestPoints = 10;
constexpr std::size_t kMostPoints = 240;
constexpr std::size_t kMostPieces = 12;
constexpr std::size_t kShortestPiece = 3;
constexpr std::size_t kPointsToSeeJumps = 60;
constexpr std::size_t kLongestSeries = 1 << 22;  // points before thinning; a run with wild gaps has no clear shape
constexpr double kFewestEventsPerPoint = 10;     // fewer, and counting noise alone looks like a shape
constexpr double kClearResidual = 0.2;           // of the peak
constexpr double kRampChange = 0.2;
constexpr double kIdleLevel = 0.02;

struct Piece {
  std::size_t begin, end;  // points
  double first, last;      // of the fitted line
  std::string kind;
  double mean() const { return (first + last) / 2; }
};

// Sums that give the least-squares line over any stretch of points in constant time.
class LineFits {
 public:
  explicit LineFits(const std::vector<double>& y) : x_(1), y_(1), xx_(1), xy_(1), yy_(1) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      const auto x = static_cast<double>(i);
      x_.push_back(x_.back() + x);
      y_.push_back(y_.back() + y[i]);
      xx_.push_back(xx_.back() + x * x);
      xy_.push_back(xy_.back() + x * y[i]);
      yy_.push_back(yy_.back() + y[i] * y[i]);
    }
  }

  struct Line {
    double first, last, residual;  // value at both ends, sum of squared residuals
  };
  Line fit(std::size_t begin, std::size_t end) const {
    const auto n = static_cast<double>(end - begin);
    const double sx = x_[end] - x_[begin], sy = y_[end] - y_[begin];
    const double vxx = xx_[end] - xx_[begin] - sx * sx / n;
    const double vxy = xy_[end] - xy_[begin] - sx * sy / n;
    const double vyy = yy_[end] - yy_[begin] - sy * sy / n;
    const double slope = vxx > 0 ? vxy / vxx : 0;
    const double middle = sy / n, half = slope * (n - 1) / 2;
    return {middle - half, middle + half, std::max(0.0, vyy - slope * vxy)};
  }

 private:
  std::vector<double> x_, y_, xx_, xy_, yy_;
};

double noise_variance(const std::vector<double>& y, double peak, double events_per_level) {
  std::vector<double> bends;  // second differences: variance 6 times that of a point, blind to level and slope
  for (std::size_t i = 1; i + 1 < y.size(); ++i) bends.push_back(std::abs(y[i - 1] - 2 * y[i] + y[i + 1]));
  std::nth_element(bends.begin(), bends.begin() + static_cast<std::ptrdiff_t>(bends.size() / 2), bends.end());
  const double deviation = bends[bends.size() / 2] / 0.6745;
  double variance = std::max(deviation * deviation / 6, 0.03 * peak * 0.03 * peak);
  if (events_per_level > 0) {
    double sum = 0;
    for (const double level : y) sum += level;
    variance = std::max(variance, sum / static_cast<double>(y.size()) / events_per_level);
  }
  return variance;
}

// The best cuts of `y` into straight pieces.
std::vector<Piece> cut(const std::vector<double>& y, double variance) {
  const LineFits fits(y);
  const std::size_t n = y.size();
  const double penalty = 6 * std::log(static_cast<double>(n));
  std::vector<double> best(n + 1, HUGE_VAL);
  std::vector<std::size_t> from(n + 1, 0);
  best[0] = 0;
  for (std::size_t end = kShortestPiece; end <= n; ++end) {
    for (std::size_t begin = 0; begin + kShortestPiece <= end; ++begin) {
      if (best[begin] == HUGE_VAL) continue;
      const double cost = best[begin] + fits.fit(begin, end).residual / variance + penalty;
      if (cost < best[end]) {
        best[end] = cost;
        from[end] = begin;
      }
    }
  }
  std::vector<Piece> pieces;
  for (std::size_t end = n; end > 0; end = from[end]) {
    const LineFits::Line line = fits.fit(from[end], end);
    pieces.push_back({from[end], end, line.first, line.last, {}});
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

void classify(std::vector<Piece>& pieces, double peak, std::size_t points) {
  for (Piece& piece : pieces) {
    if (std::abs(piece.last - piece.first) > kRampChange * peak) {
      piece.kind = "ramp";
    } else {
      piece.kind = piece.mean() < kIdleLevel * peak ? "idle" : "steady";
    }
  }
  // A jump that falls inside a point looks like a ramp of the shortest length: it is where its neighbours meet. So does
  // a burst of connections at either end: it belongs to the neighbour.
  const auto is_jump = [&](std::size_t i) {
    const bool is_short = pieces[i].kind == "ramp" && pieces[i].end - pieces[i].begin <= kShortestPiece;
    return is_short && (i == 0 || pieces[i - 1].kind != "ramp") &&
           (i + 1 == pieces.size() || pieces[i + 1].kind != "ramp");
  };
  for (std::size_t i = 0; points >= kPointsToSeeJumps && pieces.size() > 1 && i < pieces.size();) {
    if (!is_jump(i)) {
      ++i;
      continue;
    }
    const bool is_first = i == 0, is_last = i + 1 == pieces.size();
    const std::size_t meet = is_first  ? pieces[i].begin
                             : is_last ? pieces[i].end
                                       : (pieces[i].begin + pieces[i].end) / 2;
    if (!is_first) pieces[i - 1].end = meet;
    if (!is_last) pieces[i + 1].begin = meet;
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i));
  }
  // One movement, cut in two by a bend, is one phase.
  for (std::size_t i = 1; i < pieces.size();) {
    Piece &before = pieces[i - 1], &piece = pieces[i];
    const bool one_ramp = before.kind == "ramp" && piece.kind == "ramp" &&
                          (before.last > before.first) == (piece.last > piece.first) &&
                          std::abs(piece.first - before.last) < 0.1 * peak;
    const bool one_level =
        before.kind != "ramp" && before.kind == piece.kind && std::abs(piece.mean() - before.mean()) < 0.1 * peak;
    if (one_ramp || one_level) {
      before.end = piece.end;
      before.last = piece.last;
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
    const double around = std::max(pieces[i - 1].mean(), pieces[i + 1].mean());
    if ((pieces[i].end - pieces[i].begin) * 10 <= points && pieces[i].mean() >= 2 * around) pieces[i].kind = "spike";
  }
}

// The buckets' number of users; a bucket without a reading has that of the one before it.
LevelSeries user_levels(const LoadTimeline& timeline) {
  LevelSeries series;
  const auto known = [](const LoadBucket& bucket) { return bucket.all.users.has_value(); };
  const auto first = std::find_if(timeline.buckets.begin(), timeline.buckets.end(), known);
  if (first == timeline.buckets.end()) return series;
  series.from = timeline.buckets.front().from;
  series.width = timeline.buckets.front().width;
  double users = *first->all.users;
  for (const LoadBucket& bucket : timeline.buckets) {
    const auto index = static_cast<std::size_t>((bucket.from - series.from) / series.width);
    if (index >= kLongestSeries) return {};
    while (series.levels.size() < index) series.levels.push_back(users);
    users = bucket.all.users.value_or(users);
    series.levels.push_back(users);
  }
  return series;
}

void clip(std::vector<LoadPhase>& phases, WallTime start, WallTime end) {
  std::erase_if(phases, [&](const LoadPhase& phase) { return phase.to <= start || phase.from >= end; });
  if (phases.empty()) return;
  phases.front().from = start;
  phases.back().to = end;
}

}  // namespace

std::vector<LoadPhase> find_phases(const LevelSeries& series) {
  if (series.levels.empty()) return {};
  std::size_t step = (series.levels.size() + kMostPoints - 1) / kMostPoints;
  if (series.events_per_level > 0) {
    double events = 0;
    for (const double level : series.levels) events += level * series.events_per_level;
    const double points = events / kFewestEventsPerPoint;
    if (!(points >= kFewestPoints)) return {};
    step = std::max(step, static_cast<std::size_t>(static_cast<double>(series.levels.size()) / points));
  }
  if (series.levels.size() / step < kFewestPoints) return {};
  std::vector<double> points;
  for (std::size_t i = 0; i < series.levels.size(); i += step) {
    const std::size_t n = std::min(step, series.levels.size() - i);
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sum += series.levels[i + k];
    points.push_back(sum / static_cast<double>(n));
  }
  const double peak = *std::max_element(points.begin(), points.end());
  if (!(peak > 0) || !std::isfinite(peak)) return {};

  std::vector<Piece> pieces =
      cut(points, noise_variance(points, peak, series.events_per_level * static_cast<double>(step)));
  if (pieces.size() > kMostPieces) return {};
  double residual = 0;
  const LineFits fits(points);
  for (const Piece& piece : pieces) residual += fits.fit(piece.begin, piece.end).residual;
  if (std::sqrt(residual / static_cast<double>(points.size())) > kClearResidual * peak) return {};
  classify(pieces, peak, points.size());

  std::vector<LoadPhase> phases;
  std::map<std::string, int> seen;
  for (const Piece& piece : pieces) {
    const int nth = ++seen[piece.kind];
    const auto at = [&](std::size_t point) {
      return series.from + series.width * static_cast<std::int64_t>(std::min(point * step, series.levels.size()));
    };
    phases.push_back(
        {nth == 1 ? piece.kind : fmt::format("{} {}", piece.kind, nth), piece.kind, at(piece.begin), at(piece.end)});
  }
  return phases;
}

std::string kind_of(const std::string& name, const LevelSeries& series) {
  static constexpr std::pair<const char*, const char*> kWords[] = {
      {"ramp", "ramp"}, {"steady", "steady"}, {"spike", "spike"}, {"idle", "idle"}, {"warm", "warm-up"}};
  std::string lower = name;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const auto& [word, kind] : kWords) {
    if (lower.starts_with(word)) return kind;
  }

  const std::vector<LoadPhase> phases = find_phases(series);
  if (phases.empty()) return "load";
  for (const LoadPhase& phase : phases) {
    if (phase.kind != phases.front().kind) return "load";
  }
  return phases.front().kind;
}

LevelSeries request_rate(const LoadTimeline& timeline) {
  LevelSeries series;
  if (timeline.buckets.empty() || !timeline.start || !timeline.end) return series;
  series.from = timeline.buckets.front().from;
  series.width = timeline.buckets.front().width;
  const double seconds = std::chrono::duration<double>(series.width).count();
  if (!(seconds > 0)) return {};
  series.events_per_level = seconds;
  for (const LoadBucket& bucket : timeline.buckets) {
    const auto index = static_cast<std::size_t>((bucket.from - series.from) / series.width);
    if (index >= kLongestSeries) return {};
    series.levels.resize(std::max(series.levels.size(), index + 1), 0);
    const auto covered = std::min(bucket.from + series.width, *timeline.end) - std::max(bucket.from, *timeline.start);
    const double share = std::chrono::duration<double>(covered) / std::chrono::duration<double>(series.width);
    // Too little of a bucket says nothing about its rate; -1 is filled with its neighbour's below.
    series.levels[index] = share < 0.25 ? -1 : static_cast<double>(bucket.all.requests) / (seconds * share);
  }
  auto& levels = series.levels;
  if (levels.size() > 1 && levels.front() < 0) levels.front() = levels[1];
  if (levels.size() > 1 && levels.back() < 0) levels.back() = levels[levels.size() - 2];
  for (double& level : levels) level = std::max(level, 0.0);
  return series;
}

void add_phases(LoadTimeline& timeline, const LevelSeries& load) {
  if (!timeline.phases.empty() || !timeline.start || !timeline.end || *timeline.end <= *timeline.start) return;
  timeline.phases = find_phases(load);
  if (timeline.phases.empty()) timeline.phases = find_phases(user_levels(timeline));
  if (timeline.phases.empty()) timeline.phases = find_phases(request_rate(timeline));
  clip(timeline.phases, *timeline.start, *timeline.end);
  if (timeline.phases.empty()) timeline.phases.push_back({"load", "load", *timeline.start, *timeline.end});
}

}  // namespace camprobe::load
