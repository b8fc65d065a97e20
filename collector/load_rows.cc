#include "collector/load_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "collector/load/skew.h"

namespace camprobe {
namespace {

constexpr double kSecond = 1e9;

void merge(load::LoadCell& into, const load::LoadCell& cell) {
  into.requests += cell.requests;
  into.errors += cell.errors;
  into.latency.merge(cell.latency);
  if (!into.given) into.given = cell.given;
  if (cell.users) into.users = std::max(into.users.value_or(0), *cell.users);
}

run::LoadBucket as_row(const load::LoadCell& cell) {
  run::LoadBucket row;
  row.requests = static_cast<std::int64_t>(cell.requests);
  row.errors = static_cast<std::int64_t>(cell.errors);
  if (!cell.latency.empty()) row.latency = cell.latency.to_json();
  if (cell.given) {
    row.p50_ms = cell.given->p50_ms;
    row.p95_ms = cell.given->p95_ms;
    row.p99_ms = cell.given->p99_ms;
    row.max_ms = cell.given->max_ms;
  }
  row.users = cell.users;
  return row;
}

}  // namespace

std::size_t write_load(run::Writer& writer, const load::LoadTimeline& timeline, const std::string& file,
                       std::int64_t started_realtime_ns, std::optional<load::Nanoseconds> skew) {
  const auto run_ns = [&](load::WallTime at) {
    return (at.time_since_epoch() + skew.value_or(load::Nanoseconds{0})).count() - started_realtime_ns;
  };

  run::LoadSource source;
  source.tool = timeline.tool;
  source.file = file;
  if (timeline.requests) source.requests = static_cast<std::int64_t>(*timeline.requests);
  if (timeline.errors) source.errors = static_cast<std::int64_t>(*timeline.errors);
  if (skew) source.skew_ns = skew->count();
  source.skipped = static_cast<std::int64_t>(timeline.skipped.rows);
  for (const std::string& why : timeline.skipped.why)
    source.skipped_why += (source.skipped_why.empty() ? "" : "\n") + why;
  source.latency_basis = load::to_string(timeline.latency_basis);
  const run::SourceId id = writer.add(source);

  // The tool's buckets begin where its clock has whole seconds, the run's somewhere in between: each goes to the
  // nearest. Two that land on one are added up.
  std::map<std::pair<std::int64_t, std::string>, std::pair<std::int64_t, load::LoadCell>> cells;
  for (const load::LoadBucket& bucket : timeline.buckets) {
    auto second = static_cast<std::int64_t>(std::llround(static_cast<double>(run_ns(bucket.from)) / kSecond));
    // A load that begins with the run: its first whole second began before, and is the run's first.
    if (second < 0 && run_ns(bucket.from + bucket.width) > 0) second = 0;
    const auto width = std::max<std::int64_t>(1, std::llround(static_cast<double>(bucket.width.count()) / kSecond));
    const auto add = [&](const std::string& endpoint, const load::LoadCell& cell) {
      auto [at, is_new] = cells.try_emplace({second, endpoint}, width, cell);
      if (!is_new) merge(at->second.second, cell);
    };
    add("", bucket.all);
    for (const auto& [index, cell] : bucket.endpoints) {
      if (index < timeline.endpoints.size()) add(timeline.endpoints[index], cell);
    }
  }
  for (const auto& [key, cell] : cells) {
    run::LoadBucket row = as_row(cell.second);
    row.source = id;
    row.second = key.first;
    row.width = cell.first;
    row.endpoint = key.second;
    writer.put(row);
  }
  for (const load::LoadPhase& phase : timeline.phases) {
    writer.put(run::LoadWindow{0, id, phase.name, phase.kind, run_ns(phase.from), run_ns(phase.to)});
  }
  return timeline.buckets.size();
}

std::optional<load::Nanoseconds> find_skew(run::Reader& run, const load::LoadTimeline& timeline,
                                           std::int64_t started_realtime_ns) {
  constexpr std::size_t kMostBuckets = 100'000;
  if (timeline.buckets.empty()) return std::nullopt;
  const load::LoadBucket& first = timeline.buckets.front();
  load::RequestSeries load;
  load.from = first.from.time_since_epoch() - load::Nanoseconds(started_realtime_ns);
  for (const load::LoadBucket& bucket : timeline.buckets) load.width = std::max(load.width, bucket.width);
  load.width =
      std::max<load::Nanoseconds>(std::chrono::round<std::chrono::seconds>(load.width), std::chrono::seconds(1));
  for (const load::LoadBucket& bucket : timeline.buckets) {
    const auto at = static_cast<std::size_t>((bucket.from - first.from) / load.width);
    if (bucket.from < first.from || at >= kMostBuckets) return std::nullopt;
    if (load.counts.size() <= at) load.counts.resize(at + 1);
    load.counts[at] += static_cast<double>(bucket.all.requests);
  }

  load::RequestSeries server;
  server.width = load.width;
  const std::int64_t seconds = load.width / std::chrono::seconds(1);
  for (const run::IoRow& row : run.io()) {
    if (row.kind != "socket_read" || row.second < 0) continue;
    for (std::int64_t i = 0; i < row.width; ++i) {  // of a folded bucket's seconds each has the same share
      const auto at = static_cast<std::size_t>((row.second + i) / seconds);
      if (at >= kMostBuckets) break;
      if (server.counts.size() <= at) server.counts.resize(at + 1);
      server.counts[at] += static_cast<double>(row.ops) / static_cast<double>(row.width);
    }
  }
  return load::estimate_skew(load, server);
}

}  // namespace camprobe
