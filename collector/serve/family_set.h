// collector/serve/family_set.h
//
// Metric families while they are filled: each is named, described and typed where its first series is added, and shown
// in that order.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collector/serve/metric_names.h"
#include "collector/serve/weighted_histogram.h"

namespace camprobe::serve {

using Labels = std::vector<prometheus::ClientMetric::Label>;

class FamilySet {
 public:
  void counter(const MetricName& metric, Labels labels, double value);
  void gauge(const MetricName& metric, Labels labels, double value);
  void histogram(const MetricName& metric, Labels labels, const WeightedHistogram& histogram);

  // Lines of samples so far: what Prometheus stores as series.
  std::size_t series() const { return series_; }
  std::vector<prometheus::MetricFamily> take() && { return std::move(families_); }

 private:
  prometheus::ClientMetric& add(const MetricName& metric, prometheus::MetricType type, Labels labels);

  std::vector<prometheus::MetricFamily> families_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::size_t series_ = 0;
};

// `more` behind `labels`.
inline Labels with(const Labels& labels, std::initializer_list<prometheus::ClientMetric::Label> more) {
  Labels all = labels;
  all.insert(all.end(), more);
  return all;
}

}  // namespace camprobe::serve
