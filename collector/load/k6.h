// collector/load/k6.h
//
// What k6's two row formats have in common: from measured points to requests.
//
// For one HTTP request k6 writes nine points that carry the same time, its END: http_reqs, http_req_duration, seven
// parts of the duration and http_req_failed. One request is one http_reqs point; it was sent `duration` before that
// time (the duration leaves out waiting for a connection, connecting and TLS). The points of a request follow one
// another; where they do not (a sorted file), each still counts once, the request then at the time of its end.
//
// Whether a request failed is k6's own judgement: http_req_failed, else the tag expected_response, else the status.
// Where no answer came (a refused connection has status "0" and duration 0) there is no latency.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "collector/load/error_kinds.h"
#include "collector/load/series.h"
#include "collector/load/timeline.h"

namespace camprobe::load {

// The points that are used; everything else in k6's output is passed over.
enum class K6Metric { kOther, kRequests, kDuration, kFailed, kUsers };
K6Metric k6_metric(std::string_view name);

// One row. Absent tags are empty.
struct K6Point {
  K6Metric metric = K6Metric::kOther;
  Stamp time{};
  double value = 0;
  std::string_view name, url, status, error_code, error, expected_response, scenario, phase;
};

class K6Requests {
 public:
  // Returns what is wrong with the point, or nullptr.
  const char* add(const K6Point& point);
  // Ends the timeline: totals, buckets, phases. `timeline` may already hold what was skipped.
  void finish(LoadTimeline& timeline);

 private:
  // A request whose points are still coming.
  struct Open {
    Stamp time{};
    std::uint64_t count = 0;
    std::optional<std::uint32_t> endpoint, part;
    bool answered = true;
    int status = 0, error_code = 0;
    std::string error;
    std::optional<bool> failed_by_tags;
    std::optional<bool> failed;
    std::optional<Nanoseconds> duration;
  };

  void close();
  void add_kind(const Open& open, std::uint64_t count);
  bool belongs_to_open(const K6Point& point) const;

  SeriesBuilder series_;
  ErrorKinds kinds_;
  SeriesBuilder parts_;  // by phase tag or scenario instead of endpoint
  struct Part {
    WallTime from, to;
  };
  std::map<std::uint32_t, Part> part_times_;
  std::optional<Open> open_;
  std::uint64_t requests_ = 0, errors_ = 0;
  bool errors_unknown_ = false;
  Nanoseconds finest_{0};
};

}  // namespace camprobe::load
