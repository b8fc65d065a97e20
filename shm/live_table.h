// shm/live_table.h
//
// The truth about the live heap: one entry for each sampled allocation not freed yet. After SIGKILL it is still there.
//
// Keys and samples are two arrays with the same index. Eight keys make a bucket, one cache line; an address may lie in
// either of two buckets (two hashes), and goes into the emptier one (Azar et al., "Balanced Allocations", 1999: with
// two choices buckets of eight stay clear of overflow up to a load of about 0.9). Erasing stores 0: no tombstones, so a
// lookup after ten million samples costs what the first one cost: two cache lines.
//
// A key is stored after its sample, so whoever reads a key reads a whole sample (readers check the key again after
// copying). An address has one owner at a time (the thread that got it from malloc, then the one that frees it), so no
// two threads insert the same key at once. Async-signal-safe, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/layout.h"
#include "shm/reservation.h"

namespace camprobe::shm {

inline constexpr std::uint32_t kBucket = 8;
inline constexpr std::uint32_t kBuckets = kLiveSamples / kBucket;
// A key being filled in. Not an address: malloc's are aligned, and a mapping's key is its address + 1.
inline constexpr std::uint64_t kKeyReserved = 2;

// Mappings share the table with heap blocks; a mapping is page aligned, so its key is told apart by the lowest bit.
constexpr std::uint64_t mapping_key(std::uint64_t address) {
  return address | 1;
}
constexpr bool is_mapping_key(std::uint64_t key) {
  return (key & 1) != 0;
}

struct BucketPair {
  std::uint32_t first, second;
};
constexpr BucketPair live_buckets(std::uint64_t key) {
  const std::uint64_t a = (key >> 4 ^ (key & 1)) * 0x9e3779b97f4a7c15ull;
  const std::uint64_t b = (a ^ (a >> 31)) * 0xbf58476d1ce4e5b9ull;
  return {static_cast<std::uint32_t>(a >> 40) & (kBuckets - 1), static_cast<std::uint32_t>(b >> 40) & (kBuckets - 1)};
}

class LiveTable {
 public:
  void attach(char* base, Reservation* reservation, std::atomic<std::uint64_t>* live_samples) {
    base_ = base;
    reservation_ = reservation;
    live_ = live_samples;
  }

  // False: both buckets full, or no room in /dev/shm. The caller counts the loss.
  bool insert(std::uint64_t key, const LiveSample& sample) {
    if (base_ == nullptr) return false;
    const BucketPair pair = live_buckets(key);
    if (!ensure_keys(pair.first) || !ensure_keys(pair.second)) return false;
    const std::uint32_t in_first = occupied(pair.first);
    const std::uint32_t in_second = pair.second == pair.first ? kBucket : occupied(pair.second);
    const std::uint32_t order[2] = {in_second < in_first ? pair.second : pair.first,
                                    in_second < in_first ? pair.first : pair.second};
    for (const std::uint32_t bucket : order) {
      for (std::uint32_t i = 0; i < kBucket; ++i) {
        const std::uint32_t slot = bucket * kBucket + i;
        std::uint64_t empty = 0;
        if (keys()[slot].load(std::memory_order_relaxed) != 0) continue;
        if (!reservation_->ensure(kLiveSamplesOffset + slot * sizeof(LiveSample), sizeof(LiveSample))) return false;
        if (!keys()[slot].compare_exchange_strong(empty, kKeyReserved, std::memory_order_acq_rel)) continue;
        samples()[slot] = sample;
        keys()[slot].store(key, std::memory_order_release);
        live_->fetch_add(1, std::memory_order_relaxed);
        return true;
      }
    }
    return false;
  }

  // Takes the entry out and gives what it held. False: not there.
  bool erase(std::uint64_t key, LiveSample* out) { return take_out(key, 0, out); }

  // The same, but only the entry of this sample: after a realloc() the address may already be another block's.
  bool erase_sample(std::uint64_t key, std::uint64_t sample, LiveSample* out) { return take_out(key, sample, out); }

  // Looks without taking out (realloc: peek, call, then commit). False: not there.
  bool peek(std::uint64_t key, LiveSample* out) const {
    const std::int64_t slot = find(key);
    if (slot < 0) return false;
    *out = samples()[slot];
    return true;
  }

  // Share of the table in use, 0..1024.
  std::uint32_t load_per_1024() const {
    return static_cast<std::uint32_t>(live_->load(std::memory_order_relaxed) * 1024 / kLiveSamples);
  }

 private:
  // The slot is claimed first: of two threads that erase the same key (a realloc's commit, and whoever got the block's
  // address next and frees it) one wins.
  bool take_out(std::uint64_t key, std::uint64_t sample, LiveSample* out) {
    const std::int64_t slot = find(key);
    if (slot < 0) return false;
    std::uint64_t expected = key;
    if (!keys()[slot].compare_exchange_strong(expected, kKeyReserved, std::memory_order_acq_rel)) return false;
    if (sample != 0 && samples()[slot].sample != sample) {
      keys()[slot].store(key, std::memory_order_release);
      return false;
    }
    *out = samples()[slot];
    keys()[slot].store(0, std::memory_order_release);
    live_->fetch_sub(1, std::memory_order_relaxed);
    return true;
  }

  std::atomic<std::uint64_t>* keys() const {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(base_ + kLiveKeysOffset);
  }
  LiveSample* samples() const { return reinterpret_cast<LiveSample*>(base_ + kLiveSamplesOffset); }
  bool ensure_keys(std::uint32_t bucket) {
    return reservation_->ensure(kLiveKeysOffset + std::uint64_t{bucket} * kBucket * 8, std::uint64_t{kBucket} * 8);
  }
  // Reads of never reserved pages are safe in a shared mapping of tmpfs only while there is room (a read fault
  // allocates too), so lookups stay away from them: a bucket that was never reserved holds nothing.
  std::int64_t find(std::uint64_t key) const {
    if (base_ == nullptr) return -1;
    const BucketPair pair = live_buckets(key);
    for (const std::uint32_t bucket : {pair.first, pair.second}) {
      if (!reservation_->is_reserved(kLiveKeysOffset + std::uint64_t{bucket} * kBucket * 8)) continue;
      for (std::uint32_t i = 0; i < kBucket; ++i)
        if (keys()[bucket * kBucket + i].load(std::memory_order_acquire) == key) return bucket * kBucket + i;
    }
    return -1;
  }
  std::uint32_t occupied(std::uint32_t bucket) const {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < kBucket; ++i)
      if (keys()[bucket * kBucket + i].load(std::memory_order_relaxed) != 0) ++count;
    return count;
  }

  char* base_ = nullptr;
  Reservation* reservation_ = nullptr;
  std::atomic<std::uint64_t>* live_ = nullptr;
};

}  // namespace camprobe::shm
