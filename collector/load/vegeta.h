// collector/load/vegeta.h
//
// What vegeta's three result encodings (gob, JSON, CSV) have in common: from results to requests.
//
// The timestamp is when the request was sent, the latency counts from there. vegeta sends at a set rate whatever the
// answers (an open loop), so slow answers do not hold back the next request as long as it has workers left
// (-max-workers); with none left, requests are sent late, and neither the file nor the latencies show it. Code 0 is a
// request that got no answer; its latency is the time to the failure.
//
// The endpoint is the method and the URL's path: query strings hold ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/load/requests.h"

namespace camprobe::load {

struct VegetaResult {
  WallTime sent;
  std::int64_t latency_ns = 0;
  int code = 0;
  std::string_view error, method, url;
};

class VegetaResults {
 public:
  // Returns what is wrong with the result, or nullptr.
  const char* add(const VegetaResult& result);
  void finish(LoadTimeline& timeline);

 private:
  RequestSums requests_;
  std::string name_;
};

}  // namespace camprobe::load
