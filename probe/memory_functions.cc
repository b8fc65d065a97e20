// probe/memory_functions.cc
//
// memcpy() and its kin for the library's own use, hidden from the program (exports.map). The compiler calls them
// wherever it likes, and the program's are anybody's: a sanitizer's run time stands in front of the C library's, and
// would look at what we do, from signal handlers too, without having seen how our threads agree on it.
//
// Plain loops by the word: what is copied here is a stack of some hundred bytes. Called from anywhere.
#include <cstddef>
#include <cstdint>

namespace {

using Word = std::uint64_t;

Word word_at(const unsigned char* at) {
  Word word;
  __builtin_memcpy(&word, at, sizeof word);  // of known size: a load
  return word;
}
void put_word(unsigned char* at, Word word) {
  __builtin_memcpy(at, &word, sizeof word);
}

// Keeps the compiler from seeing that a loop is a memcpy(), of which it would make a call: to here.
void in_a_loop_of_ours(std::size_t& at) {
  __asm__("" : "+r"(at));
}

}  // namespace

extern "C" {

[[gnu::hot]] void* memcpy(void* to, const void* from, std::size_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  std::size_t at = 0;
  for (; at + sizeof(Word) <= bytes; at += sizeof(Word)) {
    in_a_loop_of_ours(at);
    put_word(out + at, word_at(in + at));
  }
  for (; at < bytes; ++at) {
    in_a_loop_of_ours(at);
    out[at] = in[at];
  }
  return to;
}

void* memmove(void* to, const void* from, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from) >= bytes)
    return memcpy(to, from, bytes);  // forwards reads nothing that was overwritten
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  for (std::size_t left = bytes; left > 0; --left) {
    in_a_loop_of_ours(left);
    out[left - 1] = in[left - 1];
  }
  return to;
}

void* memset(void* to, int value, std::size_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  const auto byte = static_cast<unsigned char>(value);
  std::size_t at = 0;
  for (; at + sizeof(Word) <= bytes; at += sizeof(Word)) {
    in_a_loop_of_ours(at);
    put_word(out + at, byte * Word{0x0101010101010101});
  }
  for (; at < bytes; ++at) {
    in_a_loop_of_ours(at);
    out[at] = byte;
  }
  return to;
}

[[gnu::hot]] int memcmp(const void* one, const void* other, std::size_t bytes) {
  const auto* left = static_cast<const unsigned char*>(one);
  const auto* right = static_cast<const unsigned char*>(other);
  std::size_t at = 0;
  while (at + sizeof(Word) <= bytes && word_at(left + at) == word_at(right + at)) {
    in_a_loop_of_ours(at);
    at += sizeof(Word);
  }
  for (; at < bytes; ++at) {
    in_a_loop_of_ours(at);
    if (left[at] != right[at]) return left[at] < right[at] ? -1 : 1;
  }
  return 0;
}

}  // extern "C"
