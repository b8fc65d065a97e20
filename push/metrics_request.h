// push/metrics_request.h
//
// Metrics at one instant as the requests that hand them over:
//
//   Pushgateway       PUT /metrics/job/JOB/instance/INSTANCE/...: the text format; what was pushed before under the
//   same
//                     labels is replaced. Without timestamps, which it refuses.
//   VictoriaMetrics   POST /api/v1/import/prometheus: the text format with timestamps in milliseconds, gzip.
//   remote write      POST /api/v1/write: Prometheus' WriteRequest (proto/remote_write.proto), snappy. Of series that
//   are
//                     gone a stale marker, so that queries do not go on with their last value for five minutes.
//
// Job, instance and the user's labels are on every series; at a Pushgateway they are the grouping key.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "push/parcel.h"
#include "push/receiver.h"

namespace camprobe::push {

class MetricsRequests {
 public:
  // `labels` with job and instance among them.
  MetricsRequests(Receiver receiver, Labels labels);

  // Instants in order. A receiver may get an instant in several requests, one after the other.
  std::vector<Parcel> at(std::int64_t time_ms, std::vector<prometheus::MetricFamily> families);
  // There will be no more: remote write says of each series that it has ended.
  std::vector<Parcel> end(std::int64_t time_ms);

 private:
  Parcel pushgateway(std::int64_t time_ms, const std::vector<prometheus::MetricFamily>& families) const;
  Parcel import_text(std::int64_t time_ms, std::vector<prometheus::MetricFamily> families) const;
  std::vector<Parcel> remote_write(std::int64_t time_ms, const std::vector<prometheus::MetricFamily>& families);

  Receiver receiver_;
  Labels labels_;
  std::set<Labels> series_;  // of remote write: those of the last instant, labels in order
};

}  // namespace camprobe::push
