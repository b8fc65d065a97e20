// collector/analysis/degradation.cc
#include "collector/analysis/degradation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "collector/analysis/distributions.h"

namespace camprobe::analysis {

const char* to_string(CostKind kind) {
  switch (kind) {
    case CostKind::kP50:
      return "p50";
    case CostKind::kP95:
      return "p95";
    case CostKind::kP99:
      return "p99";
    case CostKind::kCpu:
      return "cpu";
    case CostKind::kErrors:
      return "errors";
  }
  return "";
}

namespace {

double mean_of(std::span<const GaugePoint> points, double from, double to) {
  double sum = 0, n = 0;
  for (const auto& p : points) {
    if (p.at >= from && p.at < to) sum += p.value, n += 1;
  }
  return n > 0 ? sum / n : 0;
}

std::size_t count_in(std::span<const GaugePoint> points, double from, double to) {
  return static_cast<std::size_t>(
      std::count_if(points.begin(), points.end(), [&](const auto& p) { return p.at >= from && p.at < to; }));
}

// Residuals about whichever of a line, one step and one bend lies closest: what is left is noise, not change.
struct Shape {
  std::vector<double> residuals;
  double squares = std::numeric_limits<double>::infinity();
  bool is_step = false;
  Seconds at = 0;
};

double keep_if_closer(Shape& best, std::span<const GaugePoint> points, const std::vector<double>& x, bool is_step,
                      Seconds at) {
  const auto n = static_cast<double>(points.size());
  double mx = 0, my = 0, xx = 0, xy = 0;
  for (std::size_t i = 0; i < points.size(); ++i) mx += x[i] / n, my += points[i].value / n;
  for (std::size_t i = 0; i < points.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    xy += (x[i] - mx) * (points[i].value - my);
  }
  const double slope = xx > 0 ? xy / xx : 0;
  double squares = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double e = points[i].value - my - slope * (x[i] - mx);
    squares += e * e;
  }
  if (squares < best.squares) {
    best.squares = squares;
    best.is_step = is_step;
    best.at = at;
    best.residuals.clear();
    for (std::size_t i = 0; i < points.size(); ++i)
      best.residuals.push_back(points[i].value - my - slope * (x[i] - mx));
  }
  return squares;
}

Shape closest_shape(std::span<const GaugePoint> points, Interval& since) {
  Shape best;
  const std::size_t n = points.size();
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = points[i].at;
  keep_if_closer(best, points, x, false, points.front().at);
  const std::size_t margin = std::max<std::size_t>(2, n / 12);
  std::vector<std::pair<Seconds, double>> tried;
  for (std::size_t c = margin; c + margin <= n; ++c) {
    for (std::size_t i = 0; i < n; ++i) x[i] = i >= c ? 1 : 0;
    const double step = keep_if_closer(best, points, x, true, points[c].at);
    for (std::size_t i = 0; i < n; ++i) x[i] = std::max(0.0, points[i].at - points[c].at);
    const double bend = keep_if_closer(best, points, x, false, points[c].at);
    tried.emplace_back(points[c].at, std::min(step, bend));
  }
  since = {best.at, best.at};
  for (const auto& [at, squares] : tried) {
    if (static_cast<double>(n) * std::log(std::max(squares, 1e-12) / std::max(best.squares, 1e-12)) > 3.84) continue;
    since.low = std::min(since.low, at);
    since.high = std::max(since.high, at);
  }
  return best;
}

class Comparer {
 public:
  Comparer(const ServiceInput& service, const Stretch& stretch, const Thresholds& thresholds)
      : service_(service), stretch_(stretch), k_(thresholds) {
    const double length = stretch.end - stretch.warm_up;
    early_ = {stretch.warm_up, stretch.warm_up + length / 3};
    late_ = {stretch.end - length / 3, stretch.end};
    const double shortness = std::clamp(k_.long_run_seconds / std::max(stretch.end - stretch.begin, 1.0), 1.0, 1e9);
    // Between a long run and one of a minute, in proportion to the logarithm.
    factor_ = 1 + (k_.short_run_factor - 1) * std::min(1.0, std::log(shortness) / std::log(k_.long_run_seconds / 60));
  }

