// run/rfc3339.h: instants as people and other tools write them.
#pragma once

#include <cstdint>
#include <string>

namespace camprobe::run {

// Nanoseconds since 1970 in UTC, to the millisecond ("2026-11-24T17:38:05.250Z"). Empty where the instant is not known
// (0 or less) or has no calendar date.
std::string rfc3339(std::int64_t realtime_ns);

}  // namespace camprobe::run
