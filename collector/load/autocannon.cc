// collector/load/autocannon.cc
//
// autocannon -j: one JSON object for the whole run. No series: it becomes one bucket from start to finish.
//
// With -R (a request rate) and without -C, autocannon corrects its latencies for coordinated omission with an expected
// interval that it rounds up to whole milliseconds: every request of N ms is recorded about N times (43,127 latencies for
// 8,019 requests in one run), and the quantiles are those of no real distribution. Such a result is told by more
// latencies than requests; its quantiles are then left out.
#include <fmt/format.h>

#include <map>

#include "collector/load/adapter.h"
#include "collector/load/json_walk.h"
#include "collector/load/phases.h"

namespace camprobe::load {
namespace {

constexpr std::size_t kLargestDocument = 8 << 20;
constexpr std::size_t kMostValues = 4096;

// The result is the first line that begins with a brace: what stands before it was printed by others.
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

void read_latency(const Values& result, std::optional<std::uint64_t> answered, LoadTimeline& timeline) {
  const auto recorded = result.count("latency.totalCount");
  if (!recorded || *recorded == 0) return;
  if (answered && *recorded > *answered) {
    timeline.skipped.note(fmt::format(
        "latency: {} latencies were recorded for {} requests (autocannon -R corrects with a 1 ms interval, which biases "
        "every quantile); run autocannon with -C to get quantiles",
        *recorded, *answered));
    return;
  }
  const Quantiles quantiles{result.number("latency.p50"), result.number("latency.p95"), result.number("latency.p99"),
                            result.number("latency.max")};
  if (!quantiles.p50_ms && !quantiles.p95_ms && !quantiles.p99_ms && !quantiles.max_ms) return;
  timeline.given = quantiles;
  timeline.latency_basis = LatencyBasis::kSent;
  timeline.notes.push_back("autocannon gives latencies in whole milliseconds, and no p95");
}

run::Result<LoadTimeline> read(Input& input) {
  std::string text;
  char chunk[1 << 14];
  while (const std::size_t n = input.read(chunk, sizeof chunk)) {
    if (text.size() + n > kLargestDocument) return run::Error{"too large for an autocannon result"};
    text.append(chunk, n);
  }
  const std::size_t at = find_document(text);
  if (at == std::string::npos) return run::Error{"there is no JSON object in it"};
  Values result;
  JsonVisitor visitor;
  visitor.leaf = [&](const JsonPath& path, const JsonLeaf& leaf) {
    if (path.empty() || path.size() > 2 || result.leaves.size() + result.texts.size() >= kMostValues) return;
    const std::string key = path.size() == 1 ? path[0] : path[0] + '.' + path[1];
    if (leaf.text) {
      result.texts[key] = *leaf.text;
    } else {
      result.leaves[key] = leaf;
    }
  };
  const auto document = memory_input(std::string_view(text).substr(at));
  const auto broken_at = walk_json(*document, visitor);
  if (broken_at && result.leaves.empty()) return run::Error{*broken_at};

  LoadTimeline timeline;
  timeline.tool = "autocannon";
  timeline.resolution = std::chrono::milliseconds{1};
  if (const std::string problem = input.problem(); !problem.empty()) timeline.skipped.note(problem);

  if (broken_at) timeline.skipped.row(*broken_at);

  // "errors" includes timeouts. A request that failed without an answer is not in requests.total.
  const auto answered = result.count("requests.total");
  const auto unanswered = result.count("errors");
  if (answered && unanswered) timeline.requests = *answered + *unanswered;
  const auto refused = result.count("4xx"), failed = result.count("5xx");
  if (unanswered && refused && failed) timeline.errors = *unanswered + *refused + *failed;
  timeline.start = result.time("start");
  timeline.end = result.time("finish");
  read_latency(result, answered, timeline);

  if (timeline.start && timeline.end && *timeline.end > *timeline.start && timeline.requests) {
    LoadBucket bucket;
    bucket.from = *timeline.start;
    bucket.width = *timeline.end - *timeline.start;
    bucket.all.requests = *timeline.requests;
    bucket.all.errors = timeline.errors.value_or(0);
    bucket.all.given = timeline.given;
    bucket.all.users = result.number("connections");
    timeline.buckets.push_back(std::move(bucket));
  }
  add_phases(timeline);
  return timeline;
}

}  // namespace

const Adapter kAutocannon{"autocannon", "autocannon -j", recognises, read};

}  // namespace camprobe::load
