// collector/load/k6.cc: see k6.h.
#include "collector/load/k6.h"

#include <algorithm>
#include <cmath>

#include "collector/load/numbers.h"
#include "collector/load/phases.h"

namespace camprobe::load {
namespace {

constexpr double kLongestMs = 1e9;  // 11 days

// Whether the tags say that an answer came; "0" is k6's status for none.
bool is_answered(const K6Point& point) {
  if (!point.status.empty()) return point.status != "0";
  // 1000..1399: the request failed below HTTP. 14xx, 15xx: an answer with that status. 16xx: HTTP/2 errors.
  if (!point.error_code.empty()) return point.error_code.starts_with("14") || point.error_code.starts_with("15");
  return point.error.empty();
}

std::optional<bool> failed_by_tags(const K6Point& point) {
  if (!point.expected_response.empty()) return point.expected_response == "false";
  if (!point.error_code.empty() || !point.error.empty()) return true;
  if (point.status.empty()) return std::nullopt;
  int status = 0;
  parse_number(point.status, status);
  return status < 100 || status >= 400;
}

// Where in its resolution an instant lies is unknown: take the middle, so that the error is half of it at most.
WallTime middle(const Stamp& stamp) {
  return stamp.resolution >= std::chrono::milliseconds{100} ? stamp.at + stamp.resolution / 2 : stamp.at;
}

}  // namespace

K6Metric k6_metric(std::string_view name) {
  if (name == "http_reqs") return K6Metric::kRequests;
  if (name == "http_req_duration") return K6Metric::kDuration;
  if (name == "http_req_failed") return K6Metric::kFailed;
  if (name == "vus") return K6Metric::kUsers;
  return K6Metric::kOther;
}

bool K6Requests::belongs_to_open(const K6Point& point) const {
  return open_ && open_->time.at == point.time.at;
}

const char* K6Requests::add(const K6Point& point) {
  if (point.metric == K6Metric::kOther) return nullptr;
  if (!std::isfinite(point.value) || point.value < 0) return "the value is not a number from 0 up";
  if (finest_ == Nanoseconds{0} || point.time.resolution < finest_) finest_ = point.time.resolution;
  switch (point.metric) {
    case K6Metric::kOther:
      return nullptr;
    case K6Metric::kUsers:
      series_.add_users(point.time.at, point.value);
      return nullptr;
    case K6Metric::kRequests: {
      close();
      if (point.value > 1e6) return "no single point counts so many requests";
      Open open;
      open.time = point.time;
      open.count = static_cast<std::uint64_t>(point.value);
      open.endpoint = series_.endpoint(point.name.empty() ? point.url : point.name);
      open.part = parts_.endpoint(point.phase.empty() ? point.scenario : point.phase);
      open.answered = is_answered(point);
      open.failed_by_tags = failed_by_tags(point);
      parse_number(point.status, open.status);
      parse_number(point.error_code, open.error_code);
      open.error = point.error.substr(0, ErrorKinds::kLongestKind);
      open_ = open;
      return nullptr;
    }
    case K6Metric::kDuration: {
      if (point.value > kLongestMs) return "the duration is longer than 11 days";
      const Nanoseconds duration{std::llround(point.value * 1e6)};
      if (belongs_to_open(point) && !open_->duration) {
        open_->duration = duration;
      } else if (is_answered(point)) {
        const WallTime sent = middle(point.time) - duration;
        series_.add_latency(sent, series_.endpoint(point.name.empty() ? point.url : point.name), duration);
        series_.cover(point.time.at - duration);
      }
      return nullptr;
    }
    case K6Metric::kFailed: {
      const bool failed = point.value != 0;
      if (belongs_to_open(point) && !open_->failed) {
        open_->failed = failed;
      } else if (failed) {
        series_.add_requests(middle(point.time), series_.endpoint(point.name.empty() ? point.url : point.name), 0, 1);
        ++errors_;
        kinds_.add(point.error);
      }
      return nullptr;
    }
  }
  return nullptr;
}

void K6Requests::close() {
  if (!open_) return;
  const Open open = *open_;
  open_.reset();
  const std::optional<bool> failed = open.failed ? open.failed : open.failed_by_tags;
  errors_unknown_ |= !failed;
  const std::uint64_t errors = failed.value_or(false) ? open.count : 0;
  const Nanoseconds duration = open.duration.value_or(Nanoseconds{0});
  const WallTime sent = middle(open.time) - duration;
  requests_ += open.count;
  errors_ += errors;
  add_kind(open, errors);
  series_.add_requests(sent, open.endpoint, open.count, errors);
  // Without status and error tags, a failure that took no time is one that got no answer.
  const bool answered = open.answered && !(failed.value_or(false) && duration == Nanoseconds{0});
  if (open.duration && answered) series_.add_latency(sent, open.endpoint, duration);
  const WallTime earliest = open.time.at - duration;
  series_.cover(earliest);
  series_.cover(open.time.at);
  if (open.part) {
    parts_.add_requests(sent, open.part, open.count, 0);
    const auto [at, fresh] = part_times_.try_emplace(*open.part, Part{earliest, open.time.at});
    if (!fresh) {
      at->second.from = std::min(at->second.from, earliest);
      at->second.to = std::max(at->second.to, open.time.at);
    }
  }
}

void K6Requests::add_kind(const Open& open, std::uint64_t count) {
  if (count == 0) return;
  if (open.status >= 400) return kinds_.add_status(open.status, count);
  if (!open.error.empty()) return kinds_.add(open.error, count);
  kinds_.add(open.error_code != 0 ? "k6 error " + std::to_string(open.error_code) : std::string(), count);
}

void K6Requests::finish(LoadTimeline& timeline) {
  close();
  timeline.tool = "k6";
  timeline.resolution = finest_;
  timeline.requests = requests_;
  if (!errors_unknown_) timeline.errors = errors_;
  timeline.error_kinds = kinds_.take();
  series_.finish(timeline);
  timeline.latency_basis = timeline.latency.empty() ? LatencyBasis::kNone : LatencyBasis::kSent;
  if (requests_ == 0) timeline.notes.push_back("there is no http_reqs point: k6's other protocols are not read");
  if (errors_unknown_) {
    timeline.notes.push_back(
        "whether a request failed is not in the file (no http_req_failed, expected_response or status)");
  }
  if (requests_ > 0 && finest_ >= std::chrono::seconds{1}) {
    timeline.notes.push_back(
        "times are in whole seconds, so requests are placed to half a second; K6_CSV_TIME_FORMAT=unix_milli makes them "
        "finer");
  }

  // Several scenarios, or phases named by a tag, are the user's own names for parts of the run. They may overlap.
  LoadTimeline parts;
  parts_.finish(parts);
  if (part_times_.size() > 1 || (part_times_.size() == 1 && parts.endpoints.front() != "default")) {
    for (const auto& [part, times] : part_times_) {
      LoadTimeline one;
      one.start = times.from;
      one.end = times.to;
      for (const LoadBucket& bucket : parts.buckets) {
        for (const auto& [index, cell] : bucket.endpoints) {
          if (index == part) one.buckets.push_back({bucket.from, bucket.width, cell, {}});
        }
      }
      if (times.to > times.from) {
        timeline.phases.push_back(
            {parts.endpoints[part], kind_of(parts.endpoints[part], request_rate(one)), times.from, times.to});
      }
    }
    std::stable_sort(timeline.phases.begin(), timeline.phases.end(),
                     [](const LoadPhase& a, const LoadPhase& b) { return a.from < b.from; });
  }
  add_phases(timeline);
}

}  // namespace camprobe::load
