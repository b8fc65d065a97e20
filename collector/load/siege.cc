// collector/load/siege.cc
//
// Siege's summary, in its three forms: as JSON (siege 4.0.5 and later, or -j), with other lines before and behind it;
// as lines "Transactions:   326 hits"; and siege.log (--log), a line a run, which also says when the run ended, in
// local time with no zone: that is not used.
//
// A transaction is an answered request below status 400. Failed ones are those that got no answer and those with status
// 400 and above. There are no quantiles, only the longest transaction, in hundredths of a second.
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/numbers.h"
#include "collector/load/summary.h"

namespace camprobe::load {
namespace {

constexpr std::string_view kLogHeader = "Date & Time,  Trans,  Elap Time,";
enum LogColumn : std::size_t {
  kTime,
  kTrans,
  kElapsed,
  kData,
  kResponse,
  kRate,
  kThroughput,
  kConcurrent,
  kOkay,
  kFailed,
  kColumns
};

std::optional<Nanoseconds> seconds(std::optional<double> value) {
  if (!value || !(*value >= 0 && *value < 1e9)) return std::nullopt;
  return Nanoseconds{static_cast<std::int64_t>(*value * 1e9)};
}

std::optional<double> trimmed_number(std::string_view field) {
  const std::string_view word = take_word(field);
  double value = 0;
  return parse_number(word, value) ? std::optional(value) : std::nullopt;
}

// One summary of the printed forms. JSON keys and words, in the order in which siege prints them.
class Printed {
 public:
  explicit Printed(Summaries& summaries) : summaries_(summaries) {}

  void add(std::string_view line) {
    const auto value = [&](std::string_view key, std::string_view words) {
      const auto number = number_behind(line, key);
      return number ? number : line.starts_with(words) ? number_behind(line, words) : std::nullopt;
    };
    if (const auto n = value("\"transactions\":", "Transactions:")) {
      end();
      is_open_ = true;
      answered_ = as_count(n);
    } else if (!is_open_) {
      return;
    } else if (const auto elapsed = value("\"elapsed_time\":", "Elapsed time:")) {
      run_.duration = seconds(elapsed);
    } else if (const auto failed = value("\"failed_transactions\":", "Failed transactions:")) {
      failed_ = as_count(failed);
    } else if (const auto longest = value("\"longest_transaction\":", "Longest transaction:")) {
      run_.latency.max_ms = *longest * 1000;
    }
  }
  void end() {
    if (is_open_ && answered_ && failed_) {
      run_.requests = *answered_ + *failed_;
      run_.errors = failed_;
      summaries_.kinds.add("failed transaction", *failed_);
      summaries_.add(std::move(run_));
    }
    run_ = Summary{};
    answered_.reset();
    failed_.reset();
    is_open_ = false;
  }

 private:
  Summaries& summaries_;
  Summary run_;
  std::optional<std::uint64_t> answered_, failed_;
  bool is_open_ = false;
};

const char* add_log_row(const std::vector<std::string_view>& row, Summaries& summaries) {
  if (row.size() != kColumns) return "it has not as many columns as a line of siege.log";
  Summary run;
  const auto answered = as_count(trimmed_number(row[kTrans])), failed = as_count(trimmed_number(row[kFailed]));
  if (!answered || !failed) return "its numbers of transactions are not whole numbers";
  run.requests = *answered + *failed;
  run.errors = failed;
  run.duration = seconds(trimmed_number(row[kElapsed]));
  summaries.kinds.add("failed transaction", *failed);
  summaries.add(std::move(run));
  return nullptr;
}

bool is_log(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\n'));
  return line.find(kLogHeader) != std::string_view::npos;
}

bool recognises(std::string_view head) {
  if (is_log(head)) return true;
  const auto has = [&](std::string_view key) { return head.find(key) != std::string_view::npos; };
  return (has("\"transactions\":") && has("\"availability\":")) || (has("Transactions:") && has("Availability:"));
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  timeline.tool = "siege";
  timeline.resolution = std::chrono::milliseconds{10};
  Summaries summaries;
  Printed printed(summaries);
  bool in_log = false;
  std::vector<std::string_view> row;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    if (line.find(kLogHeader) != std::string_view::npos) {
      in_log = true;
    } else if (!in_log) {
      printed.add(line);
    } else if (!line.empty()) {
      row.clear();
      for (std::string_view rest = line;;) {
        const std::size_t comma = rest.find(',');
        row.push_back(rest.substr(0, comma));
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
      }
      const char* wrong = lines.unterminated() ? "cut off (no end of line)" : add_log_row(row, summaries);
      if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(lines.number()) + ": " + wrong);
    }
  }
  printed.end();
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  if (summaries.empty()) return run::Error{"siege was stopped before it printed its results"};
  summaries.finish(timeline, LatencyBasis::kSent);
  timeline.notes.push_back("siege prints no quantiles, and times in hundredths of a second");
  if (in_log) timeline.notes.push_back("siege.log has local times with no zone: they are not used");
  return timeline;
}

}  // namespace

const Adapter kSiege{"siege", "siege, as printed, or siege.log", recognises, read};

}  // namespace camprobe::load
