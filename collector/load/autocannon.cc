// collector/load/autocannon.cc
//
// autocannon -j: one JSON object for the whole run. No series: it becomes one bucket from start to finish. Several
// objects in one file (autocannon -f, or an output that was appended to) are several buckets; their quantiles do not
// merge.
//
// With -R (a request rate) and without -C, autocannon corrects its latencies for coordinated omission with an expected
// interval that it rounds up to whole milliseconds: every request of N ms is recorded about N times (43,127 latencies
// for 8,019 requests in one run), and the quantiles are those of no real distribution. Such a result is told by more
// latencies than requests; its quantiles are then left out.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "collector/load/adapter.h"
#include "collector/load/json_walk.h"
#include "collector/load/phases.h"

namespace camprobe::load {
namespace {

constexpr std::size_t kLargestDocument = 8 << 20;
constexpr std::size_t kMostValues = 4096;
constexpr std::uint64_t kMostRequests = std::uint64_t{1} << 48;  // more is damage, and would not add up

// Where the first line that begins with a brace begins: what stands before it was printed by others.
std::size_t find_document(std::string_view text) {
  if (text.starts_with('{')) return 0;
  const std::size_t at = text.find("\n{");
  return at == std::string_view::npos ? std::string_view::npos : at + 1;
}

bool recognises(std::string_view head) {
  const std::size_t at = find_document(head);
  if (at == std::string_view::npos) return false;
  const std::string_view text = head.substr(at);
  const auto has = [&](const char* key) { return text.find(key) != std::string_view::npos; };
  return has("\"sampleInt\"") && (has("\"connections\"") || has("\"latency\"") || has("\"non2xx\""));
}

// The numbers and texts of the object and of the objects in it, by "key" or "key.inner".
struct Values {
  std::map<std::string, JsonLeaf> leaves;
  std::map<std::string, std::string> texts;

