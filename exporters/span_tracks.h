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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct SpanTrack {
  run::ProcessId process{};
  run::ThreadId thread{};
  std::uint32_t lane = 0;  // 0 is the thread's own; others hold what happens beside that
};

struct TrackedSpan {
  run::Span span;
  std::int64_t ended_ns = 0;  // of one that never ended: the end of the run
  std::uint32_t track = 0;    // in SpanTracks::tracks
};

struct SpanTracks {
  std::size_t left_out = 0;  // as ChosenSpans::left_out
  std::vector<SpanTrack> tracks;
  std::vector<TrackedSpan> spans;  // in the order they began, the longer first
  // From a parent to a child on another track, as places in `spans`.
  std::vector<std::pair<std::size_t, std::size_t>> flows;
};

// The kept spans that overlap the filter's time; of a --span, those of that name and all inside them.
SpanTracks span_tracks(run::Reader& run, const Filter& filter);

struct ChosenSpans {
  std::vector<run::Span> spans;  // in the order they began
  std::size_t left_out = 0;
};

// No viewer shows more than this many at once, and days of them fit in no memory: beyond it the slowest are chosen,
// part by part of the time, each with all that lies inside it.
inline constexpr std::size_t kMostSpans = 500'000;

// As span_tracks() chooses them.
ChosenSpans spans_of(run::Reader& run, const Filter& filter, std::size_t most = kMostSpans);

// What to tell of spans that were left out; "" where none was.
std::string note_of_spans(std::size_t chosen, std::size_t left_out);

}  // namespace camprobe::exporters
