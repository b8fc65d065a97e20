// collector/load/series.cc: see series.h.
#include "collector/load/series.h"

#include <algorithm>

namespace camprobe::load {

std::optional<std::uint32_t> SeriesBuilder::endpoint(std::string_view name) {
  if (name.empty()) return std::nullopt;
  std::string key(name.substr(0, 512));
  if (const auto known = endpoint_index_.find(key); known != endpoint_index_.end()) return known->second;
  if (endpoints_.size() >= kMostEndpoints) {
    if (key != "other") return endpoint("other");
  }
  endpoints_.push_back(key);
  return endpoint_index_[std::move(key)] = static_cast<std::uint32_t>(endpoints_.size() - 1);
}

SeriesBuilder::Bucket& SeriesBuilder::bucket_at(WallTime at) {
  const auto second = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  auto found = buckets_.find(second / width_);  // seconds are positive: parsed times lie after 2000
  if (found != buckets_.end()) return found->second;
  while (buckets_.size() >= kMostBuckets || cells_ >= kMostCells) widen();
  return buckets_[second / width_];
}

SeriesBuilder::Cell& SeriesBuilder::cell_of(Bucket& bucket, std::uint32_t endpoint) {
  const auto at = std::lower_bound(bucket.endpoints.begin(), bucket.endpoints.end(), endpoint,
                                   [](const auto& held, std::uint32_t wanted) { return held.first < wanted; });
  if (at != bucket.endpoints.end() && at->first == endpoint) return at->second;
  ++cells_;
  return bucket.endpoints.emplace(at, endpoint, Cell{})->second;
}

void SeriesBuilder::merge(Cell& into, const Cell& from) {
  into.requests += from.requests;
  into.errors += from.errors;
  into.latency.merge(from.latency);
}

void SeriesBuilder::widen() {
  static constexpr std::int64_t kLadder[] = {1, 10, 60, 600, 3600, 86400};
  const auto next = std::upper_bound(std::begin(kLadder), std::end(kLadder), width_);
  const std::int64_t wider = next != std::end(kLadder) ? *next : width_ * 10;
  std::map<std::int64_t, Bucket> folded;
  cells_ = 0;
  for (auto& [index, bucket] : buckets_) {
    Bucket& into = folded[index * width_ / wider];
    merge(into.all, bucket.all);
    for (const auto& [endpoint, cell] : bucket.endpoints) merge(cell_of(into, endpoint), cell);
    into.users += bucket.users;
    into.user_readings += bucket.user_readings;
  }
  buckets_ = std::move(folded);
  width_ = wider;
}

void SeriesBuilder::add_requests(WallTime at, std::optional<std::uint32_t> endpoint, std::uint64_t n,
                                 std::uint64_t errors) {
  Bucket& bucket = bucket_at(at);
  bucket.all.requests += n;
  bucket.all.errors += errors;
  if (!endpoint) return;
  Cell& cell = cell_of(bucket, *endpoint);
  cell.requests += n;
  cell.errors += errors;
}

void SeriesBuilder::add_latency(WallTime at, std::optional<std::uint32_t> endpoint, Nanoseconds latency) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  Bucket& bucket = bucket_at(at);
  bucket.all.latency.record(ns);
  if (endpoint) cell_of(bucket, *endpoint).latency.record(ns);
}

void SeriesBuilder::add_users(WallTime at, double users) {
  Bucket& bucket = bucket_at(at);
  bucket.users += users;
  ++bucket.user_readings;
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
    return out;
  };
  timeline.start = first_;
  timeline.end = last_;
  timeline.endpoints = std::move(endpoints_);
  timeline.buckets.reserve(buckets_.size());
  for (auto& [index, bucket] : buckets_) {
    timeline.latency.merge(bucket.all.latency);
    LoadBucket out;
    out.from = WallTime{std::chrono::seconds{index * width_}};
    out.width = std::chrono::seconds{width_};
    out.all = to_load_cell(bucket.all);
    if (bucket.user_readings > 0) out.all.users = bucket.users / static_cast<double>(bucket.user_readings);
    for (auto& [endpoint, cell] : bucket.endpoints) out.endpoints.emplace_back(endpoint, to_load_cell(cell));
    timeline.buckets.push_back(std::move(out));
  }
  buckets_.clear();
}

}  // namespace camprobe::load
