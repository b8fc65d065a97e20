// collector/compare/equivalence.cc
#include "collector/compare/equivalence.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "collector/analysis/trend.h"

namespace camprobe::compare {

namespace {

constexpr double kErrorOfMedian = 1.2533;  // over that of the mean, of normal values
constexpr double kFewestEffective = 3;

struct Side {
  double mean = 0, squares = 0, within = 0;  // about the mean; variance within a run
  double n = 0;
};

Side side_of(const std::vector<Level>& levels) {
  Side side;
  side.n = static_cast<double>(levels.size());
  for (const Level& level : levels)
    side.mean += level.value / side.n, side.within += level.error * level.error / side.n;
  for (const Level& level : levels) side.squares += (level.value - side.mean) * (level.value - side.mean);
  return side;
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSame:
      return "same";
    case Outcome::kBetter:
      return "better";
    case Outcome::kWorse:
      return "worse";
    case Outcome::kCannotTell:
      return "cannot tell";
  }
  return "";
}

Level level_of(const std::vector<double>& windows, bool by_mean) {
  Level level;
  const auto n = static_cast<double>(windows.size());
  if (windows.empty()) return level;
  double mean = 0, squares = 0;
  for (const double value : windows) mean += value / n;
  std::vector<double> residuals;
  for (const double value : windows) residuals.push_back(value - mean), squares += (value - mean) * (value - mean);
  level.value = by_mean ? mean : analysis::median(windows);
  if (windows.size() < 3) return level;
  if (squares <= 1e-18 * std::max(1.0, mean * mean) * n) {  // the same in every window
    level.effective = n;
    return level;
  }
  level.effective = analysis::effective_points(n, analysis::corrected_autocorrelation(residuals));
  // The effective number also corrects the variance, which neighbouring values that are alike make look small.
  const double degrees = std::max(level.effective - 1, 0.5);
  const double variance = squares / n * std::max(level.effective, 1.0) / degrees;
  level.error = std::sqrt(variance / std::max(level.effective, 1.0)) * (by_mean ? 1 : kErrorOfMedian);
  return level;
}

Judgement judge(const std::vector<Level>& base, const std::vector<Level>& other, double sign, double minimum,
                double usual_deviation) {
  Judgement result;
  if (base.empty() || other.empty()) {
    result.why = base.empty() ? "the base does not have it" : "only the base has it";
    return result;
  }
  const Side a = side_of(base), b = side_of(other);
  const double observed = a.n + b.n - 2;
  const double within = (a.within * a.n + b.within * b.n) / (a.n + b.n);
  const double prior = usual_deviation * usual_deviation + within;
  const double variance = (kPriorRuns * prior + a.squares + b.squares) / (kPriorRuns + observed);
  result.degrees = kPriorRuns + observed;
  const double t = boost::math::quantile(boost::math::complement(boost::math::students_t(result.degrees), 0.025));
  const double error = std::sqrt(variance * (1 / a.n + 1 / b.n));
  result.change = b.mean - a.mean;
  result.interval = {result.change - t * error, result.change + t * error};
  result.base = {a.mean, t * std::sqrt(variance / a.n), 0};
  result.other = {b.mean, t * std::sqrt(variance / b.n), 0};
  const auto unsure = [](const Level& level) { return level.effective < kFewestEffective; };
  if (std::any_of(base.begin(), base.end(), unsure) || std::any_of(other.begin(), other.end(), unsure)) {
    result.why = "its ups and downs are as long as a run, or the runs are too short for it";
    return result;
  }
  const double low = sign > 0 ? result.interval.low : -result.interval.high;
  const double high = sign > 0 ? result.interval.high : -result.interval.low;
  if (low > minimum) {
    result.outcome = Outcome::kWorse;
  } else if (high < -minimum) {
    result.outcome = Outcome::kBetter;
  } else if (low >= -minimum && high <= minimum) {
    result.outcome = Outcome::kSame;
  } else {
    result.why = base.size() + other.size() > 2 ? "the interval is wider than the smallest change that counts"
                                                : "the interval is wider than the smallest change that counts; more "
                                                  "runs a side would tell";
  }
  return result;
}

}  // namespace camprobe::compare
