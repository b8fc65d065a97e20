// collector/symbols/interval_index.h
//
// Address ranges that may nest and overlap, and the innermost one that holds an address in O(log n).
//
// Sorted by begin; `reach_[i]` is the furthest end among the first i+1, so that walking back from the last range that
// begins at or before an address stops as soon as nothing earlier can reach it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace camprobe::symbols {

template <typename Value>
class IntervalIndex {
 public:
  struct Interval {
    std::uint64_t low = 0;
    std::uint64_t high = 0;  // one past the last address
    Value value{};
  };

  // Ranges that are empty or turned round are left out.
  void add(std::uint64_t low, std::uint64_t high, Value value) {
    if (low < high) intervals_.push_back({low, high, std::move(value)});
  }

  // To be called after the last add() and before the first find(). Of two ranges with one begin the shorter is inner.
  void sort() {
    std::stable_sort(intervals_.begin(), intervals_.end(), [](const Interval& a, const Interval& b) {
      return a.low != b.low ? a.low < b.low : a.high > b.high;
    });
    reach_.resize(intervals_.size());
    std::uint64_t furthest = 0;
    for (std::size_t i = 0; i < intervals_.size(); ++i) reach_[i] = furthest = std::max(furthest, intervals_[i].high);
    intervals_.shrink_to_fit();
  }

  const Interval* find(std::uint64_t address) const {
    auto after = std::upper_bound(intervals_.begin(), intervals_.end(), address,
                                  [](std::uint64_t wanted, const Interval& interval) { return wanted < interval.low; });
    for (auto i = static_cast<std::size_t>(after - intervals_.begin()); i-- > 0 && reach_[i] > address;) {
      if (intervals_[i].high > address) return &intervals_[i];
    }
    return nullptr;
  }

  std::size_t size() const { return intervals_.size(); }
  std::size_t bytes() const {
    return intervals_.capacity() * sizeof(Interval) + reach_.capacity() * sizeof(std::uint64_t);
  }

 private:
  std::vector<Interval> intervals_;
  std::vector<std::uint64_t> reach_;
};

}  // namespace camprobe::symbols
