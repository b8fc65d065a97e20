// collector/load/locust_history.cc
//
// Locust's PREFIX_stats_history.csv (locust --csv PREFIX): once a second a row for all requests ("Aggregated"), with
// --csv-full-history also one for each name.
//
// What a row counts is cumulative: requests and failures of a second are the differences of Total Request Count and
// Total Failure Count (its own Requests/s is a mean over ten seconds that ended two before, so it lags). A request
// counts when its answer came. Totals that fall are a reset of the statistics. Rows are flushed every few seconds: the
// tail of a run that ended is not in the file.
//
// Latencies are quantiles only. With full history they cover the last ten seconds, and each second keeps its own;
// without, they cover everything up to the row, and the last row's are those of the run. Neither can be merged.
#include <map>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/locust.h"
#include "collector/load/numbers.h"
#include "collector/load/phases.h"
#include "collector/load/series.h"

namespace camprobe::load {
namespace {

constexpr Nanoseconds kWindow = std::chrono::seconds{10};  // of the quantiles with full history
constexpr std::size_t kMostNames = 1024;

struct Columns {
  std::size_t count = 0;
  std::size_t time = kNoColumn, users = kNoColumn, type = kNoColumn, name = kNoColumn, requests = kNoColumn,
              failures = kNoColumn, p50 = kNoColumn, p95 = kNoColumn, p99 = kNoColumn, p100 = kNoColumn,
              median = kNoColumn, longest = kNoColumn;

  explicit Columns(const std::vector<std::string_view>& header) : count(header.size()) {
    find_columns(header, {{"Timestamp", &time},
                          {"User Count", &users},
                          {"Type", &type},
                          {"Name", &name},
                          {"Total Request Count", &requests},
                          {"Total Failure Count", &failures},
                          {"50%", &p50},
                          {"95%", &p95},
                          {"99%", &p99},
                          {"100%", &p100},
                          {"Total Median Response Time", &median},
                          {"Total Max Response Time", &longest}});
  }
  bool complete() const {
    return time != kNoColumn && name != kNoColumn && requests != kNoColumn && failures != kNoColumn;
  }
};

struct Totals {
  std::uint64_t requests = 0, failures = 0;
};

class Reader {
 public:
  // Returns what is wrong with the row, or nullptr.
  const char* add(const std::vector<std::string_view>& row, const Columns& columns) {
    if (row.size() != columns.count) return "it has not as many columns as the header";
    const auto field = [&](std::size_t at) { return field_at(row, at); };
    const auto stamp = parse_epoch(row[columns.time]);
    if (!stamp || stamp->resolution != std::chrono::seconds{1})
      return "its Timestamp is not in seconds since the epoch";
    Totals now;
    if (!parse_number(row[columns.requests], now.requests) || !parse_number(row[columns.failures], now.failures) ||
        now.requests > kMostLocustRequests || now.failures > kMostLocustRequests) {
      return "its total counts are not whole numbers";
    }
    const bool is_all = row[columns.name] == "Aggregated" && field(columns.type).empty();
    name_.assign(field(columns.type));
    if (!name_.empty()) name_ += ' ';
    name_ += row[columns.name];
    if (name_.empty()) return "it has no name";
    Totals* before = &all_;
    if (!is_all) {
      auto at = names_.find(name_);
      if (at == names_.end()) {
        if (names_.size() >= kMostNames) return "more names than are kept";
        at = names_.try_emplace(name_).first;
      }
      before = &at->second;
    }
    const bool was_reset = now.requests < before->requests || now.failures < before->failures;
    const Totals done = was_reset ? now : Totals{now.requests - before->requests, now.failures - before->failures};
    *before = now;
    resets_ += is_all && was_reset;

    // The row is written at the end of what it counts.
    const WallTime from = stamp->at - std::chrono::seconds{1};
    const auto endpoint = is_all ? std::nullopt : series_.endpoint(name_);
    if (is_all) {
      requests_ += done.requests;
      errors_ += done.failures;
      series_.add_requests(from, std::nullopt, done.requests, done.failures);
      series_.cover(from);
      series_.cover(stamp->at);
      double users = 0;
      if (parse_number(field(columns.users), users) && users >= 0) series_.add_users(from, users);
      totals_ = {locust_ms(field(columns.median)), std::nullopt, std::nullopt, locust_ms(field(columns.longest))};
      if (now.requests == 0) totals_.reset();
    } else {
      has_names_ = true;
      series_.add_endpoint_requests(from, *endpoint, done.requests, done.failures);
    }
    const Quantiles given{locust_ms(field(columns.p50)), locust_ms(field(columns.p95)), locust_ms(field(columns.p99)),
                          locust_ms(field(columns.p100))};
    const bool any = given.p50_ms && (*given.p50_ms > 0 || given.max_ms.value_or(0) > 0);
    if (!any) return nullptr;
    if (is_all) cumulative_ = given;
    // Several names share the endpoint "other": their quantiles do not merge.
    const bool is_alone = is_all ? has_names_ : names_.size() < SeriesBuilder::kMostEndpoints;
    if (is_alone) series_.set_given(from, endpoint, given, kWindow);
    return nullptr;
  }

  void finish(LoadTimeline& timeline) {
    timeline.tool = "locust";
    timeline.resolution = std::chrono::seconds{1};
    timeline.requests = requests_;
    timeline.errors = errors_;
    series_.finish(timeline);
    timeline.given = has_names_ ? totals_ : cumulative_;
    if (timeline.given) timeline.latency_basis = LatencyBasis::kSent;
    timeline.notes.push_back(
        has_names_
            ? "Locust gives quantiles of the last ten seconds, once a second, not single latencies: they are not "
              "merged over time; of the whole run it gives only median and maximum"
            : "Locust gives quantiles of everything up to the last row, not single latencies: there are none for "
              "parts of the run (--csv-full-history writes them)");
    timeline.notes.push_back("Locust writes its rows late: what came in its last seconds is not in the file");
    if (resets_ > 0)
      timeline.notes.push_back("Locust's statistics were reset in the middle: the totals count both sides");
    add_phases(timeline);
  }

 private:
  SeriesBuilder series_;
  std::map<std::string, Totals, std::less<>> names_;
  Totals all_;
  std::string name_;
  std::uint64_t requests_ = 0, errors_ = 0, resets_ = 0;
  std::optional<Quantiles> totals_, cumulative_;
  bool has_names_ = false;
};

bool recognises(std::string_view head) {
  const std::string_view header = head.substr(0, head.find('\n'));
  return header.starts_with("Timestamp,User Count,") && header.find("Total Request Count") != std::string_view::npos;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  Reader history;
  CsvReader rows(input);
  if (rows.next() != CsvReader::Read::kRecord) return run::Error{"its header line cannot be read"};
  const Columns columns(rows.fields());
  if (!columns.complete()) {
    return run::Error{"its header lacks Timestamp, Name, Total Request Count or Total Failure Count"};
  }
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (result == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (rows.unterminated()) {
      wrong = "cut off (no end of line)";
    } else {
      wrong = history.add(rows.fields(), columns);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  history.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kLocustHistory{"locust", "locust --csv (stats_history.csv)", recognises, read};

}  // namespace camprobe::load
