// collector/drain/counters.h
//
// The exact counters of one region (its lanes' and its header's) into the run: I/O per second and kind, heap totals,
// losses. Counters only grow; what was counted before the run began is left out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "collector/drain/region_context.h"

namespace camprobe::drain {

class CounterDrain {
 public:
  // `has_history`: the process was running before the run began.
  CounterDrain(RegionContext& context, bool has_history)
      : context_(context), has_history_(has_history), needs_baseline_(has_history) {}

  // Once a second, and once at the end.
  void read(const std::vector<shm::ReadLane>& lanes, const shm::RegionStatus& status, std::int64_t second);
  // What the rings held before the first look is not missing, although the run begins with the process.
  void forgive_history() { has_history_ = true; }
  void save(DrainState& state) const;
  void restore(const DrainState& state);
  // What reading the rings found missing.
  void lost(const shm::DrainResult& drained, std::int64_t second);

 private:
  void add_lost(const char* kind, std::uint64_t records, std::int64_t second);
  void read_allocator(const shm::RegionStatus& status, std::int64_t second);

  RegionContext& context_;
  bool has_history_;  // the process ran before this recording did
  bool needs_baseline_;
  std::array<shm::IoCounter, shm::kIoKinds> io_{};
  std::array<std::uint64_t, shm::kLossSlots> lost_{};
  std::optional<shm::ReadAllocator> allocator_;  // the last that was read whole
};

}  // namespace camprobe::drain
