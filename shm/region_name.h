// shm/region_name.h
//
// What a region's file is called: camprobe.<uid>.<pid>.<starttime>, and `.<image>` behind it once the process has
// called exec (same pid, same start time, another program). Allocation-free; used on both sides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace camprobe::shm {

inline constexpr char kRegionDirectory[] = "/dev/shm";
inline constexpr char kRegionPrefix[] = "camprobe.";
inline constexpr std::size_t kRegionPathMax = 128;

struct RegionName {
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
  std::uint64_t start_ticks = 0;
  std::uint32_t image = 0;
};

namespace region_name_detail {
inline char* put_text(char* at, const char* text) {
  while (*text != '\0') *at++ = *text++;
  return at;
}
inline char* put_number(char* at, std::uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}
inline bool take_number(const char*& at, std::uint64_t* number) {
  if (*at < '0' || *at > '9') return false;
  std::uint64_t value = 0;
  while (*at >= '0' && *at <= '9') {
    if (value > (~std::uint64_t{0} - 9) / 10) return false;
    value = value * 10 + static_cast<std::uint64_t>(*at++ - '0');
  }
  *number = value;
  return true;
}
}  // namespace region_name_detail

// Writes the NUL-terminated path into `out` of kRegionPathMax bytes.
inline void format_region_path(const RegionName& name, char* out) {
  using namespace region_name_detail;
  char* at = put_text(out, kRegionDirectory);
  *at++ = '/';
  at = put_text(at, kRegionPrefix);
  at = put_number(at, name.uid);
  *at++ = '.';
  at = put_number(at, name.pid);
  *at++ = '.';
  at = put_number(at, name.start_ticks);
  if (name.image != 0) {
    *at++ = '.';
    at = put_number(at, name.image);
  }
  *at = '\0';
}

// Reads a file name (no directory). False: not the name of a region.
inline bool parse_region_name(const char* file, RegionName* out) {
  using namespace region_name_detail;
  const char* at = file;
  for (const char* want = kRegionPrefix; *want != '\0'; ++want, ++at)
    if (*at != *want) return false;
  std::uint64_t uid = 0, pid = 0, ticks = 0, image = 0;
  if (!take_number(at, &uid) || *at++ != '.' || !take_number(at, &pid) || *at++ != '.' || !take_number(at, &ticks))
    return false;
  if (*at == '.') {
    ++at;
    if (!take_number(at, &image) || image == 0) return false;
  }
  if (*at != '\0' || uid > 0xffffffff || pid > 0x7fffffff || image > 0xffffffff) return false;
  *out = {static_cast<std::uint32_t>(uid), static_cast<std::uint32_t>(pid), ticks, static_cast<std::uint32_t>(image)};
  return true;
}

}  // namespace camprobe::shm
