// collector/load/series.cc: see series.h.
#include "collector/load/series.h"

#include <algorithm>
#include <utility>

namespace camprobe::load {

namespace {

constexpr std::size_t kLongestName = 512;

}  // namespace

std::optional<std::uint32_t> SeriesBuilder::endpoint(std::string_view name) {
  if (name.empty()) return std::nullopt;
  name = name.substr(0, kLongestName);
  if (const auto known = endpoint_index_.find(name); known != endpoint_index_.end()) return known->second;
  if (endpoints_.size() >= kMostEndpoints && name != "other") return endpoint("other");
  endpoints_.emplace_back(name);
  return endpoint_index_[endpoints_.back()] = static_cast<std::uint32_t>(endpoints_.size() - 1);
}

SeriesBuilder::Bucket& SeriesBuilder::bucket_at(WallTime at) {
  for (Recent& recent : recent_) {
    if (at >= recent.from && at < recent.to) return *recent.bucket;
  }
  return find_bucket(at);
}

SeriesBuilder::Bucket& SeriesBuilder::find_bucket(WallTime at) {
  const auto second = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  auto found = buckets_.find(second / width_);  // seconds are positive: parsed times lie after 2000
  if (found == buckets_.end()) {
    // Comes to an end: a single bucket is far below all three limits.
    while (buckets_.size() >= kMostBuckets || cells_ >= kMostCells || entries_ >= kMostEntries) widen();
    found = buckets_.try_emplace(second / width_).first;
  }
  recent_[1] = recent_[0];
  const WallTime from{std::chrono::seconds{found->first * width_}};
  recent_[0] = {from, from + std::chrono::seconds{width_}, &found->second};
  return found->second;
}

SeriesBuilder::Cell& SeriesBuilder::cell_of(Bucket& bucket, std::uint32_t endpoint) {
  const auto at = std::lower_bound(bucket.endpoints.begin(), bucket.endpoints.end(), endpoint,
                                   [](const auto& held, std::uint32_t wanted) { return held.first < wanted; });
  if (at != bucket.endpoints.end() && at->first == endpoint) return at->second;
  ++cells_;
  return bucket.endpoints.emplace(at, endpoint, Cell{})->second;
}

void SeriesBuilder::record(Cell& cell, Nanoseconds latency) {
  const std::size_t before = cell.latency.buckets_in_use();
  cell.latency.record(static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0)));
  entries_ += cell.latency.buckets_in_use() - before;
}

void SeriesBuilder::merge(Cell& into, const Cell& from) {
  into.requests += from.requests;
  into.errors += from.errors;
  const std::size_t before = into.latency.buckets_in_use();
  into.latency.merge(from.latency);
  entries_ += into.latency.buckets_in_use() - before;
  if (from.given) {
    into.given = from.given;
    into.given_covers = from.given_covers;
  }
  if (into.given_covers < std::chrono::seconds{width_}) into.given.reset();
}

void SeriesBuilder::widen() {
  static constexpr std::int64_t kLadder[] = {1, 10, 60, 600, 3600, 86400};
  const auto next = std::upper_bound(std::begin(kLadder), std::end(kLadder), width_);
  const std::int64_t wider = next != std::end(kLadder) ? *next : width_ * 10;
  const std::int64_t before = std::exchange(width_, wider);
  std::map<std::int64_t, Bucket> folded;
  cells_ = entries_ = 0;
  recent_[0] = recent_[1] = {};
  while (!buckets_.empty()) {  // each is freed as soon as it is folded: there are never two copies
    const auto node = buckets_.extract(buckets_.begin());
    const Bucket& bucket = node.mapped();
    Bucket& into = folded[node.key() * before / wider];
    merge(into.all, bucket.all);
    for (const auto& [endpoint, cell] : bucket.endpoints) merge(cell_of(into, endpoint), cell);
    into.users += bucket.users;
    into.user_readings += bucket.user_readings;
    into.user_change += bucket.user_change;
  }
  buckets_ = std::move(folded);
}

void SeriesBuilder::add(WallTime at, std::optional<std::uint32_t> endpoint, bool failed,
                        std::optional<Nanoseconds> latency) {
  Bucket& bucket = bucket_at(at);
  ++bucket.all.requests;
  bucket.all.errors += failed;
  if (latency) record(bucket.all, *latency);
  if (!endpoint) return;
  Cell& cell = cell_of(bucket, *endpoint);
  ++cell.requests;
  cell.errors += failed;
  if (latency) record(cell, *latency);
}

void SeriesBuilder::add_requests(WallTime at, std::optional<std::uint32_t> endpoint, std::uint64_t n,
                                 std::uint64_t errors) {
  Bucket& bucket = bucket_at(at);
  bucket.all.requests += n;
  bucket.all.errors += errors;
  if (endpoint) add_endpoint_requests(at, *endpoint, n, errors);
}

void SeriesBuilder::add_endpoint_requests(WallTime at, std::uint32_t endpoint, std::uint64_t n, std::uint64_t errors) {
  Cell& cell = cell_of(bucket_at(at), endpoint);
  cell.requests += n;
  cell.errors += errors;
}

void SeriesBuilder::add_latency(WallTime at, std::optional<std::uint32_t> endpoint, Nanoseconds latency) {
  Bucket& bucket = bucket_at(at);
  record(bucket.all, latency);
  if (endpoint) record(cell_of(bucket, *endpoint), latency);
}

void SeriesBuilder::add_users(WallTime at, double users) {
  Bucket& bucket = bucket_at(at);
  bucket.users += users;
  ++bucket.user_readings;
}

void SeriesBuilder::add_user_change(WallTime at, int change) {
  bucket_at(at).user_change += change;
  counts_changes_ = true;
}

void SeriesBuilder::set_given(WallTime at, std::optional<std::uint32_t> endpoint, const Quantiles& given,
                              Nanoseconds covers) {
  if (covers < std::chrono::seconds{width_}) return;
  Bucket& bucket = bucket_at(at);
  Cell& cell = endpoint ? cell_of(bucket, *endpoint) : bucket.all;
  cell.given = given;
  cell.given_covers = covers;
}

void SeriesBuilder::cover(WallTime at) {
  first_ = first_ ? std::min(*first_, at) : at;
  last_ = last_ ? std::max(*last_, at) : at;
}

void SeriesBuilder::finish(LoadTimeline& timeline) {
  const auto to_load_cell = [](Cell& cell) {
    LoadCell out;
    out.requests = cell.requests;
    out.errors = cell.errors;
    out.latency = std::move(cell.latency);
    out.given = cell.given;
    return out;
  };
  timeline.start = first_;
  timeline.end = last_;
  timeline.endpoints = std::move(endpoints_);
  timeline.buckets.reserve(buckets_.size());
  std::int64_t users = 0;
  for (auto& [index, bucket] : buckets_) {
    timeline.latency.merge(bucket.all.latency);
    users += bucket.user_change;
    LoadBucket out;
    out.from = WallTime{std::chrono::seconds{index * width_}};
    out.width = std::chrono::seconds{width_};
    out.all = to_load_cell(bucket.all);
    if (bucket.user_readings > 0)
      out.all.users = bucket.users / static_cast<double>(bucket.user_readings);
    else if (counts_changes_)
      out.all.users = static_cast<double>(std::max<std::int64_t>(users, 0));
    for (auto& [endpoint, cell] : bucket.endpoints) out.endpoints.emplace_back(endpoint, to_load_cell(cell));
    timeline.buckets.push_back(std::move(out));
  }
  buckets_.clear();
  recent_[0] = recent_[1] = {};
}

}  // namespace camprobe::load
