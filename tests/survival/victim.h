// tests/survival/victim.h
//
// What the programs of tests/survival share. `survival_victim ACT NUMBERS...` does one nasty thing and prints what is
// true of it, one "name value" a line. It is linked with nothing of camprobe's and runs the same without the probe.
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/probe/truths.h"

namespace victim {

// Numbers and paths behind the act's name; what is not given is 0 or empty.
class Arguments {
 public:
  Arguments(int count, char** words) : words_(words, words + count) {}
  long number(std::size_t at) const { return at < words_.size() ? atol(words_[at].c_str()) : 0; }
  const char* text(std::size_t at) const { return at < words_.size() ? words_[at].c_str() : ""; }

 private:
  std::vector<std::string> words_;
};

struct Act {
  const char* name;
  void (*run)(const Arguments& arguments);
};
extern const std::vector<Act> kHeapActs, kThreadActs, kStormActs, kProcessActs, kExactActs;

// What the compiler must not reason away. Threads write it at once, which ThreadSanitizer would rightly complain of.
inline void* g_sink;
inline void* sink(void* block) {
  __atomic_store_n(&g_sink, block, __ATOMIC_RELAXED);
  return block;
}

using camprobe::truths::die_by_kill;
using camprobe::truths::say;
using camprobe::truths::say_address;
using camprobe::truths::seconds;

// A block that knows whose it is: whoever gets the same memory at the same time overwrites it.
inline void sign(void* block, size_t bytes, unsigned char name) {
  memset(block, name, bytes);
}
inline bool is_signed(const void* block, size_t bytes, unsigned char name) {
  const auto* at = static_cast<const unsigned char*>(block);
  for (size_t i = 0; i < bytes; ++i)
    if (at[i] != name) return false;
  return true;
}

}  // namespace victim
