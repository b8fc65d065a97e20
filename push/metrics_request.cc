#include "push/metrics_request.h"

#include <fmt/format.h>
#include <snappy.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "collector/serve/exposition.h"
#include "exporters/gzip.h"
#include "push/remote_write.pb.h"

namespace camprobe::push {
namespace {

// Prometheus' stale marker is this very NaN, and no other.
const double kStale = std::bit_cast<double>(std::uint64_t{0x7ff0000000000002});
constexpr std::size_t kMostSamples = 5000;  // in a request of remote write

std::string base64_url(std::string_view text) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string encoded;
  unsigned held = 0, bits = 0;
  for (const char c : text) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) encoded += kDigits[held >> (bits - 6) & 63];
  }
  if (bits > 0) encoded += kDigits[held << (6 - bits) & 63];
  return encoded.empty() ? "=" : encoded;
}

// A value with a slash in it, or none, cannot stand in a path: the Pushgateway takes it as base64.
std::string path_part(const std::string& name, const std::string& value) {
  const bool fits = !value.empty() && value.find('/') == std::string::npos;
  return fits ? fmt::format("/{}/{}", name, percent_encoded(value))
              : fmt::format("/{}@base64/{}", name, base64_url(value));
}

// Calls visit(labels in order, value) for each series that the text format would have, __name__ among the labels.
template <typename Visit>
void each_series(const std::vector<prometheus::MetricFamily>& families, const Labels& more, Visit visit) {
  const auto one = [&](const std::string& name, const prometheus::ClientMetric& metric, const std::string* bound,
                       double value) {
    Labels labels = more;
    labels.emplace_back("__name__", name);
    for (const auto& label : metric.label)
      if (!label.value.empty()) labels.emplace_back(label.name, label.value);
    if (bound != nullptr) labels.emplace_back("le", *bound);
    std::sort(labels.begin(), labels.end());
    visit(std::move(labels), value);
  };
  for (const prometheus::MetricFamily& family : families) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      switch (family.type) {
        case prometheus::MetricType::Counter:
          one(family.name, metric, nullptr, metric.counter.value);
          break;
        case prometheus::MetricType::Gauge:
          one(family.name, metric, nullptr, metric.gauge.value);
          break;
        case prometheus::MetricType::Histogram: {
          bool is_bounded = true;
          for (const auto& bucket : metric.histogram.bucket) {
            is_bounded = bucket.upper_bound != std::numeric_limits<double>::infinity();
            const std::string bound = is_bounded ? fmt::format("{:.16g}", bucket.upper_bound) : "+Inf";
            one(family.name + "_bucket", metric, &bound, static_cast<double>(bucket.cumulative_count));
          }
          const std::string all = "+Inf";
          const auto count = static_cast<double>(metric.histogram.sample_count);
          if (is_bounded) one(family.name + "_bucket", metric, &all, count);
          one(family.name + "_sum", metric, nullptr, metric.histogram.sample_sum);
          one(family.name + "_count", metric, nullptr, count);
          break;
        }
        default:
          break;  // this project has no others
      }
    }
  }
}

}  // namespace

MetricsRequests::MetricsRequests(Receiver receiver, Labels labels)
    : receiver_(std::move(receiver)), labels_(std::move(labels)) {}

std::vector<Parcel> MetricsRequests::at(std::int64_t time_ms, std::vector<prometheus::MetricFamily> families) {
  if (receiver_.kind == ReceiverKind::kRemoteWrite) return remote_write(time_ms, families);
  std::vector<Parcel> parcels;
  if (receiver_.kind == ReceiverKind::kPushgateway)
    parcels.push_back(pushgateway(time_ms, families));
  else
    parcels.push_back(import_text(time_ms, std::move(families)));
  return parcels;
}

std::vector<Parcel> MetricsRequests::end(std::int64_t time_ms) {
  if (receiver_.kind != ReceiverKind::kRemoteWrite) return {};
  return remote_write(time_ms, {});
}

Parcel MetricsRequests::pushgateway(std::int64_t time_ms, const std::vector<prometheus::MetricFamily>& families) const {
  Parcel parcel;
  parcel.method = "PUT";
  parcel.url = receiver_.base + "/metrics";
  for (const auto& [name, value] : labels_)  // the job has to be the first
    if (name == "job") parcel.url += path_part(name, value);
  for (const auto& [name, value] : labels_)
    if (name != "job") parcel.url += path_part(name, value);
  parcel.headers = {"Content-Type: text/plain; version=0.0.4"};
  parcel.body = serve::exposition_text(families);
  parcel.from_ms = parcel.to_ms = time_ms;
  return parcel;
}

Parcel MetricsRequests::import_text(std::int64_t time_ms, std::vector<prometheus::MetricFamily> families) const {
  for (prometheus::MetricFamily& family : families) {
    for (prometheus::ClientMetric& metric : family.metric) {
      metric.timestamp_ms = time_ms;
      for (const auto& [name, value] : labels_) metric.label.push_back({name, value});
    }
  }
  Parcel parcel;
  parcel.url = receiver_.base + "/api/v1/import/prometheus";
  parcel.headers = {"Content-Type: text/plain; version=0.0.4", "Content-Encoding: gzip"};
  parcel.body = exporters::gzipped(serve::exposition_text(families));
  parcel.from_ms = parcel.to_ms = time_ms;
  return parcel;
}

std::vector<Parcel> MetricsRequests::remote_write(std::int64_t time_ms,
                                                  const std::vector<prometheus::MetricFamily>& families) {
  std::vector<Parcel> parcels;
  remote_write::WriteRequest request;
  const auto close = [&] {
    if (request.timeseries_size() == 0) return;
    Parcel parcel;
    parcel.url = receiver_.base + "/api/v1/write";
    parcel.headers = {"Content-Type: application/x-protobuf", "Content-Encoding: snappy",
                      "X-Prometheus-Remote-Write-Version: 0.1.0"};
    const std::string plain = request.SerializeAsString();
    snappy::Compress(plain.data(), plain.size(), &parcel.body);
    parcel.from_ms = parcel.to_ms = time_ms;
    parcels.push_back(std::move(parcel));
    request.Clear();
  };
  const auto add = [&](const Labels& labels, double value) {
    auto* series = request.add_timeseries();
    for (const auto& [name, text] : labels) {
      auto* label = series->add_labels();
      label->set_name(name);
      label->set_value(text);
    }
    auto* sample = series->add_samples();
    sample->set_value(value);
    sample->set_timestamp(time_ms);
    if (static_cast<std::size_t>(request.timeseries_size()) >= kMostSamples) close();
  };
  std::set<Labels> now;
  each_series(families, labels_, [&](Labels labels, double value) {
    add(labels, value);
    now.insert(std::move(labels));
  });
  for (const Labels& gone : series_)
    if (!now.contains(gone)) add(gone, kStale);
  close();
  series_ = std::move(now);
  return parcels;
}

}  // namespace camprobe::push
