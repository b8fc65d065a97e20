// collector/load/jmeter.cc: see jmeter.h.
#include "collector/load/jmeter.h"

#include <fmt/format.h>

#include "collector/load/numbers.h"

namespace camprobe::load {
namespace {

constexpr std::int64_t kLongestMs = 1'000'000'000;  // 11 days

// "500 Internal Server Error", or the exception's class and text: what JMeter's own error table is grouped by.
void add_kind(ErrorKinds& kinds, const JmeterSample& sample) {
  static constexpr std::string_view kNoAnswer = "Non HTTP response code: ";
  if (sample.code.starts_with(kNoAnswer)) return kinds.add(sample.code.substr(kNoAnswer.size()));
  if (!sample.failure.empty()) return kinds.add(sample.failure);
  int status = 0;
  if (parse_number(sample.code, status)) return kinds.add_status(status);
  kinds.add(sample.code.empty() ? sample.message : sample.code);
}

}  // namespace

bool is_jmeter_transaction(std::string_view message) {
  return message.starts_with("Number of samples in transaction");
}

const char* JmeterSamples::add(const JmeterSample& sample) {
  std::uint64_t ms = 0;
  if (!parse_number(sample.time, ms)) {
    return "its timeStamp is not in epoch milliseconds (jmeter.save.saveservice.timestamp_format=ms writes them)";
  }
  const auto sent = since_epoch(ms, std::chrono::milliseconds{1});
  if (!sent) return "its timeStamp is no time in milliseconds since the epoch";
  std::int64_t elapsed = 0;
  if (!parse_number(sample.elapsed, elapsed)) return "its elapsed time is not a whole number";
  if (elapsed < 0 || elapsed > kLongestMs) return "its elapsed time is negative or longer than 11 days";

  RequestSums* into = &requests_;
  if (is_jmeter_transaction(sample.message)) {
    ++transaction_rows_;
    if (!transactions_) return nullptr;
    into = &*transactions_;
  } else {
    transactions_.reset();
  }
  Request request;
  request.sent = *sent;
  request.took = std::chrono::milliseconds{elapsed};
  request.endpoint = into->endpoint(sample.label);
  request.answered = !sample.code.starts_with("Non HTTP response code");
  int status = 0;
  request.failed = !sample.success.empty() ? sample.success != "true"
                                           : !request.answered || (parse_number(sample.code, status) && status >= 400);
  if (request.failed) add_kind(into->kinds, sample);
  into->add(request);
  double users = 0;
  if (parse_number(sample.all_threads, users) && users >= 0 && users < 1e9) into->series.add_users(*sent, users);
  return nullptr;
}

void JmeterSamples::finish(LoadTimeline& timeline) {
  timeline.tool = "jmeter";
  timeline.resolution = std::chrono::milliseconds{1};
  const bool only_transactions = transactions_ && transactions_->requests() > 0;
  if (only_transactions) {
    timeline.notes.push_back("there are only transactions in the file: each is counted as one request");
  } else if (transaction_rows_ > 0) {
    timeline.notes.push_back(
        fmt::format("{} rows are transactions, sums of other rows: they are not counted", transaction_rows_));
  }
  (only_transactions ? *transactions_ : requests_).finish(timeline);
  timeline.notes.push_back(
      "JMeter's threads wait for an answer before they send again: latencies count from when a request was sent, and "
      "hide "
      "what would have waited behind a slow one");
}

}  // namespace camprobe::load
