// exporters/timeline.h
//
// A run as a trace viewer shows it: spans on tracks of their threads, samples of CPU time with their stacks, counters
// (resident and live memory, CPU, descriptors, load and whatever else the run has as a series), load windows and
// instants. Chrome's and Perfetto's formats are two ways to write it down.
//
// Spans and samples are chosen where there are too many, and counters are read one at a time, so that a timeline of
// days is not more in memory than one of an hour.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "exporters/cpu_samples.h"
#include "exporters/filter.h"
#include "exporters/span_tracks.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct Counter {
  run::ProcessId process = run::kMachine;
  std::string name;                                     // "resident", "CPU user", ...: printable UTF-8
  std::string unit;                                     // "bytes", "cores", "per second", ...
  std::vector<std::pair<std::int64_t, double>> points;  // when, in order; how much from then on
};

struct Instant {
  std::int64_t at_ns = 0;
  run::ProcessId process = run::kMachine;
  std::string text;
};

struct Window {
  run::LoadWindow window;  // cut to the filter's time
  std::uint32_t lane = 0;  // windows of one lane do not overlap
};

struct Timeline {
  std::map<run::ProcessId, run::Process> processes;
  std::map<run::ThreadId, run::Thread> threads;
  SpanTracks spans;
  CpuSampling cpu;                // each_cpu_sample() has them
  std::vector<Window> windows;    // of the load, which stands as a process of its own
  std::vector<Instant> instants;  // marks, and where processes began and ended; in order
};

// All but the counters. Throws SliceError where the filter leaves nothing, no counter either.
Timeline timeline_of(run::Reader& run, const Filter& filter);

// The counters that belong to it, none of them empty. Of a cumulative series it is the rate: CPU time as cores in use,
// bytes and counts per second.
void each_counter(run::Reader& run, const Filter& filter, const std::function<void(const Counter&)>& use);

// What was left out of it, a sentence each.
std::vector<std::string> notes_of(const Timeline& timeline);

// "worker (2)": a thread's name on the timeline, with the lane where it is not the thread's own.
std::string track_name(const std::map<run::ThreadId, run::Thread>& threads, const SpanTrack& track);

}  // namespace camprobe::exporters
