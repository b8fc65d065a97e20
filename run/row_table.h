// run/row_table.h
//
// Rows that gather under a key of whole numbers until they are written: found by hash as they are counted, which
// happens for every record, and put in the key's order once, when they are written, so that the database appends to its
// trees instead of jumping about in them.
//
// One thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace camprobe::run {

template <typename Row, std::size_t Parts>
class RowTable {
 public:
  using Key = std::array<std::int64_t, Parts>;

  bool empty() const { return rows_.empty(); }
  std::size_t size() const { return rows_.size(); }

  // The row under `key`: `fresh` where there was none, and whether that is so. Holds until the next call.
  std::pair<Row*, bool> try_emplace(const Key& key, const Row& fresh) {
    if ((rows_.size() + 1) * 2 > index_.size()) grow();
    std::size_t at = home(key);
    for (; index_[at] != 0; at = (at + 1) & (index_.size() - 1)) {
      auto& [known, row] = rows_[index_[at] - 1];
      if (known == key) return {&row, false};
    }
    rows_.emplace_back(key, fresh);
    index_[at] = static_cast<std::uint32_t>(rows_.size());
    return {&rows_.back().second, true};
  }
  void insert_or_assign(const Key& key, const Row& row) {
    const auto [at, is_new] = try_emplace(key, row);
    if (!is_new) *at = row;
  }

  // All rows in the order of their keys. Nothing can be looked up any more afterwards.
  const std::vector<std::pair<Key, Row>>& take_sorted() {
    index_.clear();
    std::sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return rows_;
  }

 private:
  std::size_t home(const Key& key) const {
    std::uint64_t hash = 0;
    for (const std::int64_t part : key) {
      hash = (hash ^ static_cast<std::uint64_t>(part)) * 0x9e3779b97f4a7c15ull;
      hash ^= hash >> 32;
    }
    return static_cast<std::size_t>(hash) & (index_.size() - 1);
  }
  void grow() {
    index_.assign(index_.empty() ? 64 : index_.size() * 2, 0);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      std::size_t at = home(rows_[i].first);
      while (index_[at] != 0) at = (at + 1) & (index_.size() - 1);
      index_[at] = static_cast<std::uint32_t>(i + 1);
    }
  }

  std::vector<std::pair<Key, Row>> rows_;
  std::vector<std::uint32_t> index_;  // a power of two; position in rows_ + 1, 0 empty
};

}  // namespace camprobe::run