  Degradation run() {
    compare_load();
    std::vector<CostChange> tested;
    if (!result_.same_load) {
      CostChange change;
      change.verdict = Verdict::kInconclusive;
      change.why = "the load was higher late in the run than early: nothing to compare at the same load";
      result_.changes.push_back(change);
      return std::move(result_);
    }
    if (!result_.mix_changed) {
      judge_latency(service_.all, tested);
      judge_cpu(tested);
      judge_errors(service_.all, tested);
    }
    if (service_.endpoints.size() > 1) {
      for (const LatencySeries& endpoint : service_.endpoints) {
        judge_latency(endpoint, tested);
        judge_errors(endpoint, tested);
      }
    }
    result_.judged = tested.size();
    keep_discoveries(tested);
    return std::move(result_);
  }

 private:
  void compare_load() {
    const auto rate = [&](const Interval& part) {
      double requests = 0, seconds = 0;
      for (const auto& p : service_.all.points) {
        if (p.at >= part.low && p.at + p.width <= part.high + 1e-9) requests += p.requests, seconds += p.width;
      }
      return seconds > 0 ? requests / seconds : 0;
    };
    const double early = rate(early_), late = rate(late_);
    if (early <= 0 || late <= 0) {
      result_.same_load = false;
      return;
    }
    fall_ = std::log(early / late);
    result_.load_change = late / early - 1;
    result_.same_load = late <= (1 + k_.same_load) * early;

    std::map<std::string, std::pair<double, double>> mix;
    double all_early = 0, all_late = 0;
    for (const auto& endpoint : service_.endpoints) {
      for (const auto& p : endpoint.points) {
        if (p.at >= early_.low && p.at < early_.high)
          mix[endpoint.endpoint].first += p.requests, all_early += p.requests;
        if (p.at >= late_.low && p.at < late_.high) mix[endpoint.endpoint].second += p.requests, all_late += p.requests;
      }
    }
    if (all_early <= 0 || all_late <= 0) return;
    double overlap = 0;
    for (const auto& [name, share] : mix) overlap += std::sqrt(share.first / all_early * share.second / all_late);
    result_.mix_changed = std::sqrt(std::max(0.0, 1 - overlap)) > k_.mix_distance;
  }

  // Logarithms of a quantile over windows wide enough for it; empty where the run is too thin.
  std::vector<GaugePoint> quantile_windows(const LatencySeries& series, double q) const {
    std::vector<GaugePoint> windows;
    run::Histogram merged;
    double begin = -1, end = 0;
    for (const auto& p : series.points) {
      if (p.at < stretch_.warm_up || p.at + p.width > stretch_.end + 1e-9) continue;
      if (p.latency.empty()) {
        const double ms = q == 0.5 ? p.p50_ms : q == 0.95 ? p.p95_ms : p.p99_ms;
        if (ms > 0) windows.push_back({p.at + p.width / 2, std::log(ms)});
        continue;
      }
      if (begin < 0) begin = p.at;
      merged.merge(p.latency);
      end = p.at + p.width;
      if (static_cast<double>(merged.count()) * (1 - q) < k_.tail_events) continue;
      const double ms = static_cast<double>(*merged.quantile(q)) / 1e6;
      if (ms > 0) windows.push_back({0.5 * (begin + end), std::log(ms)});
      merged = {};
      begin = -1;
    }
    return windows;
  }

