// collector/load/requests.h
//
// What the adapters of tools that write a row for every request have in common: adding the rows up.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collector/load/error_kinds.h"
#include "collector/load/series.h"
#include "collector/load/timeline.h"

namespace camprobe::load {

struct Request {
  WallTime sent;
  std::optional<Nanoseconds> took;  // until its answer, or its failure, came
  std::optional<std::uint32_t> endpoint;
  bool failed = false;
  bool answered = true;  // of one that was not, `took` is no latency
};

// Sums, not rows: memory does not grow with the number of requests (see series.h and error_kinds.h).
class RequestSums {
 public:
  std::optional<std::uint32_t> endpoint(std::string_view name) { return series.endpoint(name); }

  void add(const Request& request) {
    ++requests_;
    errors_ += request.failed;
    series.add(request.sent, request.endpoint, request.failed, request.answered ? request.took : std::nullopt);
    series.cover(request.sent);
    if (request.took) series.cover(request.sent + *request.took);
  }
  std::uint64_t requests() const { return requests_; }

  // Totals, buckets, kinds of errors, latencies counted from `sent`, and phases where there are none.
  void finish(LoadTimeline& timeline);

  SeriesBuilder series;
  ErrorKinds kinds;

 private:
  std::uint64_t requests_ = 0, errors_ = 0;
};

}  // namespace camprobe::load
