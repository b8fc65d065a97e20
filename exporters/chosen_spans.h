// exporters/chosen_spans.h
//
// The single spans of a part of a run, no more than a viewer shows, in memory that follows neither the run's length nor
// how many spans it has: they come in the order they began, and what can no longer be among the chosen is let go.
//
// Of too many the slowest are chosen, part by part of the time, each with all that lies inside it: a tree. What is
// inside a span of more than a minute (a session, a worker's whole life) is chosen by itself, or one such span would
// bring everything with it. Attributes are not kept: whoever writes a span asks the run for them (attributes_of()).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct ChosenSpan {
  run::ProcessId process{};
  std::int64_t span = 0;
  std::int64_t parent = 0;  // 0: none
  run::NameId name{};
  run::ThreadId thread{};  // that it began on
  std::int64_t began_ns = 0;
  std::int64_t ended_ns = 0;  // of one that never ended: the end of the run
  std::uint32_t tree = 0;     // for the choice only
  bool has_ended = true;
};

struct ChosenSpans {
  std::vector<ChosenSpan> spans;  // in the order they began, the longer first
  std::size_t left_out = 0;
};

inline constexpr std::size_t kMostSpans = 500'000;

// The kept spans that overlap the filter's time; of a --span, those of that name and all inside them.
ChosenSpans chosen_spans(run::Reader& run, const Filter& filter, std::size_t most = kMostSpans);

// What to tell of spans that were left out; "" where none was.
std::string note_of_spans(std::size_t chosen, std::size_t left_out);

}  // namespace camprobe::exporters
