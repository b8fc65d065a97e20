// sampler/unwind_memory.h
//
// Reads words of a stack that may be corrupt, without ever faulting.
//
// On the thread's own stack everything from a little below the stack pointer (the red zone) to the top is mapped, so
// one unsigned comparison admits a read. Elsewhere the kernel is asked about each page first. Async-signal-safe.
#pragma once

#include <cstdint>

#include "sampler/unwind.h"

// Stacks hold other functions' red zones and guard words: reading them is this code's work, not a bug to report.
#if defined(__has_attribute) && __has_attribute(no_sanitize)
#define CAMPROBE_READS_STACKS __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define CAMPROBE_READS_STACKS
#endif

namespace camprobe::sampler {

inline constexpr std::uintptr_t kPageMask =
    4095;  // the smallest page; larger ones are asked about more often than needed
inline constexpr std::uintptr_t kUserSpaceEnd = 1ULL
                                                << 47;  // no stack and no code lies above, nor below kLowestAddress
inline constexpr std::uintptr_t kLowestAddress = 0x10000;

// Whether the page of `address` can be read now. One system call that changes nothing; errno is not touched.
bool page_is_readable(std::uintptr_t address);

class StackMemory {
 public:
  StackMemory(StackBounds bounds, std::uintptr_t stack_pointer) : bounds_(bounds) { enter(stack_pointer); }

  // The walk goes on at another stack pointer, perhaps on another stack: after a signal frame.
  void enter(std::uintptr_t stack_pointer) {
    low_ = size_ = 0;
    known_stack_ = stack_pointer >= bounds_.low && stack_pointer < bounds_.high && bounds_.high < kUserSpaceEnd;
    if (known_stack_ && bounds_.high - bounds_.low > kWord) {
      low_ = stack_pointer - kRedZone < bounds_.low ? bounds_.low : stack_pointer - kRedZone;
      size_ = bounds_.high - low_ >= kWord ? bounds_.high - low_ - kWord + 1 : 0;
    }
  }

  CAMPROBE_READS_STACKS bool read(std::uintptr_t address, std::uint64_t* value) {
    if (address - low_ >= size_ && !admit(address)) [[unlikely]] {
      return false;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): admit() refuses what lies below kLowestAddress
    *value = *reinterpret_cast<const volatile UnalignedWord*>(address);
    return true;
  }

  // Whether instructions at [address, address + size) can be read; size is less than a page.
  bool code_is_readable(std::uintptr_t address, std::uintptr_t size) {
    return admit_code_page(address) && admit_code_page(address + size - 1);
  }

 private:
  using UnalignedWord __attribute__((may_alias, aligned(1))) = std::uint64_t;
  static constexpr std::uintptr_t kWord = 8;
  static constexpr std::uintptr_t kRedZone = 128;

  // A read outside the trusted range: refused on a stack whose bounds are known, else the range grows by the page or
  // moves to it.
  [[gnu::noinline]] bool admit(std::uintptr_t address);
  bool admit_code_page(std::uintptr_t address);

  StackBounds bounds_;
  std::uintptr_t low_ = 0;  // reads at [low_, low_ + size_) are admitted
  std::uintptr_t size_ = 0;
  bool known_stack_ = false;
  std::uint32_t next_ = 0;
  std::uintptr_t code_pages_[4] = {};  // found readable during this walk
};

}  // namespace camprobe::sampler
