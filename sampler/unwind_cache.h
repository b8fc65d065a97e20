// sampler/unwind_cache.h
//
// The step rules learnt so far, shared by all threads: a lossy hash table without locks.
//
// An entry is two words, `key ^ rule` and `rule`, each written and read on its own. A reader that meets half of an old
// entry and half of a new one finds a key that is not its own (keys are scattered over 64 bits, so a false match has
// probability 2^-64 or so) and treats it as a miss. Nothing is ever removed: the key contains the generation of the set
// of loaded modules, and when a module is unloaded the next generation simply never finds the entries of the last.
// Async-signal-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "sampler/unwind_rule.h"

namespace camprobe::sampler {

// Mixed into every key; differs for each generation of loaded modules.
struct Generation {
  std::uint64_t salt;
};

// `generation` counts from 0. The top bit is set, so that no key of a user-space pc is 0, an empty entry's.
constexpr Generation generation_of(std::uint64_t generation) {
  std::uint64_t z = generation * 0x9e3779b97f4a7c15;  // splitmix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return {(z ^ z >> 31) | 1ULL << 63};
}

template <unsigned kLogEntries>
class RuleCache {
 public:
  // The rule for `pc`, or kUnknown.
  Rule find(std::uintptr_t pc, Generation generation) const {
    const std::uint64_t key = key_of(pc, generation);
    const Entry* pair = entries_ + pair_of(key);
    const std::uint64_t first = pair[0].rule.load(std::memory_order_relaxed);
    if ((pair[0].check.load(std::memory_order_relaxed) ^ first) == key) [[likely]] {
      return Rule(first);
    }
    const std::uint64_t second = pair[1].rule.load(std::memory_order_relaxed);
    return (pair[1].check.load(std::memory_order_relaxed) ^ second) == key ? Rule(second) : Rule();
  }

  // Keeps `rule`; the pair's newer entry moves to second place and the older one is lost.
  void keep(std::uintptr_t pc, Generation generation, Rule rule) {
    const std::uint64_t key = key_of(pc, generation);
    Entry* pair = entries_ + pair_of(key);
    copy(pair[0].check.load(std::memory_order_relaxed), pair[0].rule.load(std::memory_order_relaxed), &pair[1]);
    copy(key ^ rule.bits(), rule.bits(), &pair[0]);
  }

  // The pair a pc falls into, for tests of collisions.
  static std::uint64_t place_of(std::uintptr_t pc, Generation generation) { return pair_of(key_of(pc, generation)); }

 private:
  struct Entry {
    std::atomic<std::uint64_t> check;
    std::atomic<std::uint64_t> rule;
  };

  // A bijection of the pc within one generation.
  static std::uint64_t key_of(std::uintptr_t pc, Generation generation) {
    return (pc ^ generation.salt) * 0x9e3779b97f4a7c15;
  }
  static std::uint64_t pair_of(std::uint64_t key) { return key >> (64 - kLogEntries) & ~std::uint64_t{1}; }

  static void copy(std::uint64_t check, std::uint64_t rule, Entry* to) {
    to->check.store(check, std::memory_order_relaxed);
    to->rule.store(rule, std::memory_order_relaxed);
  }

  alignas(64) Entry entries_[1u << kLogEntries];
};

}  // namespace camprobe::sampler
