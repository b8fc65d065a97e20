// collector/drain/two_generations.h
//
// A map that remembers what comes again and again, of keys of which there are new ones for ever, in bounded memory:
// when the young half is full it becomes the old one, and the old one goes. What is found in the old half is young
// again.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

namespace camprobe::drain {

template <typename Key, typename Value, typename Hash = std::hash<Key>>
class TwoGenerations {
 public:
  explicit TwoGenerations(std::size_t a_generation) : a_generation_(a_generation) {}

  // Until the next call; nullptr: not known, or not any more.
  const Value* find(const Key& key) {
    const auto young = young_.find(key);
    if (young != young_.end()) return &young->second;
    const auto old = old_.find(key);
    if (old == old_.end()) return nullptr;
    remember(key, Value(old->second));
    return &young_.find(key)->second;
  }

  void remember(const Key& key, Value value) {
    if (young_.size() >= a_generation_) {
      std::swap(old_, young_);
      young_.clear();
    }
    young_.insert_or_assign(key, std::move(value));
  }

  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  std::size_t a_generation_;
  std::unordered_map<Key, Value, Hash> young_, old_;
};

}  // namespace camprobe::drain
