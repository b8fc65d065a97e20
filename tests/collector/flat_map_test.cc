// A map whose entries come and go, beside one that is known to be right.
#include "collector/drain/flat_map.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace camprobe::drain {
namespace {

void expect_same(FlatMap<std::uint64_t>& map, const std::unordered_map<std::uint64_t, std::uint64_t>& truth) {
  ASSERT_EQ(map.size(), truth.size());
  std::size_t visited = 0;
  map.each([&](std::uint64_t key, std::uint64_t value) {
    ++visited;
    const auto known = truth.find(key);
    ASSERT_NE(known, truth.end()) << key;
    EXPECT_EQ(known->second, value);
  });
  EXPECT_EQ(visited, truth.size());
  for (const auto& [key, value] : truth) {
    const std::uint64_t* found = map.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(*found, value);
  }
}

TEST(FlatMap, HoldsWhatWasPutInAndNotTakenOut) {
  std::mt19937_64 random(1);
  FlatMap<std::uint64_t> map;
  std::unordered_map<std::uint64_t, std::uint64_t> truth;
  for (int round = 0; round < 40; ++round) {
    // Few keys, so that they meet again; every other round mostly takes out.
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t key = 1 + random() % 3000;
      if (random() % 10 < (round % 2 == 0 ? 7u : 3u)) {
        const auto [value, is_new] = map.at(key);
        EXPECT_EQ(is_new, truth.count(key) == 0);
        if (is_new) {
          EXPECT_EQ(*value, 0u);
        }
        *value = truth[key] = random();
      } else {
        EXPECT_EQ(map.erase(key), truth.erase(key) == 1);
      }
    }
    expect_same(map, truth);
    if (round % 10 == 9) {
      map.clear();
      truth.clear();
      expect_same(map, truth);
    }
  }
}

TEST(FlatMap, AsksForEachEntryOnceWhenSomeAreTakenOut) {
  FlatMap<int> map;
  for (std::uint64_t key = 1; key <= 10'000; ++key) *map.at(key << 16 | 7).first = 0;
  std::size_t asked = 0;
  map.erase_if([&](std::uint64_t key, int& count) {
    ++asked;
    EXPECT_EQ(++count, 1) << "asked twice";
    return (key >> 16) % 3 == 0;
  });
  EXPECT_EQ(asked, 10'000u);
  EXPECT_EQ(map.size(), 10'000u - 3'333u);
  map.each([&](std::uint64_t key, int count) {
    EXPECT_NE((key >> 16) % 3, 0u);
    EXPECT_EQ(count, 1);
  });
}

TEST(FlatMap, HasNothingUnderZero) {
  FlatMap<int> map;
  EXPECT_EQ(map.find(0), nullptr);
  map.at(1);
  EXPECT_EQ(map.find(0), nullptr);
  EXPECT_FALSE(map.erase(0));
}

}  // namespace
}  // namespace camprobe::drain
