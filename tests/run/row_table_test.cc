// Rows that gather under keys, beside a map that is known to be right.
#include "run/row_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace camprobe::run {
namespace {

TEST(RowTable, AddsUpUnderAKeyAndGivesTheRowsInOrder) {
  std::mt19937_64 random(1);
  RowTable<int, 3> table;
  std::map<std::array<std::int64_t, 3>, int> truth;
  for (int i = 0; i < 20'000; ++i) {
    const std::array<std::int64_t, 3> key = {static_cast<std::int64_t>(random() % 3),
                                             static_cast<std::int64_t>(random() % 2) - 1,
                                             static_cast<std::int64_t>(random() % 500) << 40};
    const auto [row, is_new] = table.try_emplace(key, 1);
    EXPECT_EQ(is_new, truth.count(key) == 0);
    if (!is_new) ++*row;
    ++truth[key];
  }
  EXPECT_EQ(table.size(), truth.size());
  auto expected = truth.begin();
  for (const auto& [key, row] : table.take_sorted()) {
    ASSERT_NE(expected, truth.end());
    EXPECT_EQ(key, expected->first);
    EXPECT_EQ(row, expected->second);
    ++expected;
  }
  EXPECT_EQ(expected, truth.end());
}

TEST(RowTable, KeepsTheLastOfSeveralThatReplaceEachOther) {
  RowTable<int, 1> table;
  EXPECT_TRUE(table.empty());
  table.insert_or_assign({7}, 1);
  table.insert_or_assign({7}, 2);
  table.insert_or_assign({-7}, 3);
  const auto& rows = table.take_sorted();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].second, 3);
  EXPECT_EQ(rows[1].second, 2);
}

}  // namespace
}  // namespace camprobe::run
