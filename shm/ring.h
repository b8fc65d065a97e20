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

namespace camprobe::shm {

class RingWriter {
 public:
  void attach(RingHeader* header, Record* slots, std::uint32_t capacity) {
    header_ = header;
    slots_ = slots;
    mask_ = capacity - 1;
  }

  // Writes one record. `words` are the payload's 32 bytes.
  void write(std::uint64_t time_ns, RecordKind kind, std::uint16_t flags, StackId stack, SpanId span,
             const std::uint64_t (&words)[4]) {
    const std::uint64_t n = header_->head.load(std::memory_order_relaxed);
    Record& slot = slots_[n & mask_];
    slot.sequence.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // the 0 is seen before any of the new payload
    slot.time_ns = time_ns;
    slot.kind = kind;
    slot.flags = flags;
    slot.stack = stack;
    slot.span = span;
    for (int i = 0; i < 4; ++i) slot.words[i] = words[i];
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
  RingHeader* header_ = nullptr;
  Record* slots_ = nullptr;
  std::uint64_t mask_ = 0;
};

}  // namespace camprobe::shm
