// suite/timelines.h
//
// What the load tool's processes wrote, one after another and beside each other, as one timeline; and the counts that
// their results lack but their printed texts have.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/load/timeline.h"

namespace camprobe::suite {

// The phases are `phases`; those of the parts are left out.
load::LoadTimeline joined(std::vector<load::LoadTimeline> parts, std::vector<load::LoadPhase> phases);

// What one process of the load tool did, and the phase (an index) that it ran for; -1: for several.
struct Part {
  load::LoadTimeline timeline;
  int phase = -1;
};

// The load by phase, as far as the load tool's processes tell phases apart: a bucket is a second wide, and phases do
// not end with it. A phase is in `alone` where all it was sent is known to be its own; the others are in `rest`
// together.
struct ByPhase {
  std::map<std::size_t, load::LoadTimeline> alone;
  std::optional<load::LoadTimeline> rest;
};
ByPhase by_phase(std::vector<Part> parts, const std::vector<load::LoadPhase>& phases);

// What h2load printed: requests it began, and requests that were answered or failed. The others were under way when
// its time was over: the server may have served them, the tool did not wait.
struct Begun {
  std::uint64_t began = 0, done = 0;
};
std::optional<Begun> begun_of_h2load(std::string_view printed);

}  // namespace camprobe::suite
