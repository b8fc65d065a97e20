// collector/drain/flat_map.h
//
// A hash map from the ids that records carry (samples, spans, texts; never 0) to small values, all in one piece of
// memory: what is looked up for every record must not cost an allocation and three cache misses.
//
// Open addressing with linear probing. Erasing moves the entries behind back, so that there are no tombstones and a map
// whose entries come and go for days stays as fast as a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace camprobe::drain {

template <typename Value>
class FlatMap {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Pointers hold until the next insertion or erasure.
  Value* find(std::uint64_t key) {
    if (size_ == 0 || key == 0) return nullptr;
    for (std::size_t at = home(key);; at = next(at)) {
      if (slots_[at].key == key) return &slots_[at].value;
      if (slots_[at].key == 0) return nullptr;
    }
  }

  // The value under `key`, which must not be 0, and whether it is new (then it is as Value{} makes it).
  std::pair<Value*, bool> at(std::uint64_t key) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    std::size_t at = home(key);
    for (; slots_[at].key != 0; at = next(at)) {
      if (slots_[at].key == key) return {&slots_[at].value, false};
    }
    slots_[at].key = key;
    slots_[at].value = Value{};
    ++size_;
    return {&slots_[at].value, true};
  }

  bool erase(std::uint64_t key) {
    Value* found = find(key);
    if (found == nullptr) return false;
    std::size_t hole = home(key);
    while (slots_[hole].key != key) hole = next(hole);
    // Whoever stands behind the hole, and not before its own home, moves into it.
    for (std::size_t at = next(hole); slots_[at].key != 0; at = next(at)) {
      const std::size_t wanted = home(slots_[at].key);
      if (((at - wanted) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = std::move(slots_[at]);
      hole = at;
    }
    slots_[hole] = Slot{};
    --size_;
    return true;
  }

  // Keeps no more memory than the entries there were need.
  void clear() {
    if (slots_.size() > 64 && size_ * 8 < slots_.size()) {
      slots_ = std::vector<Slot>(slots_.size() / 2);
    } else {
      for (Slot& slot : slots_) slot = Slot{};
    }
    size_ = 0;
  }

  template <typename Visit>
  void each(Visit visit) {
    for (Slot& slot : slots_) {
      if (slot.key != 0) visit(slot.key, slot.value);
    }
  }
  template <typename Visit>
  void each(Visit visit) const {
    for (const Slot& slot : slots_) {
      if (slot.key != 0) visit(slot.key, slot.value);
    }
  }

  // Takes out those that `is_out(key, value)` says yes to; it is asked once for each.
  template <typename IsOut>
  void erase_if(IsOut is_out) {
    std::vector<std::uint64_t> out;
    each([&](std::uint64_t key, Value& value) {
      if (is_out(key, value)) out.push_back(key);
    });
    for (const std::uint64_t key : out) erase(key);
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Value value{};
  };
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  // Ids count upwards or carry a slot number in their low bits: the multiplication spreads both.
  std::size_t home(std::uint64_t key) const {
    const std::uint64_t mixed = (key ^ (key >> 32)) * 0x9e3779b97f4a7c15ull;
    return static_cast<std::size_t>(mixed >> 32) & mask();
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 64 : slots_.size() * 2));
    for (Slot& slot : old) {
      if (slot.key == 0) continue;
      std::size_t at = home(slot.key);
      while (slots_[at].key != 0) at = next(at);
      slots_[at] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace camprobe::drain
