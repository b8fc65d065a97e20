// collector/analysis/gauges.h
//
// Verdicts on levels that have no births: RSS and its parts, descriptors and threads where single ones were not
// recorded. A rising RSS is not a leak by itself. It is split into what the program holds (live heap), what the
// allocator keeps for reuse, stacks and mappings; only what none of them explains can be a leak, and fragmentation is
// named as what it is.
#pragma once

#include <string>
#include <vector>

#include "collector/analysis/survival.h"
#include "collector/analysis/trend.h"

namespace camprobe::analysis {

struct GaugeVerdict {
  Verdict verdict = Verdict::kNone;
  Trend trend;  // of the minima, for a sawtooth
  bool sawtooth = false;
  double growth = 0;  // over the judged stretch
  bool since_start = true;
  Seconds since = 0;
  Interval since_interval;
  double plateau = 0;    // saturating
  double longer_by = 0;  // inconclusive: factor of the stretch
  std::string why;       // in words
};

// `minimum` in the gauge's own unit: growth below it is none.
GaugeVerdict judge_gauge(const Gauge& gauge, const Stretch& stretch, double minimum, const Thresholds& thresholds);

// What RSS consists of at a time; parts that were not recorded stay empty.
struct MemoryParts {
  Gauge rss;
  Gauge live_heap;  // estimated from samples, with its standard error
  double live_heap_error = 0;
  Gauge retained;  // held by the allocator for reuse
  Gauge stacks;    // of threads
  Gauge mappings;  // made by the program
};

enum class MemoryGrowth { kNone, kLiveHeap, kRetention, kStacks, kMappings, kOther };

struct MemoryVerdict {
  GaugeVerdict rss;
  MemoryGrowth mainly = MemoryGrowth::kNone;  // which part carries the growth
  double rss_growth = 0, live_growth = 0, retained_growth = 0, stack_growth = 0, mapping_growth = 0;
  bool retained_known = false;
};

MemoryVerdict judge_memory(const MemoryParts& parts, const Stretch& stretch, const Thresholds& thresholds);

}  // namespace camprobe::analysis
