#include "collector/analysis/work_of_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "run/span_names.h"
#include "run/units.h"

namespace camprobe::analysis {
namespace {

std::vector<WorkPoint> accumulate(const std::map<Seconds, double>& per_bucket_end, Seconds begin) {
  std::vector<WorkPoint> points = {{begin, 0}};
  double total = 0;
  for (const auto& [end, requests] : per_bucket_end) {
    total += requests;
    if (end > points.back().at)
      points.push_back({end, total});
    else
      points.back().total = total;
  }
  return points;
}

// A script may start a load tool more than once, and the results be those of one of them: then the server goes on
// reading from its sockets where the load tool saw nothing.
bool load_results_cover_the_load(run::Reader& reader, const Thresholds& thresholds, std::vector<std::string>& notes) {
  std::int64_t begin = std::numeric_limits<std::int64_t>::max(), end = std::numeric_limits<std::int64_t>::min();
  for (const run::LoadBucket& bucket : reader.load_buckets("")) {
    begin = std::min(begin, bucket.second);
    end = std::max(end, bucket.second + std::max<std::int64_t>(bucket.width, 1));
  }
  if (end <= begin) return true;
  double within = 0, all = 0;
  for (const run::IoRow& row : reader.io()) {
    if (row.kind != "socket_read") continue;
    const auto ops = static_cast<double>(row.ops);
    all += ops;
    if (row.second >= begin - 2 && row.second <= end + 2) within += ops;
  }
  if (all - within <= thresholds.unseen_load_share * all) return true;
  notes.push_back(fmt::format(
      "The load tool's results end at {}, the load does not ({} of all socket reads are elsewhere): they are set "
      "aside. Give one run of the load tool, or the file of all of it with --load-results.",
      run::at_time(static_cast<double>(end)), run::in_percent(1 - within / all)));
  return false;
}

// Counted exactly per second under its name; which name is a root, the single spans that were kept tell.
std::optional<run::NameId> most_frequent_root_span(run::Reader& reader) {
  const std::map<run::NameId, bool> kept = run::names_of_spans(reader);
  const bool any_root = std::any_of(kept.begin(), kept.end(), [](const auto& name) { return name.second; });
  std::map<run::NameId, std::int64_t> counts;
  for (const run::SpanStat& stat : reader.span_stats()) {
    const auto name = kept.find(stat.name);
    if (!any_root || (name != kept.end() && name->second)) counts[stat.name] += stat.spans;
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? std::nullopt : std::optional(most->first);
}

}  // namespace

WorkOfRun work_of(run::Reader& reader, const Thresholds& thresholds) {
  WorkOfRun work;
  std::map<Seconds, double> requests;
  Seconds begin = kAlive;
  const auto add = [&](std::int64_t second, std::int64_t width, double n) {
    const auto from = static_cast<double>(second), to = static_cast<double>(second + std::max<std::int64_t>(width, 1));
    begin = std::min(begin, from);
    requests[from] += 0;  // nothing happened before it: the line must not run through a gap
    requests[to] += n;
  };
  work.load_results_kept = load_results_cover_the_load(reader, thresholds, work.notes);
  for (const run::LoadBucket& bucket :
       work.load_results_kept ? reader.load_buckets("") : std::vector<run::LoadBucket>{})
    add(bucket.second, bucket.width, static_cast<double>(bucket.requests));
  if (!requests.empty()) {
    work.clock = WorkClock(accumulate(requests, begin), WorkSource::kLoadTool);
    if (work.clock.counts_requests()) return work;
  }
  requests.clear(), begin = kAlive;
  if (const auto root = most_frequent_root_span(reader)) {
    work.span = reader.name(*root);
    for (const run::SpanStat& stat : reader.span_stats()) {
      if (stat.name == *root) add(stat.second, stat.width, static_cast<double>(stat.spans));
    }
    work.clock = WorkClock(accumulate(requests, begin), WorkSource::kSpans);
    if (work.clock.counts_requests()) {
      work.notes.push_back("No load tool's results: requests are counted by the server's own spans \"" + work.span +
                           "\".");
      return work;
    }
  }
  requests.clear(), begin = kAlive;
  for (const run::IoRow& row : reader.io()) {
    if (row.kind == "socket_read") add(row.second, row.width, static_cast<double>(row.ops));
  }
  if (!requests.empty()) work.clock = WorkClock(accumulate(requests, begin), WorkSource::kSockets);
  if (work.clock.counts_requests()) {
    work.notes.push_back(
        "No load tool's results and no spans: the work done is counted in socket reads, so rates per 1,000 requests "
        "are per 1,000 reads.");
  } else {
    work.notes.push_back(
        "No requests were seen at all: everything is judged by the clock on the wall, and a cache that fills with "
        "use may look like a leak.");
  }
  return work;
}

}  // namespace camprobe::analysis
