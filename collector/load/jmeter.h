// collector/load/jmeter.h
//
// What JMeter's two result formats have in common: from samples to requests.
//
// A sample's timeStamp is when it was sent, its elapsed the time to the last byte (JMeter's default; with
// sampleresult.timestamp.start=false stamps are ends, which nothing in the file tells). Whether it failed is JMeter's
// own judgement, assertions included; where that is not in the file, its code. A code that begins with "Non HTTP
// response code" means that no answer came.
//
// A transaction controller writes a sample of its own ("Number of samples in transaction : 2, ..."), the sum of samples
// that are in the file too: it is no request. Only where a file has nothing else (the plan's controllers generate
// parent samples, and the format does not nest) do they count, each as one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collector/load/requests.h"
#include "collector/load/timeline.h"

namespace camprobe::load {

// One sample, as texts: absent ones are empty.
struct JmeterSample {
  std::string_view time, elapsed, label, code, message, success, failure, all_threads;
};

bool is_jmeter_transaction(std::string_view message);

class JmeterSamples {
 public:
  // Returns what is wrong with the sample, or nullptr.
  const char* add(const JmeterSample& sample);
  void finish(LoadTimeline& timeline);

 private:
  RequestSums requests_;
  std::optional<RequestSums> transactions_{std::in_place};  // until the first sample that is none
  std::uint64_t transaction_rows_ = 0;
};

}  // namespace camprobe::load
