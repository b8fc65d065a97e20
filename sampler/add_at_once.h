// sampler/add_at_once.h
//
// An addition that a handler on the same thread cannot come into the middle of: it is one instruction. Other threads it
// does not keep out, which is what makes it three times cheaper than an atomic one.
#pragma once

#include <cstdint>

namespace camprobe::sampler {

// `Word`: 64 bits, atomic or not. `amount` may be negative.
template <typename Word>
inline void add_at_once(Word* word, std::int64_t amount) {
  static_assert(sizeof(Word) == 8);
#if defined(__x86_64__)
  __asm__ volatile("addq %1, %0" : "+m"(*word) : "er"(amount) : "cc");
#else
  __atomic_fetch_add(reinterpret_cast<std::int64_t*>(word), amount, __ATOMIC_RELAXED);
#endif
}

}  // namespace camprobe::sampler
