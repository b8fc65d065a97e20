// run/rfc3339.cc: see run/rfc3339.h.
#include "run/rfc3339.h"

#include <fmt/format.h>

#include <ctime>

namespace camprobe::run {

std::string rfc3339(std::int64_t realtime_ns) {
  if (realtime_ns <= 0) return "";
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm utc{};
  if (gmtime_r(&seconds, &utc) == nullptr) return "";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, realtime_ns / 1'000'000 % 1000);
}

}  // namespace camprobe::run
