// collector/recording_target.h
//
// What a Recording knows of one process image. Private to collector/recording*.cc.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "collector/drain/drain_pace.h"
#include "collector/recording.h"

namespace camprobe {

// One process image. The /proc series belong to it as long as it is the process's present one.
struct Recording::Target {
  run::Process row;
  std::optional<proc::ProcessSeries> series;
  std::optional<proc::OutOfMemoryWatch> out_of_memory;
  std::unique_ptr<drain::RegionDrain> region;
  std::string region_path;
  std::uint64_t seen_ns = 0;  // when we first saw it
  std::size_t notes_told = 0;
  std::string directory;  // its working directory, where it is a Node.js program
  drain::DrainPace pace{std::chrono::nanoseconds(Recording::kDrainEvery).count()};
  std::uint64_t next_drain_ns = 0;
  bool is_our_child = false;
  bool has_ended = false;
};

// Names the time since the machine was started, in which CLOCK_MONOTONIC goes on.
std::string boot_id();

}  // namespace camprobe
