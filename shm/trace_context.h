// shm/trace_context.h
//
// W3C Trace Context's `traceparent` (w3.org/TR/trace-context, version 00) as the words of a span's attributes: each
// request has another one, and a name table that never forgets would be full after some thousand of them. Three
// attributes of one key hold it: the trace id's two halves, and the span id, whose type says whether it is sampled.
//
// Reading and writing use no library and allocate nothing: the probe calls this.
#pragma once

#include <cstdint>

namespace camprobe::shm {

struct TraceContext {
  std::uint64_t trace_high = 0, trace_low = 0;  // not both 0
  std::uint64_t span = 0;                       // not 0
  bool is_sampled = false;
};

inline constexpr unsigned kTraceparentBytes = 55;  // "00-<32 hexadecimal digits>-<16>-<2>"

// Sixteen lower-case hexadecimal digits; false where one is something else.
constexpr bool read_hex(const char* text, unsigned digits, std::uint64_t& value) {
  value = 0;
  for (unsigned i = 0; i < digits; ++i) {
    const char c = text[i];
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && !(c >= 'a' && c <= 'f')) return false;
    value = value << 4 | static_cast<std::uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return true;
}

// False where `text` is none. A later version's is read as far as it is one of version 00, as the standard asks.
constexpr bool read_traceparent(const char* text, unsigned size, TraceContext& context) {
  std::uint64_t version = 0, flags = 0;
  if (size < kTraceparentBytes || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  if (!read_hex(text, 2, version) || version == 0xff) return false;
  if (size > kTraceparentBytes && (version == 0 || text[kTraceparentBytes] != '-')) return false;
  if (!read_hex(text + 3, 16, context.trace_high) || !read_hex(text + 19, 16, context.trace_low) ||
      !read_hex(text + 36, 16, context.span) || !read_hex(text + 53, 2, flags))
    return false;
  context.is_sampled = (flags & 1) != 0;
  return (context.trace_high | context.trace_low) != 0 && context.span != 0;
}

// Writes kTraceparentBytes bytes and no zero behind them.
constexpr void write_traceparent(const TraceContext& context, char* text) {
  const auto hex = [&](unsigned at, std::uint64_t value, unsigned digits) {
    for (unsigned i = 0; i < digits; ++i) text[at + i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
  };
  hex(0, 0, 2);
  text[2] = text[35] = text[52] = '-';
  hex(3, context.trace_high, 16);
  hex(19, context.trace_low, 16);
  hex(36, context.span, 16);
  hex(53, context.is_sampled ? 1 : 0, 2);
}

}  // namespace camprobe::shm
