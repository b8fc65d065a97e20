// shm/sample_depot.h
//
// The depot of CPU samples' stacks, which forgets. Of these there are new ones as long as a program runs: a depot that
// keeps all of them is full after a day, or after an hour on a large machine, and from then on a sample has no callers.
// But once a collector has read a sample, its stack is of no use to anybody in here any more.
//
// So there are two tables, used in turns. A turn ends when its table is full or has been used for ten minutes; then the
// other table, whose stacks are a whole turn old, is emptied and used. An id names the turn it was given in, and a
// reader that comes more than a turn too late gets nothing rather than another stack.
//
//   bit 31  always set: no id of the other depot has it
//   bits 17..30  the turn, modulo 2^14 (113 days of ten minutes)
//   bits 0..16   offset / 8 in the turn's arena
//
// A thread may be stopped in the middle of writing a stack, and the table be emptied under it two turns later. So each
// table counts who is writing to it, and is emptied only when nobody is; until then samples go without callers
// (counted). The counter is raised before the turn is looked at again: whoever empties a table either sees the writer,
// or is seen by it (all of that is sequentially consistent).
//
// Async-signal-safe, lock-free. Only from handlers that no other signal interrupts: one that forks in between would
// leave a writer behind in the child.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "shm/intern.h"
#include "shm/layout.h"
#include "shm/reservation.h"

namespace camprobe::shm {

inline constexpr StackId kSampleStackBit = 1u << 31;
inline constexpr std::uint32_t kTurnShift = 17, kTurns = 1u << 14;
static_assert(kSampleArenaBytes / 8 == 1u << kTurnShift);

constexpr bool is_sample_stack(StackId id) {
  return (id & kSampleStackBit) != 0;
}
// Modulo kTurns.
constexpr std::uint32_t turn_of(StackId id) {
  return (id >> kTurnShift) & (kTurns - 1);
}

class SampleDepot {
 public:
  static constexpr std::uint64_t kTurnNs = 600'000'000'000;

  void attach(char* base, Reservation* reservation, std::atomic<std::uint32_t>* turn) {
    base_ = base;
    reservation_ = reservation;
    turn_ = turn;
    is_turning_.store(false, std::memory_order_relaxed);
    began_ns_.store(0, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < kSampleTables; ++i) {
      tables_[i].attach(base, reservation, sample_index_offset(i), kSampleSlots, sample_arena_offset(i),
                        kSampleArenaBytes);
    }
  }

  // As InternTable::intern(); `now_ns` on any clock that does not go back.
  StackId intern(const void* data, std::uint32_t bytes, std::uint64_t now_ns) {
    if (base_ == nullptr) return 0;
    for (int tries = 0; tries < 4; ++tries) {
      const std::uint32_t turn = turn_->load(std::memory_order_seq_cst);
      if (is_over(now_ns) && !begin_turn(turn, now_ns)) now_ns = 0;  // goes on in this one while it has room
      if (turn_->load(std::memory_order_seq_cst) != turn) continue;
      InternHeader* table = header(turn);
      if (table == nullptr) return 0;
      table->writers.fetch_add(1, std::memory_order_seq_cst);
      const bool is_current = turn_->load(std::memory_order_seq_cst) == turn;
      const std::uint32_t at = is_current ? tables_[turn % kSampleTables].intern(data, bytes) : 0;
      const bool is_full = is_current && at == 0 && has_no_room(*table, bytes);
      table->writers.fetch_sub(1, std::memory_order_seq_cst);
      if (at != 0) return kSampleStackBit | (turn % kTurns) << kTurnShift | at;
      if (is_current && (!is_full || !begin_turn(turn, now_ns))) return 0;
    }
    return 0;
  }

 private:
  // The header of a turn's table; nullptr: /dev/shm has no room for it.
  InternHeader* header(std::uint32_t turn) const {
    const std::uint64_t offset = sample_index_offset(turn % kSampleTables);
    if (!reservation_->ensure(offset, sizeof(InternHeader))) return nullptr;
    return reinterpret_cast<InternHeader*>(base_ + offset);
  }

  static bool has_no_room(const InternHeader& table, std::uint32_t bytes) {
    return table.arena_used.load(std::memory_order_relaxed) + sizeof(InternEntry) + bytes + 16 > kSampleArenaBytes ||
           table.entries.load(std::memory_order_relaxed) >= kSampleSlots / 4 * 3;
  }

  bool is_over(std::uint64_t now_ns) {
    std::uint64_t began = began_ns_.load(std::memory_order_relaxed);
    if (began == 0 && now_ns != 0) began_ns_.compare_exchange_strong(began, now_ns, std::memory_order_relaxed);
    return began != 0 && now_ns > began && now_ns - began > kTurnNs;
  }

  // Ends `turn`, if nobody has yet. False: it has to go on.
  bool begin_turn(std::uint32_t turn, std::uint64_t now_ns) {
    InternHeader* next = header(turn + 1);
    if (next == nullptr || is_turning_.exchange(true, std::memory_order_acquire)) return false;
    bool is_done = turn_->load(std::memory_order_seq_cst) != turn;
    if (!is_done && next->writers.load(std::memory_order_seq_cst) == 0) {
      empty(*next, turn + 1);
      began_ns_.store(now_ns, std::memory_order_relaxed);
      turn_->store(turn + 1, std::memory_order_seq_cst);
      is_done = true;
    }
    is_turning_.store(false, std::memory_order_release);
    return is_done;
  }

  void empty(InternHeader& table, std::uint32_t turn) {
    table.turn.store(kNoTurn, std::memory_order_seq_cst);  // readers of what goes now find out
    const std::uint64_t begin = sample_index_offset(turn % kSampleTables), slots = begin + sizeof(InternHeader);
    for (std::uint64_t page = begin; page < slots + kSampleSlots * 4ull; page += kPage) {
      if (!reservation_->is_reserved(page)) continue;  // zeros, and a store to it may end the program
      const std::uint64_t from = page > slots ? page : slots;
      std::memset(base_ + from, 0, page + kPage - from);
    }
    table.arena_used.store(0, std::memory_order_relaxed);
    table.entries.store(0, std::memory_order_relaxed);
    table.turn.store(turn, std::memory_order_seq_cst);
  }

  char* base_ = nullptr;
  Reservation* reservation_ = nullptr;
  std::atomic<std::uint32_t>* turn_ = nullptr;
  std::atomic<bool> is_turning_{false};
  std::atomic<std::uint64_t> began_ns_{0};  // the present turn; 0: with its first stack
  InternTable tables_[kSampleTables];
};

}  // namespace camprobe::shm
