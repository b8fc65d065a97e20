// shm/setting_text.h
//
// How a family, an interval and a rate are written: by whoever sets CAMPROBE_* and by whoever types `camprobe set`. One
// grammar for both, because both are values of the control block. Allocation-free and async-signal-safe: the probe
// reads its environment with it.
#pragma once

#include <cstdint>
#include <cstring>

#include "shm/layout.h"

namespace camprobe::shm {

inline constexpr std::uint64_t kSmallestHeapInterval = 64;
inline constexpr std::uint64_t kLargestHeapInterval = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kAutoHeapInterval = ~std::uint64_t{0};  // ControlBlock::heap_interval
inline constexpr std::uint64_t kMostCpuHz = 10'000;
inline constexpr std::uint64_t kLongestWaitInterval = 3'600'000'000'000;  // nanoseconds

// Where they begin, and what a family is turned on with that has none.
inline constexpr std::uint64_t kDefaultCpuHz = 99;
inline constexpr std::uint64_t kDefaultWaitInterval = 10'000'000;  // nanoseconds

struct FamilyName {
  const char* name;
  Family family;
};
inline constexpr FamilyName kFamilyNames[] = {
    {"heap", Family::kHeap},       {"cpu", Family::kCpu},   {"socket", Family::kSocket},
    {"file", Family::kFile},       {"wait", Family::kWait}, {"thread", Family::kThread},
    {"process", Family::kProcess}, {"span", Family::kSpan}, {"map", Family::kMap},
};

// The family's bit; 0: there is none of that name.
inline std::uint32_t family_named(const char* text, std::size_t length) {
  for (const FamilyName& known : kFamilyNames)
    if (std::strlen(known.name) == length && std::memcmp(text, known.name, length) == 0)
      return static_cast<std::uint32_t>(known.family);
  return 0;
}

namespace setting_text_detail {

// Decimal digits with an optional fraction of up to six digits, in millionths; `at` is moved behind them.
inline bool take_millionths(const char*& at, std::uint64_t* out) {
  if (*at < '0' || *at > '9') return false;
  std::uint64_t whole = 0;
  for (; *at >= '0' && *at <= '9'; ++at) {
    if (whole > 1'000'000'000'000ull) return false;
    whole = whole * 10 + static_cast<std::uint64_t>(*at - '0');
  }
  std::uint64_t fraction = 0;
  if (*at == '.') {
    ++at;
    if (*at < '0' || *at > '9') return false;
    std::uint64_t unit = 100'000;
    for (; *at >= '0' && *at <= '9'; ++at, unit /= 10) fraction += static_cast<std::uint64_t>(*at - '0') * unit;
  }
  if (whole > 10'000'000'000'000ull) return false;
  *out = whole * 1'000'000 + fraction;
  return true;
}

}  // namespace setting_text_detail

// All of `text` is a decimal number, at most `most`.
inline bool read_whole(const char* text, std::uint64_t most, std::uint64_t* out) {
  if (*text == '\0') return false;
  std::uint64_t number = 0;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    number = number * 10 + static_cast<std::uint64_t>(*text - '0');
    if (number > most) return false;
  }
  *out = number;
  return true;
}

// "auto", "0", "65536", "64KiB", "0.5MiB": bytes; 0 off; kAutoHeapInterval.
inline bool read_heap_interval(const char* text, std::uint64_t* out) {
  if (std::strcmp(text, "auto") == 0) {
    *out = kAutoHeapInterval;
    return true;
  }
  std::uint64_t millionths = 0;
  const char* unit = text;
  if (!setting_text_detail::take_millionths(unit, &millionths)) return false;
  unsigned shift = 0;
  if (std::strcmp(unit, "KiB") == 0) {
    shift = 10;
  } else if (std::strcmp(unit, "MiB") == 0) {
    shift = 20;
  } else if (std::strcmp(unit, "GiB") == 0) {
    shift = 30;
  } else if (*unit != '\0') {
    return false;
  }
  if (millionths >> (63 - shift) != 0) return false;
  const std::uint64_t bytes = (millionths << shift) / 1'000'000;
  if (bytes != 0 && (bytes < kSmallestHeapInterval || bytes > kLargestHeapInterval)) return false;
  *out = bytes;
  return true;
}

inline bool read_cpu_hz(const char* text, std::uint64_t* out) {
  return read_whole(text, kMostCpuHz, out);
}

// "0", "250us", "10ms", "1.5s": nanoseconds; 0 off.
inline bool read_wait_interval(const char* text, std::uint64_t* out) {
  std::uint64_t millionths = 0;
  const char* unit = text;
  if (!setting_text_detail::take_millionths(unit, &millionths)) return false;
  std::uint64_t nanoseconds_per_unit = 0;
  if (std::strcmp(unit, "us") == 0) nanoseconds_per_unit = 1'000;
  if (std::strcmp(unit, "ms") == 0) nanoseconds_per_unit = 1'000'000;
  if (std::strcmp(unit, "s") == 0) nanoseconds_per_unit = 1'000'000'000;
  if (nanoseconds_per_unit == 0) {
    if (millionths != 0 || *unit != '\0') return false;
    *out = 0;
    return true;
  }
  if (millionths > kLongestWaitInterval / nanoseconds_per_unit * 1'000'000) return false;
  *out = millionths * (nanoseconds_per_unit / 1'000) / 1'000;
  return true;
}

// "1%", "0.25%", "2": parts per million of CPU time.
inline bool read_budget(const char* text, std::uint32_t* out) {
  std::uint64_t millionths = 0;
  const char* unit = text;
  if (!setting_text_detail::take_millionths(unit, &millionths)) return false;
  if (*unit != '\0' && std::strcmp(unit, "%") != 0) return false;
  if (millionths < 1'000 || millionths > 100'000'000) return false;  // 0.001 % to 100 %
  *out = static_cast<std::uint32_t>(millionths / 100);
  return true;
}

}  // namespace camprobe::shm
