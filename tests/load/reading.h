// tests/load/reading.h: how the tests of the adapters feed them, and what must hold of every timeline.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/describe.h"

namespace camprobe::load {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(CAMPROBE_SOURCE_DIR) / "tests/load/fixtures" / name;
}

// Larger outputs of the real tools, kept beside the repository where there is room for them.
inline std::filesystem::path large_fixture(const std::string& name) {
  return std::filesystem::path(CAMPROBE_SOURCE_DIR).parent_path() / "shared/data/load-tools" / name;
}

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << (path) << " is not here"

// Tiny chunks, so that every row is cut somewhere.
inline run::Result<LoadTimeline> read_text(const std::string& text, std::size_t chunk = 7) {
  return read_load_results(memory_input(text, chunk), "test");
}

inline LoadTimeline must_read(const std::string& text, std::size_t chunk = 7) {
  run::Result<LoadTimeline> timeline = read_text(text, chunk);
  EXPECT_TRUE(timeline.ok()) << timeline.error();
  return timeline.ok() ? std::move(timeline).value() : LoadTimeline{};
}

inline std::uint64_t requests_in_buckets(const LoadTimeline& timeline) {
  return std::accumulate(timeline.buckets.begin(), timeline.buckets.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const LoadBucket& bucket) { return sum + bucket.all.requests; });
}

inline std::uint64_t errors_in_buckets(const LoadTimeline& timeline) {
  return std::accumulate(timeline.buckets.begin(), timeline.buckets.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const LoadBucket& bucket) { return sum + bucket.all.errors; });
}

inline const LoadBucket* bucket_at(const LoadTimeline& timeline, const std::string& time) {
  const auto at = parse_rfc3339(time);
  for (const LoadBucket& bucket : timeline.buckets) {
    if (at && bucket.from == at->at) return &bucket;
  }
  return nullptr;
}

}  // namespace camprobe::load
