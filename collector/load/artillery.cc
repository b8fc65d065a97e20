// collector/load/artillery.cc
//
// artillery run --output: one JSON object, written when the run ends: "aggregate" over all of it, "intermediate" for
// every ten seconds. Read leaf by leaf: days of it are more than 100 MB.
//
// `period`, a bucket's start in epoch milliseconds, is a text in intermediate and a number in aggregate. Buckets are
// aligned to ten seconds, so the first begins before the run does and covers only a part of it. Requests are counted in
// the bucket in which they were sent, answers (codes, latencies, errors) in the one in which they came. Counters that
// are zero are missing. There are only quantiles, which cannot be merged: each bucket keeps its own, the whole run has
// those of aggregate. Phase names are printed to the terminal only; the phases here are told from the arrival of
// virtual users.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "collector/load/adapter.h"
#include "collector/load/error_kinds.h"
#include "collector/load/json_walk.h"
#include "collector/load/phases.h"
#include "collector/load/series.h"

namespace camprobe::load {
namespace {

constexpr Nanoseconds kUsualPeriod = std::chrono::seconds{10};
constexpr std::size_t kMostPeriods = 200'000;  // 23 days
constexpr std::string_view kByEndpoint = "plugins.metrics-by-endpoint.";

struct Counts {
  std::uint64_t requests = 0, errors = 0;
  std::optional<Quantiles> latency;
};

// One entry of intermediate, or aggregate.
struct Report {
  std::optional<WallTime> period, first, last;
  std::optional<std::uint64_t> requests;  // no such counter: none was sent, or not over HTTP
  Counts all;
  ErrorKinds kinds;
  std::map<std::string, Counts, std::less<>> endpoints;
  std::uint64_t users_created = 0, users_gone = 0;
  bool counted = false;  // the counters were read to their end
};

bool is_failure(std::string_view code) {
  int status = 0;
  const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), status);
  return error == std::errc{} && end == code.data() + code.size() && status >= 400;
}

void read_endpoint_counter(Report& report, std::string_view name, std::uint64_t n) {
  std::size_t at = name.rfind(".codes.");
  const bool answered = at != std::string_view::npos;
  if (!answered) at = name.rfind(".errors.");
  if (at == std::string_view::npos) return;
  Counts& counts = report.endpoints[std::string(name.substr(0, at))];
  counts.requests += n;
  if (!answered || is_failure(name.substr(at + 7))) counts.errors += n;
}

void read_counter(Report& report, std::string_view name, std::uint64_t n) {
  if (name == "http.requests") {
    report.requests = n;
  } else if (name.starts_with("http.codes.")) {
    if (!is_failure(name.substr(11))) return;
    report.all.errors += n;
    report.kinds.add("HTTP " + std::string(name.substr(11)), n);
  } else if (name.starts_with("errors.")) {
    report.all.errors += n;
    report.kinds.add(name.substr(7), n);
  } else if (name == "vusers.created") {
    report.users_created = n;
  } else if (name == "vusers.completed" || name == "vusers.failed") {
    report.users_gone += n;
  } else if (name.starts_with(kByEndpoint)) {
    read_endpoint_counter(report, name.substr(kByEndpoint.size()), n);
  }
}

void read_quantile(std::optional<Quantiles>& into, std::string_view which, double ms) {
  if (!(ms >= 0)) return;
  if (!into) into.emplace();
  if (which == "p50") into->p50_ms = ms;
  if (which == "p95") into->p95_ms = ms;
  if (which == "p99") into->p99_ms = ms;
  if (which == "max") into->max_ms = ms;
}

void read_summary(Report& report, std::string_view name, std::string_view which, double ms) {
  if (name == "http.response_time") {
    read_quantile(report.all.latency, which, ms);
    return;
  }
  static constexpr std::string_view kEndpointTime = "plugins.metrics-by-endpoint.response_time.";
  if (!name.starts_with(kEndpointTime)) return;
  read_quantile(report.endpoints[std::string(name.substr(kEndpointTime.size()))].latency, which, ms);
}

