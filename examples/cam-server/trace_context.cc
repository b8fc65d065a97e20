// examples/cam-server/trace_context.cc: see the header.
#include "examples/cam-server/trace_context.h"

#include <algorithm>
#include <cstdint>
#include <random>

namespace cam {
namespace {

constexpr std::size_t kTraceAt = 3, kTraceDigits = 32, kSpanAt = 36, kSpanDigits = 16, kFlagsAt = 53;

// Not secret, only unlike any other's.
std::uint64_t random_word() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

void write_random(TraceContext::Text& text, std::size_t at) {
  const std::uint64_t word = random_word() | 1;  // never all zeros, which means none
  for (std::size_t i = 0; i < 16; ++i) text[at + i] = "0123456789abcdef"[word >> (4 * i) & 15];
}

bool is_hex(std::string_view digits) {
  return digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
bool is_id(std::string_view digits) {
  return is_hex(digits) && digits.find_first_not_of('0') != std::string_view::npos;
}

bool is_traceparent(std::string_view header) {
  return header.size() == TraceContext::kBytes && header.substr(0, kTraceAt) == "00-" && header[kSpanAt - 1] == '-' &&
         header[kFlagsAt - 1] == '-' && is_id(header.substr(kTraceAt, kTraceDigits)) &&
         is_id(header.substr(kSpanAt, kSpanDigits)) && is_hex(header.substr(kFlagsAt));
}

}  // namespace

TraceContext TraceContext::of(std::string_view header) {
  TraceContext context;
  context.received_ = is_traceparent(header);
  if (context.received_) {
    std::copy(header.begin(), header.end(), context.text_.begin());
    return context;
  }
  constexpr std::string_view kNew = "00-................................-................-01";
  std::copy(kNew.begin(), kNew.end(), context.text_.begin());
  write_random(context.text_, kTraceAt);
  write_random(context.text_, kTraceAt + kTraceDigits / 2);
  return context;
}

TraceContext::Text TraceContext::for_a_call() const {
  Text text = text_;
  write_random(text, kSpanAt);
  return text;
}

}  // namespace cam