  // `effect` relative, already fit for the length of the run. Values are logarithms.
  CostChange compare(const std::vector<GaugePoint>& windows, double effect, CostKind kind,
                     const std::string& endpoint) const {
    CostChange change;
    change.kind = kind;
    change.endpoint = endpoint;
    const double n1 = static_cast<double>(count_in(windows, early_.low, early_.high));
    const double n2 = static_cast<double>(count_in(windows, late_.low, late_.high + 1e-9));
    change.windows = static_cast<double>(windows.size());
    if (n1 < 4 || n2 < 4) {
      change.verdict = Verdict::kInconclusive;
      change.why = "too few requests for this quantile in a run of this length";
      return change;
    }
    const Shape shape = closest_shape(windows, change.since_interval);
    const double r = corrected_autocorrelation(shape.residuals);
    const double effective = effective_points(change.windows, r);
    change.effective_windows = effective;
    const double df = effective - 3;  // two levels and where they part
    const double early = mean_of(windows, early_.low, early_.high),
                 late = mean_of(windows, late_.low, late_.high + 1e-9);
    change.early = std::exp(early);
    change.late = std::exp(late);
    change.ratio = std::exp(late - early);
    if (df < 2) {
      change.verdict = Verdict::kInconclusive;
      change.why = "its ups and downs are as long as the run";
      return change;
    }
    const double variance = shape.squares / change.windows * effective / df;
    const double error = std::sqrt(variance * (1 / effective_points(n1, r) + 1 / effective_points(n2, r))) + 1e-12;
    const double wide = student_t_above(df, k_.degradation_alpha / 2) * error;
    const double usual = student_t_above(df, 0.025) * error;
    change.ratio_interval = {std::exp(late - early - usual), std::exp(late - early + usual)};
    const double threshold = std::log1p(effect);
    // One-sided, against the minimum effect and not against zero: "worse by more than that".
    change.p_value = student_t_tail(df, (late - early - threshold) / error);
    const double length = stretch_.end - stretch_.warm_up;
    const double last_quarter = mean_of(windows, stretch_.end - length / 4, stretch_.end + 1e-9);
    const double last_eighth_count =
        static_cast<double>(count_in(windows, stretch_.end - length / 8, stretch_.end + 1e-9));
    const double last_eighth = mean_of(windows, stretch_.end - length / 8, stretch_.end + 1e-9);
    const bool persists =
        last_quarter - early > threshold && (last_eighth_count < 1 || last_eighth - early > threshold);
    change.since = shape.at;
    if (late - early - wide > threshold && persists) {
      change.confirmed = true;
      change.verdict = shape.is_step ? Verdict::kStep : Verdict::kLeaks;
    } else if (late - early > threshold) {
      change.verdict = Verdict::kInconclusive;
      change.open = persists && change.ratio_interval.low > 1;
      change.why =
          persists ? "worse by more than the minimum, but not beyond its own ups and downs" : "worse for a while only";
    }
    return change;
  }

  void judge_latency(const LatencySeries& series, std::vector<CostChange>& tested) const {
    struct Question {
      CostKind kind;
      double q, effect;
    };
    for (const Question& ask :
         {Question{CostKind::kP50, 0.5, k_.p50_effect}, Question{CostKind::kP95, 0.95, k_.p95_effect},
          Question{CostKind::kP99, 0.99, k_.p99_effect}}) {
      const std::vector<GaugePoint> windows = quantile_windows(series, ask.q);
      if (windows.empty()) continue;
      CostChange change = compare(windows, factor_ * ask.effect, ask.kind, series.endpoint);
      if (change.confirmed && change.late - change.early < k_.min_latency_ms) {
        change.confirmed = false;
        change.verdict = Verdict::kNone;
      }
      if (change.late - change.early < k_.min_latency_ms) change.open = false;
      tested.push_back(std::move(change));
    }
  }

  // Requests finished in each second of the CPU series.
  double requests_in(Seconds from, Seconds to) const {
    double sum = 0;
    for (const auto& p : service_.all.points) {
      const double overlap = std::min(to, p.at + p.width) - std::max(from, p.at);
      if (overlap > 0 && p.width > 0) sum += p.requests * overlap / p.width;
    }
    return sum;
  }