// A time in epoch milliseconds, as a number or as a text.
std::optional<WallTime> read_time(const JsonLeaf& leaf) {
  std::optional<std::uint64_t> ms = leaf.count;
  if (leaf.text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(leaf.text->data(), leaf.text->data() + leaf.text->size(), value);
    if (error == std::errc{} && end == leaf.text->data() + leaf.text->size()) ms = value;
  }
  return ms ? since_epoch(*ms, std::chrono::milliseconds{1}) : std::nullopt;
}

// `rest` is the path below the report.
void read_leaf(Report& report, std::span<const std::string> rest, const JsonLeaf& leaf) {
  if (rest.size() == 1) {
    if (rest[0] == "period") report.period = read_time(leaf);
    if (rest[0] == "firstMetricAt") report.first = read_time(leaf);
    if (rest[0] == "lastMetricAt") report.last = read_time(leaf);
  } else if (rest.size() == 2 && rest[0] == "counters" && leaf.count) {
    read_counter(report, rest[1], *leaf.count);
  } else if (rest.size() == 3 && rest[0] == "summaries" && leaf.number) {  // "histograms" repeats it
    read_summary(report, rest[1], rest[2], *leaf.number);
  }
}

// What of a bucket is kept until all are known.
struct Period {
  LoadBucket bucket;
  std::uint64_t users_created;
  std::int64_t users_change;
};

class Reader {
 public:
  run::Result<LoadTimeline> read(Input& input) {
    JsonVisitor visitor;
    visitor.leaf = [&](const JsonPath& path, const JsonLeaf& leaf) {
      if (path.size() < 2) return;
      const std::span<const std::string> all(path);
      if (path[0] == "aggregate") read_leaf(aggregate_, all.subspan(1), leaf);
      if (path[0] == "intermediate") read_leaf(current_, all.subspan(2), leaf);
    };
    visitor.end = [&](const JsonPath& path) {
      if (path.size() == 2 && path[0] == "aggregate" && path[1] == "counters") aggregate_.counted = true;
      if (path.size() == 2 && path[0] == "intermediate") end_period();
    };
    const auto broken_at = walk_json(input, visitor);
    if (broken_at) timeline_.skipped.row(*broken_at);
    if (!aggregate_.counted && periods_.empty()) {
      return run::Error{broken_at ? *broken_at
                                  : "Artillery's report has no counters (reports of Artillery 1 are not read)"};
    }
    return finish();
  }

