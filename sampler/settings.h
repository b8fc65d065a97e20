// sampler/settings.h
//
// Everything the probe reads from the environment, in one table: name, default, meaning, and the function that reads
// it. docs/environment.md shows the same table, and a test compares the two.
//
// A wrong value is named once and ignored; the environment itself is never changed. Runs once at start-up; no
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace camprobe::sampler {

struct Settings {
  std::uint32_t families;  // bit mask of shm::Family
  bool heap_interval_is_auto;
  std::uint64_t heap_interval;     // bytes; 0: off. Where it begins when it is automatic
  std::uint64_t cpu_hz;            // 0: off
  bool may_tick;                   // false: no timer and no signal at all, not even those that keep house
  std::uint64_t wait_interval_ns;  // mean waiting time between samples; 0: off
  std::uint32_t budget_ppm;        // share of the process's CPU time that the probe may use, parts per million
  char run_id[64];                 // empty: no run asked for this process
  std::uint32_t collector_pid;     // 0: none
  bool follow_fork;
  bool verbose;
};

struct EnvironmentVariable {
  const char* name;
  const char* default_value;  // as one would write it; empty: unset
  const char* values;         // what may be written
  const char* meaning;
  bool (*read)(const char* value, Settings* settings);  // false: not understood, settings untouched
};

extern const EnvironmentVariable kEnvironment[];
extern const std::size_t kEnvironmentSize;

// Every variable at its default.
Settings default_settings();

// Reads each CAMPROBE_ entry of `environment` into `settings`. What is wrong is written into `complaint`
// (NUL-terminated, one line, empty when all is well) and otherwise ignored.
void read_environment(const char* const* environment, Settings* settings, char* complaint, std::size_t complaint_size);

}  // namespace camprobe::sampler
