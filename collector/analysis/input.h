// collector/analysis/input.h
//
// What the analysis judges, as plain values: who fills it (the run file, a simulation, a later live session) is not its
// business, so that simulations with a known answer drive the very code that judges real runs.
//
// Times are seconds since the run began (doubles: statistics is done on them), work is cumulative requests. "Amount" is
// whatever the resource is measured in: bytes for heap and mappings, one per descriptor or thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "run/histogram.h"

namespace camprobe::analysis {

using Seconds = double;
using Requests = double;

inline constexpr Seconds kAlive = std::numeric_limits<double>::infinity();

inline Seconds seconds_of(std::int64_t ns) {
  return static_cast<Seconds>(ns) / 1e9;
}

enum class Resource { kHeap, kJsHeap, kDescriptors, kThreads, kMappings };

// Where the clock of cumulative requests was taken from, best first.
enum class WorkSource { kLoadTool, kSpans, kSockets, kTime };

struct WorkPoint {
  Seconds at = 0;
  Requests total = 0;  // requests finished by then; never falls
};

// One sampled object (or one descriptor, thread, mapping: all but plain files sampled with certainty) from birth to
// death.
struct Life {
  Seconds born = 0;
  Seconds died = kAlive;
  double amount = 1;   // unbiased weight: bytes it stands for, or 1
  double objects = 1;  // how many objects it stands for
  double kept_of = 1;  // this is one of so many lives that ended; the run file of days keeps not all of them
};

// The chance that one of a population's objects was sampled, from an instant on; only ratios matter. The sampling
// interval changes during a run, and a change of it must not look like an onset, or like a cache that fills.
struct SamplingDensity {
  Seconds from = 0;
  double probability = 1;
};

// When a process had more clients connected at a time than ever before, and how many that was.
struct ClientRecord {
  Seconds at = 0;
  double clients = 0;
};

// Everything born at one stack. Objects that lived under a second may be missing; `activity` then tells that the stack
// was busy all the same.
struct Population {
  std::uint64_t id = 0;
  Resource resource = Resource::kHeap;
  std::uint64_t site = 0;             // the innermost function of the program's own; 0: unknown
  std::vector<std::uint32_t> frames;  // leaf first; may be empty
  std::vector<Life> lives;
  double bound = 0;  // this many alive at once have a known reason (one connection a load user); 0: none
  std::vector<ClientRecord> records;     // of its process; may be empty
  double concurrency = 0;                // as many may have a use at once (clients times peers); 0 unknown
  std::vector<SamplingDensity> density;  // ascending; empty: the same throughout
  std::vector<double> activity;          // objects born in part i of the run, whatever became of them; may be empty
  Seconds activity_width = 1;            // of such a part
  std::size_t stretch = 0;               // which of the input's stretches it is judged in
};

// The stretch of the run that is judged, and what its growth is measured against.
struct Stretch {
  Seconds begin = 0;
  Seconds end = 0;       // of the load, where there was one: what a server frees while it shuts down proves nothing
  Seconds warm_up = 0;   // an instant, not a length: births before it are not evidence
  double rss_bytes = 0;  // at the end; 0 unknown
  double memory_limit_bytes = 0;  // 0 unknown
  double descriptors = 0;         // open at the end; 0 unknown
  double descriptor_limit = 0;    // 0 unknown
  bool ended = false;             // with its process, before the run was over: what leaked does no harm any more
};

// A sampled level: RSS, open descriptors, ...
struct GaugePoint {
  Seconds at = 0;
  double value = 0;
};
struct Gauge {
  std::string name;
  std::string unit;
  std::vector<GaugePoint> points;
};

// One second (or one bucket) of what the load tool, or the server's own spans, saw of one kind of request.
struct LatencyPoint {
  Seconds at = 0;
  double width = 1;
  double requests = 0;
  double errors = 0;
  run::Histogram latency;                     // nanoseconds; empty: only the quantiles below are known, or nothing
  double p50_ms = 0, p95_ms = 0, p99_ms = 0;  // 0 unknown
};
struct LatencySeries {
  std::string endpoint;  // "" = all together
  std::vector<LatencyPoint> points;
};

// CPU of the whole process, or of one function with everything it called, second by second.
struct CpuSeries {
  std::uint64_t frame = 0;
  std::string name;
  std::vector<GaugePoint> nanoseconds;  // spent in the second that starts at `at`
  bool of_library = false;              // not the program's own: named only where nothing else can be
};

struct ServiceInput {
  LatencySeries all;
  std::vector<LatencySeries> endpoints;  // may be empty
  std::vector<GaugePoint> cpu;           // nanoseconds of the server in the second that starts at `at`; may be empty
  std::vector<CpuSeries> frames;         // for the culprit; may be empty
};

}  // namespace camprobe::analysis