 private:
  void end_period() {
    ++read_;
    Report report = std::move(current_);
    current_ = Report{};
    const auto skip = [&](const char* why) { timeline_.skipped.row(fmt::format("intermediate {}: {}", read_, why)); };
    if (!report.period) return skip("its period is not a time in epoch milliseconds");
    if (periods_.size() >= kMostPeriods) return skip("more periods than are kept");
    Period period{{},
                  report.users_created,
                  static_cast<std::int64_t>(report.users_created) - static_cast<std::int64_t>(report.users_gone)};
    LoadBucket& bucket = period.bucket;
    bucket.from = *report.period;
    bucket.all.requests = report.requests.value_or(0);
    bucket.all.errors = report.all.errors;
    bucket.all.given = report.all.latency;
    for (const auto& [name, counts] : report.endpoints) {
      const auto endpoint = names_.endpoint(name);
      if (!endpoint) continue;
      auto at = std::find_if(bucket.endpoints.begin(), bucket.endpoints.end(),
                             [&](const auto& held) { return held.first == *endpoint; });
      if (at == bucket.endpoints.end()) {
        at = bucket.endpoints.insert(at, {*endpoint, LoadCell{}});
        at->second.given = counts.latency;
      } else {
        at->second.given.reset();  // several endpoints under "other": quantiles do not merge
      }
      at->second.requests += counts.requests;
      at->second.errors += counts.errors;
    }
    std::sort(bucket.endpoints.begin(), bucket.endpoints.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    if (report.first) names_.cover(*report.first);
    if (report.last) names_.cover(*report.last);
    sent_ |= report.requests.has_value();
    periods_.push_back(std::move(period));
  }

  LoadTimeline finish() {
    std::stable_sort(periods_.begin(), periods_.end(),
                     [](const Period& a, const Period& b) { return a.bucket.from < b.bucket.from; });
    timeline_.tool = "artillery";
    names_.finish(timeline_);  // endpoint names; start and end from the periods
    if (aggregate_.first) timeline_.start = aggregate_.first;
    if (aggregate_.last) timeline_.end = aggregate_.last;
    set_totals();
    set_buckets();
    timeline_.notes.push_back(
        "Artillery gives quantiles for every ten seconds, not single latencies: they are not merged over time");
    add_phases(timeline_, arrivals());
    return std::move(timeline_);
  }

  void set_totals() {
    if (aggregate_.counted) {
      timeline_.error_kinds = aggregate_.kinds.take();
      timeline_.requests = aggregate_.requests;
      if (aggregate_.requests) timeline_.errors = aggregate_.all.errors;
      timeline_.given = aggregate_.all.latency;
    } else if (sent_) {
      timeline_.requests = timeline_.errors = 0;
      for (const Period& period : periods_) {
        *timeline_.requests += period.bucket.all.requests;
        *timeline_.errors += period.bucket.all.errors;
      }
    }
    if (!timeline_.requests) timeline_.notes.push_back("the report counts no HTTP requests");
    if (timeline_.given) timeline_.latency_basis = LatencyBasis::kSent;
  }

  void set_buckets() {
    Nanoseconds width = kUsualPeriod;
    bool measured = false;
    for (std::size_t i = 1; i < periods_.size(); ++i) {
      const Nanoseconds step = periods_[i].bucket.from - periods_[i - 1].bucket.from;
      if (step > Nanoseconds{0} && (!measured || step < width)) width = step;
      measured |= step > Nanoseconds{0};
    }
    timeline_.resolution = width;
    std::int64_t users = 0;
    for (Period& period : periods_) {
      users += period.users_change;
      LoadBucket& bucket = period.bucket;
      bucket.width = width;
      bucket.all.users = static_cast<double>(std::max<std::int64_t>(users, 0));  // at work when the bucket ended
      if (bucket.all.given) timeline_.latency_basis = LatencyBasis::kSent;
      if (!timeline_.buckets.empty() && timeline_.buckets.back().from == bucket.from) {
        timeline_.skipped.row(fmt::format("period {}: given twice, only the first is kept", to_rfc3339(bucket.from)));
        continue;
      }
      created_.push_back(period.users_created);
      timeline_.buckets.push_back(std::move(bucket));
    }
    periods_.clear();
  }

  // Virtual users that arrived a second: what Artillery's phases are written in. The same shape as the request rate, so
  // that partial buckets and gaps are treated alike.
  LevelSeries arrivals() const {
    LoadTimeline users;
    users.start = timeline_.start;
    users.end = timeline_.end;
    for (std::size_t i = 0; i < timeline_.buckets.size(); ++i) {
      LoadBucket bucket;
      bucket.from = timeline_.buckets[i].from;
      bucket.width = timeline_.buckets[i].width;
      bucket.all.requests = created_[i];
      users.buckets.push_back(std::move(bucket));
    }
    return request_rate(users);
  }

  Report aggregate_, current_;
  std::vector<Period> periods_;
  std::vector<std::uint64_t> created_;
  std::uint64_t read_ = 0;
  bool sent_ = false;
  SeriesBuilder names_;  // for its bounded endpoint names and the covered time
  LoadTimeline timeline_;
};

bool recognises(std::string_view head) {
  const std::size_t brace = head.find_first_not_of(" \t\r\n");
  if (brace == std::string_view::npos || head[brace] != '{') return false;
  const std::size_t key = head.find_first_not_of(" \t\r\n", brace + 1);
  if (key == std::string_view::npos) return false;
  const std::string_view rest = head.substr(key);
  return rest.starts_with("\"aggregate\"") || rest.starts_with("\"intermediate\"");
}

run::Result<LoadTimeline> read(Input& input) {
  return Reader{}.read(input);
}

}  // namespace

const Adapter kArtillery{"artillery", "artillery run --output", recognises, read};

}  // namespace camprobe::load
