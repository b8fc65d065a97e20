// collector/load/series.h
//
// Adds requests up into a LoadTimeline's buckets, in any order of time and in bounded memory.
//
// Rows of load tools come in the order in which requests ended, so their start times run backwards by as much as the
// longest request took: no order is asked for. Buckets are one second wide. Once there would be more than kMostBuckets
// of them, or kMostCells endpoints in them, all are folded into wider ones (10 s, 60 s, 10 min, ...): four hours stay
// at full resolution, and 72 hours fit. The first kMostEndpoints endpoints keep their names; later ones are added up
// under "other".
#pragma once

#include <cstdint>
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

  // The index of an endpoint by its name; nothing for an empty one.
  std::optional<std::uint32_t> endpoint(std::string_view name);

  // `n` requests sent at `at`, of which `errors` failed.
  void add_requests(WallTime at, std::optional<std::uint32_t> endpoint, std::uint64_t n, std::uint64_t errors);
  void add_latency(WallTime at, std::optional<std::uint32_t> endpoint, Nanoseconds latency);
  // A reading of the number of users; a bucket has the mean of its readings.
  void add_users(WallTime at, double users);
  // The run covered this instant.
  void cover(WallTime at);

  // Moves everything into `timeline`: buckets, endpoints, overall latency, start and end.
  void finish(LoadTimeline& timeline);

 private:
  struct Cell {
    std::uint64_t requests = 0, errors = 0;
    run::Histogram latency;
  };
  struct Bucket {
    Cell all;
    std::vector<std::pair<std::uint32_t, Cell>> endpoints;  // ascending
    double users = 0;
    std::uint64_t user_readings = 0;
  };

  Bucket& bucket_at(WallTime at);
  Cell& cell_of(Bucket& bucket, std::uint32_t endpoint);
  void widen();
  static void merge(Cell& into, const Cell& from);

  std::int64_t width_ = 1;                  // seconds
  std::map<std::int64_t, Bucket> buckets_;  // by first second / width_
  std::size_t cells_ = 0;
  std::vector<std::string> endpoints_;
  std::unordered_map<std::string, std::uint32_t> endpoint_index_;
  std::optional<WallTime> first_, last_;
};

}  // namespace camprobe::load