  std::optional<std::uint64_t> count(const std::string& key) const {
    const auto at = leaves.find(key);
    return at == leaves.end() ? std::nullopt : at->second.count;
  }
  std::optional<double> number(const std::string& key) const {
    const auto at = leaves.find(key);
    return at == leaves.end() ? std::nullopt : at->second.number;
  }
  std::optional<WallTime> time(const std::string& key) const {
    const auto at = texts.find(key);
    const auto stamp = at == texts.end() ? std::nullopt : parse_rfc3339(at->second);
    return stamp ? std::optional(stamp->at) : std::nullopt;
  }
};

// Walks the numbers and texts of `document`; what is wrong with it goes to `broken_at`.
Values read_values(std::string_view document, std::optional<std::string>& broken_at) {
  Values values;
  JsonVisitor visitor;
  visitor.leaf = [&](const JsonPath& path, const JsonLeaf& leaf) {
    if (path.empty() || path.size() > 2 || values.leaves.size() + values.texts.size() >= kMostValues) return;
    const std::string key = path.size() == 1 ? path[0] : path[0] + '.' + path[1];
    if (leaf.text) {
      values.texts[key] = *leaf.text;
    } else {
      values.leaves[key] = leaf;
    }
  };
  const auto input = memory_input(document);
  broken_at = walk_json(*input, visitor);
  return values;
}

std::optional<Quantiles> read_latency(const Values& result, LoadTimeline& timeline) {
  const auto recorded = result.count("latency.totalCount");
  const auto answered = result.count("requests.total");
  if (!recorded || *recorded == 0) return std::nullopt;
  if (answered && *recorded > *answered) {
    timeline.skipped.note(
        fmt::format("latency: {} latencies were recorded for {} requests (autocannon -R corrects with a 1 ms interval, "
                    "which biases "
                    "every quantile); run autocannon with -C to get quantiles",
                    *recorded, *answered));
    return std::nullopt;
  }
  const Quantiles quantiles{result.number("latency.p50"), result.number("latency.p95"), result.number("latency.p99"),
                            result.number("latency.max")};
  const bool any = quantiles.p50_ms || quantiles.p95_ms || quantiles.p99_ms || quantiles.max_ms;
  return any ? std::optional(quantiles) : std::nullopt;
}

std::optional<std::uint64_t> sum(std::initializer_list<std::optional<std::uint64_t>> counts) {
  std::uint64_t total = 0;
  for (const auto& count : counts) {
    if (!count || *count > kMostRequests) return std::nullopt;
    total += *count;
  }
  return total;
}

// Adds one result to the timeline. The first decides on totals and quantiles, others add to the totals.
void add_result(const Values& result, bool is_first, LoadTimeline& timeline) {
  // "errors" includes timeouts. A request that failed without an answer is not in requests.total.
  const auto requests = sum({result.count("requests.total"), result.count("errors")});
  const auto errors = sum({result.count("errors"), result.count("4xx"), result.count("5xx")});
  timeline.requests = is_first ? requests : sum({timeline.requests, requests});
  timeline.errors = is_first ? errors : sum({timeline.errors, errors});
  const auto latency = read_latency(result, timeline);
  timeline.given = is_first ? latency : std::nullopt;
  if (latency) timeline.latency_basis = LatencyBasis::kSent;

  const auto start = result.time("start"), finish = result.time("finish");
  if (start) timeline.start = timeline.start ? std::min(*timeline.start, *start) : *start;
  if (finish) timeline.end = timeline.end ? std::max(*timeline.end, *finish) : *finish;
  if (!start || !finish || *finish <= *start || !requests) return;
  LoadBucket bucket;
  bucket.from = *start;
  bucket.width = *finish - *start;
  bucket.all.requests = *requests;
  bucket.all.errors = errors.value_or(0);
  bucket.all.given = latency;
  bucket.all.users = result.number("connections");
  timeline.buckets.push_back(std::move(bucket));
}

run::Result<LoadTimeline> read(Input& input) {
  std::string text;
  char chunk[1 << 14];
  while (const std::size_t n = input.read(chunk, sizeof chunk)) {
    if (text.size() + n > kLargestDocument) return run::Error{"too large for an autocannon result"};
    text.append(chunk, n);
  }
  LoadTimeline timeline;
  timeline.tool = "autocannon";
  timeline.resolution = std::chrono::milliseconds{1};
  if (const std::string problem = input.problem(); !problem.empty()) timeline.skipped.note(problem);

  std::size_t results = 0;
  std::string_view rest = text;
  for (std::size_t at; (at = find_document(rest)) != std::string_view::npos;) {
    rest.remove_prefix(at);
    // One line each; an object printed over several lines by a formatter takes all that is left.
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const std::string_view document = nlohmann::json::accept(line) ? line : rest;
    std::optional<std::string> broken_at;
    const Values values = read_values(document, broken_at);
    if (broken_at)
      timeline.skipped.row(results == 0 ? *broken_at : "result " + std::to_string(results + 1) + ", " + *broken_at);
    if (!values.leaves.empty()) add_result(values, results++ == 0, timeline);
    rest.remove_prefix(document.size());
  }
  if (results == 0) {
    return run::Error{timeline.skipped.why.empty() ? "there is no autocannon result in it"
                                                   : timeline.skipped.why.front()};
  }
  if (results > 1)
    timeline.notes.push_back(fmt::format("{} results in one file: their quantiles do not merge", results));
  if (timeline.given) timeline.notes.push_back("autocannon gives latencies in whole milliseconds, and no p95");
  std::sort(timeline.buckets.begin(), timeline.buckets.end(),
            [](const LoadBucket& a, const LoadBucket& b) { return a.from < b.from; });
  add_phases(timeline);
  return timeline;
}

}  // namespace

const Adapter kAutocannon{"autocannon", "autocannon -j", recognises, read};

}  // namespace camprobe::load
