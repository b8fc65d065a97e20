// collector/load/wall_time.h
//
// Wall-clock instants as load tools write them: RFC 3339 texts and counts of seconds, milliseconds, microseconds or
// nanoseconds since the epoch. Wall time is a type of its own, so that it is never added to the run's monotonic clock
// by mistake. Instants outside 2000..2200 are refused: in a load tool's output they are damage, not data.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace camprobe::load {

using Nanoseconds = std::chrono::nanoseconds;
using WallTime = std::chrono::sys_time<Nanoseconds>;

// An instant and how finely it was written.
struct Stamp {
  WallTime at;
  Nanoseconds resolution;
};

// "2026-11-23T14:36:12.531326787Z", any number of fraction digits, Z or an offset such as +02:00.
std::optional<Stamp> parse_rfc3339(std::string_view text);

// A whole number since the epoch. Its unit follows from its size: the units' ranges for 2000..2200 do not overlap.
std::optional<Stamp> parse_epoch(std::string_view digits);

// `count` units of `unit` since the epoch, where that lies in 2000..2200.
std::optional<WallTime> since_epoch(std::uint64_t count, Nanoseconds unit);

// RFC 3339 in UTC with milliseconds, rounded down: "2026-11-23T14:36:12.531Z".
std::string to_rfc3339(WallTime time);

}  // namespace camprobe::load
