// collector/serve/weighted_histogram.h
//
// Durations in a fixed set of buckets, as Prometheus' classic histograms have them: what is counted only grows, and the
// bounds never change, so that a rate over any range and a sum over processes are right. What is counted may be
// estimated (a sampled object stands for many), so counts are held as real numbers and rounded once, when they are
// shown: cumulative counts then grow with the bounds and with time, as they must.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace camprobe::serve {

class WeightedHistogram {
 public:
  // `bounds` in seconds, ascending; they must outlive the histogram.
  explicit WeightedHistogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void add(double seconds, double weight = 1) { add_some(seconds, weight, seconds * weight); }

  // Some that lasted at most `seconds` each and `sum` together; weight and sum may be given apart.
  void add_some(double seconds, double weight, double sum) {
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), seconds);
    counts_[static_cast<std::size_t>(at - bounds_.begin())] += weight;
    sum_ += sum;
  }

  double sum_seconds() const { return sum_; }
  std::uint64_t count() const { return up_to(bounds_.size()); }

  // Calls visit(bound in seconds, how many lasted no longer) for each bound, ascending. The one without a bound is
  // count().
  template <typename Visit>
  void each_bound(Visit visit) const {
    double total = 0;
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      total += counts_[i];
      visit(bounds_[i], rounded(total));
    }
  }

 private:
  static std::uint64_t rounded(double value) { return static_cast<std::uint64_t>(std::min(std::round(value), 1e18)); }
  std::uint64_t up_to(std::size_t last) const {
    double total = 0;
    for (std::size_t i = 0; i <= last; ++i) total += counts_[i];
    return rounded(total);
  }

  std::span<const double> bounds_;
  std::vector<double> counts_;  // one more than bounds
  double sum_ = 0;
};

}  // namespace camprobe::serve
