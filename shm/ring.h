// shm/ring.h
//
// The flight recorder of one thread: fixed slots, the oldest overwritten. The one writer never waits for a reader and
// never reads what a reader wrote; readers notice by the sequence numbers that they were lapped, and count it.
//
// Each lane has two rings, one for normal code and one for its signal handlers, so that a handler which interrupts a
// write never writes to the same ring. (Handlers of one thread do not nest here: the CPU signal blocks itself.)
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/layout.h"
#include "shm/reservation.h"

namespace camprobe::shm {

class RingWriter {
 public:
  void attach(RingHeader* header, Record* slots, std::uint32_t capacity) {
    header_ = header;
    slots_ = slots;
    mask_ = capacity - 1;
    reserved_ = ~std::uint64_t{0};
  }

  // The same where no slot may be reserved yet, at `offset` in the region: a thread, or a forked child, that records
  // little takes little. A record for which there is no room is counted in `lost`, and not written.
  void attach(RingHeader* header, char* base, std::uint64_t offset, std::uint32_t capacity, Reservation* reservation,
              std::atomic<std::uint64_t>* lost) {
    attach(header, reinterpret_cast<Record*>(base + offset), capacity);
    reserved_ = 0;
    offset_ = offset;
    reservation_ = reservation;
    lost_ = lost;
  }

  // Writes one record. `words` are the payload's 32 bytes.
  void write(std::uint64_t time_ns, RecordKind kind, std::uint16_t flags, StackId stack, SpanId span,
             const std::uint64_t (&words)[4]) {
    const std::uint64_t n = header_->head.load(std::memory_order_relaxed);
    if (n >= reserved_ && !reserve(n)) [[unlikely]]
      return;
    Record& slot = slots_[n & mask_];
    slot.sequence.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // the 0 is seen before any of the new payload
    slot.time_ns = time_ns;
    slot.kind = kind;
    slot.flags = flags;
    slot.stack = stack;
    slot.span = span;
    for (int i = 0; i < 4; ++i) slot.payload.words[i] = words[i];
    slot.sequence.store(n + 1, std::memory_order_release);
    header_->head.store(n + 1, std::memory_order_release);
  }

  // The same with a payload struct of record.h.
  template <typename Payload>
  void write(std::uint64_t time_ns, RecordKind kind, std::uint16_t flags, StackId stack, SpanId span,
             const Payload& payload) {
    static_assert(sizeof(Payload) == 32);
    std::uint64_t words[4];
    __builtin_memcpy(words, &payload, sizeof words);
    write(time_ns, kind, flags, stack, span, words);
  }

 private:
  // Record n is the first in a page that this writer has not asked about.
  [[gnu::noinline, gnu::cold]] bool reserve(std::uint64_t n) {
    if (n > mask_) {  // every slot has been written before
      reserved_ = ~std::uint64_t{0};
      return true;
    }
    const std::uint64_t at = offset_ + n * sizeof(Record);
    if (!reservation_->ensure(at, sizeof(Record))) {
      lost_->fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    const std::uint64_t page_end = (at / kPage + 1) * kPage;
    reserved_ = n + (page_end - at) / sizeof(Record);
    return true;
  }

  RingHeader* header_ = nullptr;
  Record* slots_ = nullptr;
  std::uint64_t mask_ = 0;
  std::uint64_t reserved_ = ~std::uint64_t{0};  // records below this number have a page
  std::uint64_t offset_ = 0;
  Reservation* reservation_ = nullptr;
  std::atomic<std::uint64_t>* lost_ = nullptr;
};

}  // namespace camprobe::shm
