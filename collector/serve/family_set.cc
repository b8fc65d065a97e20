#include "collector/serve/family_set.h"

namespace camprobe::serve {

prometheus::ClientMetric& FamilySet::add(const MetricName& metric, prometheus::MetricType type, Labels labels) {
  const auto [at, is_new] = by_name_.try_emplace(metric.name, families_.size());
  if (is_new) families_.push_back({metric.name, metric.help, type, {}});
  prometheus::ClientMetric& series = families_[at->second].metric.emplace_back();
  series.label = std::move(labels);
  return series;
}

void FamilySet::counter(const MetricName& metric, Labels labels, double value) {
  add(metric, prometheus::MetricType::Counter, std::move(labels)).counter.value = value;
  ++series_;
}

void FamilySet::gauge(const MetricName& metric, Labels labels, double value) {
  add(metric, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
  ++series_;
}

void FamilySet::histogram(const MetricName& metric, Labels labels, const WeightedHistogram& histogram) {
  prometheus::ClientMetric& series = add(metric, prometheus::MetricType::Histogram, std::move(labels));
  histogram.each_bound([&](double bound, std::uint64_t cumulative) {
    series.histogram.bucket.push_back({cumulative, bound});
    ++series_;
  });
  series.histogram.sample_count = histogram.count();
  series.histogram.sample_sum = histogram.sum_seconds();
  series_ += 3;  // the bucket without a bound, the sum, the count
}

}  // namespace camprobe::serve