  // Windows of whole recorded points, which may be of ten seconds or a minute in a long run: a window that cuts them
  // holds now two, now three of them, and that is no noise of the program's.
  Seconds window_of_points(Seconds wanted) const {
    std::vector<double> spacing;
    for (std::size_t i = 1; i < service_.cpu.size(); ++i) {
      spacing.push_back(service_.cpu[i].at - service_.cpu[i - 1].at);
    }
    const Seconds point = std::max(1.0, median(std::move(spacing)));
    return point * std::max(1.0, std::round(wanted / point));
  }
  Seconds first_point() const {
    const auto first = std::find_if(service_.cpu.begin(), service_.cpu.end(),
                                    [&](const auto& p) { return p.at >= stretch_.warm_up - 1e-9; });
    return first == service_.cpu.end() ? stretch_.warm_up : first->at;
  }

  std::vector<GaugePoint> per_request(std::span<const GaugePoint> nanoseconds, Seconds width) const {
    std::vector<GaugePoint> values;
    for (Seconds from = first_point(); from + width <= stretch_.end + 1e-9; from += width) {
      double sum = 0;
      for (const auto& p : nanoseconds) {
        if (p.at >= from - 1e-9 && p.at < from + width - 1e-9) sum += p.value;
      }
      const double requests = requests_in(from, from + width);
      if (requests > 0) values.push_back({from + width / 2, sum / requests});
    }
    return values;
  }

  void judge_cpu(std::vector<CostChange>& tested) {
    if (service_.cpu.empty()) return;
    // As many windows as there are seconds, up to a few hundred: the fewer, the more the bias of r costs.
    const Seconds width = window_of_points((stretch_.end - stretch_.warm_up) / 240);
    std::vector<GaugePoint> windows = per_request(service_.cpu, width);
    std::erase_if(windows, [](const auto& p) { return p.value <= 0; });
    if (windows.size() < 12) return;
    for (auto& p : windows) p.value = std::log(p.value);
    const double effect = std::expm1(std::log1p(factor_ * k_.cpu_effect) + 0.5 * std::max(0.0, fall_));
    CostChange change = compare(windows, effect, CostKind::kCpu, "");
    if (change.confirmed) change.culprits = find_culprits(change.late - change.early);
    tested.push_back(std::move(change));
  }

  // Frames are counted with everything they call, so every caller of the culprit grew as much; the most specific frame
  // of the program's own that carries the share is the one to name, and the others are its context.
  std::vector<Culprit> find_culprits(double growth) const {
    std::vector<Culprit> culprits;
    const Seconds width = window_of_points(std::max(2.0, (stretch_.end - stretch_.warm_up) / 24));
    for (const CpuSeries& frame : service_.frames) {
      const std::vector<GaugePoint> windows = per_request(frame.nanoseconds, width);
      if (windows.size() < 9) continue;
      Culprit culprit{frame.frame, frame.name, 0, mean_of(windows, early_.low, early_.high),
                      mean_of(windows, late_.low, late_.high + 1e-9)};
      culprit.of_library = frame.of_library;
      const double rise = culprit.late - culprit.early;
      culprit.share = growth > 0 ? rise / growth : 0;
      double squares = 0, n = 0;
      for (const auto& p : windows) {
        const double middle = p.at < early_.high ? culprit.early : culprit.late;
        if (p.at >= early_.high && p.at < late_.low) continue;
        squares += (p.value - middle) * (p.value - middle);
        n += 1;
      }
      const double error = n > 2 ? std::sqrt(squares / (n - 2) * 4 / n) : std::numeric_limits<double>::infinity();
      if (culprit.share >= k_.culprit_share && rise > 3 * error) culprits.push_back(culprit);
    }
    std::sort(culprits.begin(), culprits.end(), [](const auto& a, const auto& b) {
      return std::pair(a.of_library, a.late) < std::pair(b.of_library, b.late);
    });
    if (culprits.size() > 8) culprits.resize(8);
    return culprits;
  }

