// collector/serve/leak_watch.h
//
// Which of a process's levels (live heap, descriptors, threads, mappings) grow as a leak's would, from what a server of
// figures has: their past few hours, thinned, in a few kilobytes a process. Levels are judged by the analysis's own
// rules (collector/analysis/gauges.h); those know nothing of births and deaths, nor of the load, so the most they can
// say is a suspicion. A recording tells whether it is a leak, and of what.
//
// One thread.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "collector/analysis/gauges.h"

namespace camprobe::serve {

enum class LeakResource { kHeap, kDescriptors, kThreads, kMappings, kResources };
enum class LeakState {
  kTooEarly,      // fewer than five minutes are known
  kNone,          // it does not grow by what matters
  kSettling,      // it grew, and grows no more, or ever more slowly
  kInconclusive,  // its ups and downs are as large as its growth
  kSuspected,     // it grows steadily
  kStates
};
inline constexpr std::size_t kLeakResources = static_cast<std::size_t>(LeakResource::kResources);
inline constexpr std::size_t kLeakStates = static_cast<std::size_t>(LeakState::kStates);
const char* text_of(LeakResource resource);
const char* text_of(LeakState state);

class LeakWatch {
 public:
  static constexpr std::size_t kMostPoints = 240;  // of a level
  static constexpr double kLongestStep = 96;       // seconds between two: six hours and a half in all

  LeakWatch();

  struct Levels {
    std::optional<double> heap_bytes, mapping_bytes, descriptors, threads, resident_bytes;
    double heap_error = 0;  // standard error of heap_bytes, which is an estimate
    double memory_limit_bytes = 0;
  };
  // How things stand at `at` seconds, on any clock that only goes forward.
  void add(double at, const Levels& levels);
  // Looks at all of it; milliseconds of CPU time.
  void judge();

  LeakState state(LeakResource resource) const { return states_[static_cast<std::size_t>(resource)]; }
  // Until resident memory reaches its limit at the pace that it grows at; infinite where it does not grow steadily.
  double seconds_to_limit() const { return seconds_to_limit_; }
  std::size_t points() const;  // kept, of all levels

 private:
  // A level's past; neighbours are averaged when it is full.
  struct History {
    analysis::Gauge gauge;
    double step = 0, next_at = 0;
    void add(double at, double value);
  };
  analysis::GaugeVerdict verdict_on(const History& history, double minimum) const;

  std::array<History, kLeakResources> histories_;
  History resident_;
  Levels last_;
  std::array<LeakState, kLeakResources> states_{};
  double seconds_to_limit_;
};

}  // namespace camprobe::serve
