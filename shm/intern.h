// shm/intern.h
//
// Append-only interning in shared memory: the same bytes always get the same id. One mechanism for the stack depot
// (bytes = program counters), for the name table (bytes = text), and for the two tables of CPU samples' stacks, which
// alone are emptied now and then (shm/sample_depot.h).
//
//   InternHeader | index: u32 slots, 0 empty, else an id | arena: entries, an id is the entry's offset / 8
//
// An entry is written before its id is put into the index by compare-and-swap, so a reader, or another writer, that
// finds an id finds a whole entry; a writer killed in between leaves a few unreachable bytes.
//
// Async-signal-safe, lock-free, re-entrant (a handler may intern while the same thread interns).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "shm/layout.h"
#include "shm/reservation.h"

namespace camprobe::shm {

struct InternHeader {
  std::atomic<std::uint64_t> arena_used;  // bytes handed out; the first 8 are never used, so that no id is 0
  std::atomic<std::uint64_t> entries;     // reachable ones
  // Of a table that is used in turns: which it holds the stacks of (kNoTurn: it is being emptied), and who writes to
  // it.
  std::atomic<std::uint32_t> turn;
  std::atomic<std::uint32_t> writers;
  std::uint64_t reserved[5];
};
static_assert(sizeof(InternHeader) == 64);
inline constexpr std::uint32_t kNoTurn = ~std::uint32_t{0};

struct InternEntry {
  std::uint32_t hash;
  std::uint32_t bytes;  // of what follows; padded to 8
};
static_assert(sizeof(InternEntry) == 8);

// FNV-1a over 8-byte words with a final mix: short keys, no tables, the same in probe and tests.
inline std::uint32_t intern_hash(const void* data, std::uint32_t bytes) {
  const unsigned char* at = static_cast<const unsigned char*>(data);
  std::uint64_t hash = 0xcbf29ce484222325ull ^ bytes;
  std::uint32_t left = bytes;
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  for (; left > 0; --left, ++at) hash = (hash ^ *at) * 0x100000001b3ull;
  hash ^= hash >> 32;
  const auto folded = static_cast<std::uint32_t>(hash);
  return folded != 0 ? folded : 1;
}

class InternTable {
 public:
  static constexpr std::uint32_t kProbes = 64;

  void attach(char* base, Reservation* reservation, std::uint64_t index_offset, std::uint32_t slots,
              std::uint64_t arena_offset, std::uint64_t arena_bytes) {
    base_ = base;
    reservation_ = reservation;
    index_offset_ = index_offset;
    slots_ = slots;
    arena_offset_ = arena_offset;
    arena_bytes_ = arena_bytes;
  }

  // The id of these bytes; 0 when the table is full, the bytes are more than 64 KiB or /dev/shm has no room.
  std::uint32_t intern(const void* data, std::uint32_t bytes) {
    if (base_ == nullptr || bytes > 65536) return 0;
    if (!reservation_->ensure(index_offset_, sizeof(InternHeader))) return 0;
    const std::uint32_t hash = intern_hash(data, bytes);
    std::uint32_t fresh = 0;  // our own entry, once one was needed
    for (std::uint32_t probe = 0; probe < kProbes; ++probe) {
      const std::uint32_t at = (hash + probe) & (slots_ - 1);
      const std::uint64_t slot_offset = index_offset_ + sizeof(InternHeader) + std::uint64_t{at} * 4;
      if (!reservation_->ensure(slot_offset, 4)) return 0;
      auto& slot = *reinterpret_cast<std::atomic<std::uint32_t>*>(base_ + slot_offset);
      std::uint32_t id = slot.load(std::memory_order_acquire);
      if (id == 0) {
        if (fresh == 0) fresh = append(hash, data, bytes);
        if (fresh == 0) return 0;
        if (slot.compare_exchange_strong(id, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) {
          header()->entries.fetch_add(1, std::memory_order_relaxed);
          return fresh;
        }
      }
      if (holds(id, hash, data, bytes)) return id;
    }
    return 0;
  }

  // Whether the entry `id`, which intern() gave, has these bytes; `hash` is intern_hash() of them.
  bool holds(std::uint32_t id, std::uint32_t hash, const void* data, std::uint32_t bytes) const {
    const auto* entry = reinterpret_cast<const InternEntry*>(base_ + arena_offset_ + std::uint64_t{id} * 8);
    return entry->hash == hash && entry->bytes == bytes && std::memcmp(entry + 1, data, bytes) == 0;
  }

 private:
  InternHeader* header() { return reinterpret_cast<InternHeader*>(base_ + index_offset_); }

  std::uint32_t append(std::uint32_t hash, const void* data, std::uint32_t bytes) {
    const std::uint64_t need = sizeof(InternEntry) + (std::uint64_t{bytes} + 7) / 8 * 8;
    // Looked at before it is taken: a full arena must not creep towards overflow with every miss.
    if (header()->arena_used.load(std::memory_order_relaxed) + 8 + need > arena_bytes_) return 0;
    const std::uint64_t offset = 8 + header()->arena_used.fetch_add(need, std::memory_order_relaxed);
    if (offset + need > arena_bytes_) return 0;
    if (!reservation_->ensure(arena_offset_ + offset, need)) return 0;
    auto* entry = reinterpret_cast<InternEntry*>(base_ + arena_offset_ + offset);
    entry->hash = hash;
    entry->bytes = bytes;
    std::memcpy(entry + 1, data, bytes);
    return static_cast<std::uint32_t>(offset / 8);
  }

  char* base_ = nullptr;
  Reservation* reservation_ = nullptr;
  std::uint64_t index_offset_ = 0;
  std::uint32_t slots_ = 0;
  std::uint64_t arena_offset_ = 0;
  std::uint64_t arena_bytes_ = 0;
};

}  // namespace camprobe::shm
