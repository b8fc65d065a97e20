// exporters/span_tracks.h
//
// Single spans laid out for a timeline: each on a track of the thread it began on, so that on every track the spans
// nest, which trace viewers insist on.
//
// A span lies inside another on its track only where it was begun inside it. A server that works on many requests on
// one thread at once (Node.js, asio) has as many tracks for that thread as requests at the same time. A span whose
// parent lies on another track, of this thread or another, is joined to it by a flow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "exporters/chosen_spans.h"
#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct SpanTrack {
  run::ProcessId process{};
  run::ThreadId thread{};
  std::uint32_t lane = 0;  // 0 is the thread's own; others hold what happens beside that
};

struct SpanTracks {
  std::vector<SpanTrack> tracks;
  std::vector<ChosenSpan> spans;        // in the order they began, the longer first
  std::vector<std::uint32_t> track_of;  // each of them, in `tracks`
  // From a parent to a child on another track, as places in `spans`; by child.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> flows;
  std::size_t left_out = 0;  // as ChosenSpans::left_out
};

// Those that chosen_spans() chooses.
SpanTracks span_tracks(run::Reader& run, const Filter& filter);

}  // namespace camprobe::exporters
