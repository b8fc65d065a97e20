// collector/load/wrk.cc
//
// What wrk prints, and wrk2, which prints the same with a latency spectrum:
//   Running 10s test @ http://127.0.0.1:8080/
//     2 threads and 20 connections
//     Thread Stats   Avg      Stdev     Max   +/- Stdev
//       Latency     4.81ms    2.33ms  14.06ms   57.55%
//     Latency Distribution                                 (wrk --latency)
//        50%    4.92ms
//     41557 requests in 10.01s, 7.97MB read
//     Socket errors: connect 0, read 3, write 0, timeout 12
//     Non-2xx or 3xx responses: 404
//
// A request that ended in a connect, read or write error is not in the number of requests. One that took longer than
// the time-out is, once it came: it is an error, and no request more. wrk waits for an answer before it sends the next
// request; wrk2 counts from when a request should have been sent.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/numbers.h"
#include "collector/load/summary.h"

namespace camprobe::load {
namespace {

constexpr std::string_view kRunning = "Running ";
constexpr std::string_view kTestAt = " test @ ";

bool begins_run(std::string_view line) {
  return line.starts_with(kRunning) && line.find(kTestAt) != std::string_view::npos;
}

class Reader {
 public:
  void add(std::string_view line) {
    if (begins_run(line)) {
      end_run();
      is_open_ = true;
      run_ = Summary{};
      run_.endpoint = line.substr(line.find(kTestAt) + kTestAt.size());
      return;
    }
    if (!is_open_) return;
    if (line.find("HdrHistogram") != std::string_view::npos) {
      // wrk2 prints the corrected latencies first; with -u a second list follows, of the uncorrected ones.
      is_corrected_ |= line.find("Recorded Latency") != std::string_view::npos;
      is_uncorrected_ = line.find("Uncorrected") != std::string_view::npos;
      return;
    }
    std::string_view rest = line;
    const std::string_view first = take_word(rest), second = take_word(rest), third = take_word(rest);
    if (first == "Latency" && second != "Distribution") {
      run_.latency.max_ms = parse_ms(take_word(rest));
    } else if (second == "threads" && third == "and") {
      run_.users = number_behind(line, "threads and");
    } else if (first.ends_with('%') && !is_uncorrected_) {
      double share = 0;
      if (parse_number(first.substr(0, first.size() - 1), share)) set_quantile(share, parse_ms(second));
    } else if (second == "requests" && third == "in") {
      double n = 0;
      if (parse_number(first, n)) completed_ = as_count(n);
      std::string_view took = take_word(rest);
      took = took.substr(0, took.find(','));
      if (const auto ms = parse_ms(took); ms && *ms < 1e12)
        run_.duration = Nanoseconds{static_cast<std::int64_t>(*ms * 1e6)};
    } else if (first == "Socket" && second == "errors:") {
      lost_ = 0;
      for (const char* kind : {"connect", "read", "write"}) {
        const std::uint64_t n = as_count(number_behind(line, kind)).value_or(0);
        lost_ += n;
        summaries_.kinds.add(fmt::format("{} error", kind), n);
      }
      timed_out_ = as_count(number_behind(line, "timeout")).value_or(0);
      summaries_.kinds.add("timeout", timed_out_);
    } else if (line.find("Non-2xx or 3xx responses:") != std::string_view::npos) {
      refused_ = as_count(number_behind(line, "responses:")).value_or(0);
      summaries_.kinds.add("HTTP status of 400 or above", refused_);
    }
  }

  run::Result<LoadTimeline> finish(LoadTimeline timeline) {
    end_run();
    if (summaries_.empty()) return run::Error{"wrk was stopped before it printed its results"};
    timeline.tool = "wrk";
    summaries_.finish(timeline, is_corrected_ ? LatencyBasis::kIntended : LatencyBasis::kSent);
    if (timeline.given && !timeline.given->p50_ms) timeline.notes.push_back("wrk prints quantiles only with --latency");
    if (timeline.given && !is_corrected_) {
      timeline.notes.push_back(
          "wrk waits for an answer before it sends the next request: its latencies hide what would have waited behind "
          "a "
          "slow one (coordinated omission)");
    }
    if (timed_out_any_) {
      timeline.notes.push_back(
          "requests that timed out count as errors; those whose answer came later also as requests");
    }
    return timeline;
  }

 private:
  void set_quantile(double share, std::optional<double> ms) {
    if (share == 50) run_.latency.p50_ms = ms;
    if (share == 95) run_.latency.p95_ms = ms;
    if (share == 99) run_.latency.p99_ms = ms;
  }

  void end_run() {
    if (is_open_ && completed_) {
      run_.requests = *completed_ + lost_;
      run_.errors = std::min(lost_ + timed_out_ + refused_, *run_.requests);
      timed_out_any_ |= timed_out_ > 0;
      summaries_.add(std::move(run_));
    }
    is_open_ = is_uncorrected_ = false;
    completed_.reset();
    lost_ = timed_out_ = refused_ = 0;
  }

  Summaries summaries_;
  Summary run_;
  std::optional<std::uint64_t> completed_;
  std::uint64_t lost_ = 0, timed_out_ = 0, refused_ = 0;
  bool is_open_ = false, is_corrected_ = false, is_uncorrected_ = false, timed_out_any_ = false;
};

bool recognises(std::string_view head) {
  const std::size_t at = head.find(kRunning);
  if (at == std::string_view::npos || (at > 0 && head[at - 1] != '\n')) return false;
  const std::string_view line = head.substr(at, head.substr(at).find('\n'));
  return begins_run(line) && head.find(" threads and ") != std::string_view::npos;
}

}  // namespace

const Adapter kWrk{"wrk", "wrk, as printed", recognises, read_printed<Reader>};

}  // namespace camprobe::load
