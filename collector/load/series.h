// collector/load/series.h
//
// Adds requests up into a LoadTimeline's buckets, in any order of time and in bounded memory.
//
// Rows of load tools come in the order in which requests ended, so their start times run backwards by as much as the
// longest request took: no order is asked for. Buckets are one second wide. Once there would be more than kMostBuckets
// of them, kMostCells endpoints in them, or kMostEntries counts in their histograms, all are folded into wider ones
// (10 s, 60 s, 10 min, ...): four hours of a few endpoints stay at full resolution, and 72 hours fit. The first
// kMostEndpoints endpoints keep their names; later ones are added up under "other".
//
// Reading is as fast as one row is added: the two buckets last used, and endpoints by their text, are found without
// walking or allocating.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/load/timeline.h"

namespace camprobe::load {

class SeriesBuilder {
 public:
  static constexpr std::size_t kMostBuckets = 14'400;
  static constexpr std::size_t kMostCells = 40'000;
  static constexpr std::size_t kMostEndpoints = 32;
  static constexpr std::size_t kMostEntries = 2'000'000;  // 20 MB, and half as much again where vectors have grown

  // The index of an endpoint by its name; nothing for an empty one.
  std::optional<std::uint32_t> endpoint(std::string_view name);

  // One request, sent at `at`; no latency where it got no answer.
  void add(WallTime at, std::optional<std::uint32_t> endpoint, bool failed, std::optional<Nanoseconds> latency);
  // `n` requests sent at `at`, of which `errors` failed.
  void add_requests(WallTime at, std::optional<std::uint32_t> endpoint, std::uint64_t n, std::uint64_t errors);
  // As above, of an endpoint alone: where the tool counts all requests together on its own.
  void add_endpoint_requests(WallTime at, std::uint32_t endpoint, std::uint64_t n, std::uint64_t errors);
  void add_latency(WallTime at, std::optional<std::uint32_t> endpoint, Nanoseconds latency);
  // A reading of the number of users; a bucket has the mean of its readings.
  void add_users(WallTime at, double users);
  // So many users more, or fewer, from `at` on. A bucket has the number at its end, where there were no readings.
  void add_user_change(WallTime at, int change);
  // Quantiles as the tool gave them for a stretch of `covers`: kept as long as buckets are no wider than that.
  void set_given(WallTime at, std::optional<std::uint32_t> endpoint, const Quantiles& given, Nanoseconds covers);
  // The run covered this instant.
  void cover(WallTime at);

  // Moves everything into `timeline`: buckets, endpoints, overall latency, start and end.
  void finish(LoadTimeline& timeline);

 private:
  struct Cell {
    std::uint64_t requests = 0, errors = 0;
    run::Histogram latency;
    std::optional<Quantiles> given;
    Nanoseconds given_covers{0};
  };
  struct Bucket {
    Cell all;
    std::vector<std::pair<std::uint32_t, Cell>> endpoints;  // ascending
    double users = 0;
    std::uint64_t user_readings = 0;
    std::int64_t user_change = 0;
  };
  struct Recent {
    WallTime from, to;  // empty: not in use
    Bucket* bucket = nullptr;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  Bucket& bucket_at(WallTime at);
  Bucket& find_bucket(WallTime at);
  Cell& cell_of(Bucket& bucket, std::uint32_t endpoint);
  void record(Cell& cell, Nanoseconds latency);
  void widen();
  void merge(Cell& into, const Cell& from);

  std::int64_t width_ = 1;                  // seconds
  std::map<std::int64_t, Bucket> buckets_;  // by first second / width_
  Recent recent_[2];                        // the last one first
  std::size_t cells_ = 0, entries_ = 0;
  bool counts_changes_ = false;
  std::vector<std::string> endpoints_;
  std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> endpoint_index_;
  std::optional<WallTime> first_, last_;
};

}  // namespace camprobe::load
