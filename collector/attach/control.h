// collector/attach/control.h
//
// What the probe of a running process records, and changing it: families on and off, intervals, rates, the budget.
//
//     const auto change = attach::parse_settings({"heap=64KiB", "io=off"});
//     const auto version = attach::ask_for(region, *change);
//     attach::wait_until_seen(region, *version, 1s);
//
// The control block may have many writers at once (shm/layout.h says by what rules); each changes what it was told to
// and leaves the rest.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "run/result.h"
#include "shm/region_reader.h"

namespace camprobe::attach {

struct SettingChange {
  std::uint32_t on = 0, off = 0;               // families
  std::optional<std::uint64_t> heap_interval;  // shm::kAutoHeapInterval: by the budget
  std::optional<std::uint64_t> cpu_hz, wait_interval_ns;
  std::optional<std::uint32_t> budget_ppm;
};

// NAME=VALUE words as `camprobe set` takes them. The error is a sentence.
run::Result<SettingChange> parse_settings(const std::vector<std::string>& words);

// The region of the program that runs as `pid` now, able to record. The error is a sentence with what to do.
run::Result<shm::RegionReader> region_of(pid_t pid);

// What holds now.
struct Holding {
  std::uint32_t families = 0;
  std::uint64_t heap_interval = 0;  // 0: off
  bool heap_is_auto = false;
  std::uint64_t cpu_hz = 0, wait_interval_ns = 0;  // 0: off
  std::uint32_t budget_ppm = 0;
  std::string message;      // of the probe: what is limited
  bool is_waiting = false;  // something was asked for that the probe has not acted on
};
run::Result<Holding> what_holds(const shm::RegionReader& region);
// The same in words, name and value: {"heap", "auto, every 32 KiB now"}, ...
std::vector<std::pair<std::string, std::string>> in_words(const Holding& holding);

// Writes the wish; gives the version of the control block that has it.
run::Result<std::uint32_t> ask_for(shm::RegionReader& region, const SettingChange& change);
// False: the process did not pass the probe in that time.
bool wait_until_seen(const shm::RegionReader& region, std::uint32_t version, std::chrono::milliseconds limit);

}  // namespace camprobe::attach