  void judge_errors(const LatencySeries& series, std::vector<CostChange>& tested) const {
    double requests[2] = {0, 0}, errors[2] = {0, 0};
    std::vector<double> shares;
    for (const auto& p : series.points) {
      for (const int part : {0, 1}) {
        const Interval& when = part == 0 ? early_ : late_;
        if (p.at < when.low || p.at + p.width > when.high + 1e-9) continue;
        requests[part] += p.requests;
        errors[part] += p.errors;
      }
    }
    if (requests[0] < 100 || requests[1] < 100) return;
    CostChange change;
    change.kind = CostKind::kErrors;
    change.endpoint = series.endpoint;
    change.early = errors[0] / requests[0];
    change.late = errors[1] / requests[1];
    change.ratio = change.early > 0 ? change.late / change.early : 0;
    // Errors come in bursts: a third of the windows must hold them before their sum is more than one burst.
    double with_errors = 0, windows = 0;
    for (const auto& p : series.points) {
      if (p.at < late_.low || p.at + p.width > late_.high + 1e-9) continue;
      windows += 1;
      with_errors += p.errors > 0 ? 1 : 0;
    }
    const double pooled = (errors[0] + errors[1]) / (requests[0] + requests[1]);
    const double error = std::sqrt(std::max(pooled * (1 - pooled), 1e-12) * (1 / requests[0] + 1 / requests[1]));
    const double z = (change.late - change.early - k_.error_rate_effect) / error;
    change.p_value = normal_tail(z);
    change.windows = change.effective_windows = windows;
    change.since = late_.low;
    change.since_interval = {early_.high, late_.low};
    if (z > 4 && change.late > 2 * change.early && 3 * with_errors >= windows) {
      change.confirmed = true;
      change.verdict = Verdict::kStep;
    }
    tested.push_back(std::move(change));
  }

  void keep_discoveries(std::vector<CostChange>& tested) {
    std::vector<double> p_values;
    for (const CostChange& change : tested) p_values.push_back(change.p_value);
    const std::vector<bool> found = benjamini_hochberg(p_values, k_.degradation_false_discovery);
    bool cpu_rose = false, cpu_judged = false;
    for (std::size_t i = 0; i < tested.size(); ++i) {
      if (tested[i].confirmed && !found[i]) {
        tested[i].confirmed = false;
        tested[i].verdict = Verdict::kInconclusive;
        tested[i].why = "worse, but one such among so many comparisons is chance";
      }
      if (tested[i].kind != CostKind::kCpu) continue;
      cpu_judged = tested[i].effective_windows >= 5;
      cpu_rose = tested[i].confirmed || tested[i].ratio > 1 + 0.5 * factor_ * k_.cpu_effect;
    }
    for (CostChange& change : tested) {
      const bool latency =
          change.kind == CostKind::kP50 || change.kind == CostKind::kP95 || change.kind == CostKind::kP99;
      change.waiting = latency && change.confirmed && cpu_judged && !cpu_rose;
      if (change.verdict != Verdict::kNone) result_.changes.push_back(change);
    }
    std::stable_sort(result_.changes.begin(), result_.changes.end(),
                     [](const auto& a, const auto& b) { return a.confirmed > b.confirmed; });
  }

  const ServiceInput& service_;
  const Stretch& stretch_;
  const Thresholds& k_;
  Interval early_, late_;
  double factor_ = 1, fall_ = 0;
  Degradation result_;
};

}  // namespace

Degradation find_degradation(const ServiceInput& service, const Stretch& stretch, const Thresholds& thresholds) {
  return Comparer(service, stretch, thresholds).run();
}

}  // namespace camprobe::analysis
