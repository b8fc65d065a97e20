// collector/load/ab.cc
//
// What ApacheBench (ab) prints. Its quantiles are whole milliseconds of complete requests. "Failed requests" counts an
// answer whose length differs from the first one's as failed ("Length"): for a server whose answers differ in length
// that is no failure, so errors here are the connect, receive and exception failures and the non-2xx responses. A
// status of 3xx is in the latter too: ab does not tell it from 4xx and 5xx.
#include <algorithm>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/numbers.h"
#include "collector/load/summary.h"

namespace camprobe::load {
namespace {

constexpr std::string_view kBanner = "This is ApacheBench";

class Reader {
 public:
  void add(std::string_view line) {
    if (line.starts_with(kBanner)) {
      end_run();
      is_open_ = true;
      return;
    }
    if (!is_open_) return;
    const auto value = [&](std::string_view label) { return number_behind(line, label); };
    if (line.starts_with("Document Path:")) {
      std::string_view path = line.substr(14);
      run_.endpoint = take_word(path);
    } else if (line.starts_with("Concurrency Level:")) {
      run_.users = value("Concurrency Level:");
    } else if (line.starts_with("Time taken for tests:")) {
      if (const auto seconds = value("Time taken for tests:"); seconds && *seconds < 1e9) {
        run_.duration = Nanoseconds{static_cast<std::int64_t>(*seconds * 1e9)};
      }
    } else if (line.starts_with("Complete requests:")) {
      run_.requests = as_count(value("Complete requests:"));
    } else if (line.starts_with("   (Connect:")) {
      add_errors("connect error", value("Connect:"));
      add_errors("receive error", value("Receive:"));
      add_errors("exception", value("Exceptions:"));
      lengths_ += as_count(value("Length:")).value_or(0);
    } else if (line.starts_with("Non-2xx responses:")) {
      add_errors("not a 2xx status", value("Non-2xx responses:"));
    } else if (line.starts_with("Total of ") && line.find(" requests completed") != std::string_view::npos) {
      is_aborted_ = true;  // ab gives up at the first time-out and prints no statistics
      run_.requests = as_count(value("Total of "));
    } else if (const std::size_t percent = line.find('%'); percent != std::string_view::npos && percent < 8) {
      std::string_view rest = line.substr(0, percent);
      double share = 0;
      if (!parse_number(take_word(rest), share)) return;
      const auto ms = number_behind(line, "%");
      if (share == 50) run_.latency.p50_ms = ms;
      if (share == 95) run_.latency.p95_ms = ms;
      if (share == 99) run_.latency.p99_ms = ms;
      if (share == 100) run_.latency.max_ms = ms;
    }
  }

  run::Result<LoadTimeline> finish(LoadTimeline timeline) {
    end_run();
    if (summaries_.empty()) return run::Error{"ab was stopped before it printed its results"};
    timeline.tool = "ab";
    timeline.resolution = std::chrono::milliseconds{1};
    summaries_.finish(timeline, LatencyBasis::kSent);
    timeline.notes.push_back(
        "ab waits for an answer before it sends the next request: its latencies hide what would have waited behind a "
        "slow "
        "one (coordinated omission)");
    if (lengths_ > 0) {
      timeline.notes.push_back(
          "ab calls answers that differ in length from the first failed: they are not counted as errors");
    }
    if (aborted_any_)
      timeline.notes.push_back("ab gave up in the middle (a time-out): it printed no errors or latencies");
    return timeline;
  }

 private:
  void add_errors(const char* kind, std::optional<double> n) {
    const std::uint64_t count = as_count(n).value_or(0);
    summaries_.kinds.add(kind, count);
    errors_ += count;
  }
  void end_run() {
    if (is_open_ && run_.requests) {
      if (!is_aborted_) run_.errors = std::min(errors_, *run_.requests);
      aborted_any_ |= is_aborted_;
      summaries_.add(std::move(run_));
    }
    run_ = Summary{};
    errors_ = 0;
    is_open_ = is_aborted_ = false;
  }

  Summaries summaries_;
  Summary run_;
  std::uint64_t errors_ = 0, lengths_ = 0;
  bool is_open_ = false, is_aborted_ = false, aborted_any_ = false;
};

bool recognises(std::string_view head) {
  const std::size_t at = head.find(kBanner);
  return at == 0 || (at != std::string_view::npos && head[at - 1] == '\n');
}

}  // namespace

const Adapter kAb{"ab", "ab, as printed", recognises, read_printed<Reader>};

}  // namespace camprobe::load
