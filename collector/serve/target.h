// collector/serve/target.h
//
// One process image that is served: what its region's rings and tables and its /proc files add up to, in figures.
//
// A target is read like a snapshot reads it: nothing is claimed and nothing written, so that a collector that records
// the same process, and the process itself, notice nothing. What a ring loses before it is drained is counted.
//
// Everything that is exact (allocations, I/O, the probe's own time) comes from the threads' counters and counts from
// the process's beginning; what is made of records (spans, lifetimes, records themselves) counts from when serving
// began, and what the rings still held then.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/drain/drain_pace.h"
#include "collector/proc/proc_files.h"
#include "collector/serve/leak_watch.h"
#include "collector/serve/peer_totals.h"
#include "collector/serve/span_totals.h"
#include "collector/serve/weighted_histogram.h"
#include "shm/region_reader.h"

namespace camprobe::serve {

inline constexpr std::array<double, 11> kLifetimeBounds = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 60, 600, 3600};

// What /proc says; nothing where it may not be read.
struct ProcessFigures {
  double cpu_user_seconds = 0, cpu_system_seconds = 0;
  double minor_faults = 0, major_faults = 0, threads = 0;
  std::optional<proc::MemoryParts> memory;
  std::optional<proc::ProcessIo> io;
  std::optional<std::int64_t> open_descriptors;
  std::optional<std::uint64_t> descriptor_limit, memory_limit_bytes;
};

// What is exact, of all threads that ever were.
struct CounterFigures {
  double allocations = 0, frees = 0, allocated_bytes = 0;
  std::array<shm::IoCounter, shm::kIoKinds> io{};
};

// The live heap as the live-sample table has it: estimates. Nothing before it was first read.
struct HeapFigures {
  double live_bytes = 0, live_objects = 0, mapped_bytes = 0;
};

class Target {
 public:
  Target(shm::RegionReader region, proc::ProcessFiles files);

  // Its number and program here, for labels.
  pid_t pid() const { return files_.pid(); }
  const std::string& program() const { return program_; }
  std::uint32_t image() const { return region_.info().image; }
  double started_at() const { return started_at_; }  // seconds since the epoch

  // False once it is dead, or has become another program.
  bool is_there() const;
  // Drains what is due and says when it wants to be called again (CLOCK_MONOTONIC).
  std::uint64_t drain(std::uint64_t now_ns);
  // Reads counters, descriptors and /proc, before figures are asked for.
  void refresh(std::uint64_t now_ns);
  // When the live-sample table is to be read (again); never, as long as nobody asks for figures. Up to 65,536 samples
  // are copied then, so it is done between scrapes, one target at a time, and so seldom that it takes no more than a
  // thousandth of a core.
  std::uint64_t heap_due_ns(std::uint64_t now_ns) const { return now_ns < wanted_until_ns_ ? next_heap_ns_ : ~0ull; }
  void read_heap(std::uint64_t now_ns);

  const shm::RegionStatus& status() const { return status_; }
  const ProcessFigures& process() const { return process_; }
  const CounterFigures& counters() const { return counters_; }
  const std::optional<HeapFigures>& heap() const { return heap_; }
  const LeakWatch& leaks() const { return leaks_; }
  const SpanTotals& spans() const { return spans_; }
  const PeerTotals& peers() const { return peers_; }
  const WeightedHistogram& lifetimes() const { return lifetimes_; }
  double freed_bytes() const { return freed_bytes_; }
  double temporary_objects() const { return temporary_objects_; }
  // Drained, and lost, by kind.
  const std::array<double, static_cast<std::size_t>(shm::RecordKind::kKinds)>& records() const { return records_; }
  double lapped() const { return lapped_; }
  double torn() const { return torn_; }

 private:
  std::string text(shm::NameId id);
  void use(const shm::ReadRecord& record);
  void read_process();
  void read_counters();
  void watch_levels(std::uint64_t now_ns);

  shm::RegionReader region_;
  proc::ProcessFiles files_;
  shm::RegionStatus status_;
  std::string program_;
  double started_at_ = 0;
  drain::DrainPace pace_;
  std::uint64_t next_drain_ns_ = 0, next_heap_ns_ = 0, next_settle_ns_ = 0, wanted_until_ns_;

  ProcessFigures process_;
  CounterFigures counters_;
  std::optional<HeapFigures> heap_;
  LeakWatch leaks_;
  std::uint64_t next_judgement_ns_ = 0;
  SpanTotals spans_;
  PeerTotals peers_;
  WeightedHistogram lifetimes_{kLifetimeBounds};
  double freed_bytes_ = 0, temporary_objects_ = 0, lapped_ = 0, torn_ = 0;
  std::array<double, static_cast<std::size_t>(shm::RecordKind::kKinds)> records_{};
  std::vector<std::pair<std::uint64_t, shm::ReadRecord>> sockets_;  // openings and closings of a round
};

}  // namespace camprobe::serve
