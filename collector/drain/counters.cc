#include "collector/drain/counters.h"

#include <algorithm>

#include "collector/metrics.h"

namespace camprobe::drain {
namespace {

constexpr const char* kIoNames[shm::kIoKinds] = {"socket_read", "socket_write", "file_read", "file_write", "other_read",
                                                 "other_write", "accept",       "connect",   "wait"};

constexpr const char* kLossNames[] = {"no_lane",   "stack_full",     "live_full",        "name_full", "module_full",
                                      "span_full", "attribute_full", "descriptor_range", "no_room",   "reentrant"};
static_assert(std::size(kLossNames) == static_cast<std::size_t>(shm::Loss::kLosses));

// A counter that seems to have gone back was read while it was written: no difference is told rather than a wrong one.
std::uint64_t growth(std::uint64_t now, std::uint64_t& before) {
  if (now <= before) return 0;
  const std::uint64_t grown = now - before;
  before = now;
  return grown;
}

}  // namespace

void CounterDrain::read(const std::vector<shm::ReadLane>& lanes, const shm::RegionStatus& status, std::int64_t second) {
  std::array<shm::IoCounter, shm::kIoKinds> io{};
  std::uint64_t allocations = status.stray_allocs, frees = status.stray_frees, bytes = status.stray_bytes;
  for (const shm::ReadLane& lane : lanes) {
    allocations += lane.heap_allocs;
    frees += lane.heap_frees;
    bytes += lane.heap_bytes;
    for (std::uint32_t kind = 0; kind < shm::kIoKinds; ++kind) {
      io[kind].ops += lane.io[kind].ops;
      io[kind].bytes += lane.io[kind].bytes;
      io[kind].errors += lane.io[kind].errors;
      io[kind].ns += lane.io[kind].ns;
    }
  }
  if (needs_baseline_) {
    needs_baseline_ = false;
    io_ = io;
    std::copy(std::begin(status.lost), std::end(status.lost), lost_.begin());
  }
  for (std::uint32_t kind = 0; kind < shm::kIoKinds; ++kind) {
    run::IoRow row;
    row.process = context_.process;
    row.second = second;
    row.kind = kIoNames[kind];
    row.ops = to_count(growth(io[kind].ops, io_[kind].ops));
    row.bytes = to_count(growth(io[kind].bytes, io_[kind].bytes));
    row.errors = to_count(growth(io[kind].errors, io_[kind].errors));
    row.ns = to_count(growth(io[kind].ns, io_[kind].ns));
    if (row.ops != 0 || row.bytes != 0 || row.errors != 0 || row.ns != 0) context_.writer.count(row);
  }
  for (std::size_t loss = 0; loss < std::size(kLossNames); ++loss) {
    add_lost(kLossNames[loss], growth(status.lost[loss], lost_[loss]), second);
  }
  const auto put = [&](const run::Metric& metric, std::uint64_t value) {
    context_.writer.point(metric, context_.process, second, static_cast<double>(value));
  };
  put(metrics::kHeapAllocatedBytes, bytes);
  put(metrics::kHeapAllocations, allocations);
  put(metrics::kHeapFrees, frees);
  put(metrics::kProbeNanoseconds, status.probe_ns);
  read_allocator(status, second);
}

// The last answer stands for the seconds after it too: a process that does nothing is not asked, and its heap stays as
// it was. One that answers no more is not spoken for.
void CounterDrain::read_allocator(const shm::RegionStatus& status, std::int64_t second) {
  if (status.allocator) allocator_ = status.allocator;
  if (!allocator_ || allocator_->is_too_dear) return;
  const auto put = [&](const run::Metric& metric, std::uint64_t value) {
    if (value != shm::kUnknownBytes)
      context_.writer.point(metric, context_.process, second, static_cast<double>(value));
  };
  put(metrics::kAllocatorKind, static_cast<std::uint64_t>(allocator_->kind));
  put(metrics::kAllocatorInUse, allocator_->figures.in_use);
  put(metrics::kAllocatorCached, allocator_->figures.cached);
  put(metrics::kAllocatorFree, allocator_->figures.free);
  put(metrics::kAllocatorHeld, allocator_->figures.held);
  put(metrics::kAllocatorReleased, allocator_->figures.released);
}

void CounterDrain::save(DrainState& state) const {
  for (const shm::IoCounter& kind : io_) state.io.insert(state.io.end(), {kind.ops, kind.bytes, kind.errors, kind.ns});
  state.lost.assign(lost_.begin(), lost_.end());
}

void CounterDrain::restore(const DrainState& state) {
  needs_baseline_ = false;
  for (std::size_t kind = 0; kind < io_.size() && kind * 4 + 3 < state.io.size(); ++kind) {
    io_[kind].ops = state.io[kind * 4];
    io_[kind].bytes = state.io[kind * 4 + 1];
    io_[kind].errors = state.io[kind * 4 + 2];
    io_[kind].ns = state.io[kind * 4 + 3];
  }
  std::copy_n(state.lost.begin(), std::min(state.lost.size(), lost_.size()), lost_.begin());
}

void CounterDrain::lost(const shm::DrainResult& drained, std::int64_t second) {
  // What was overwritten before the first look is lost to a run that began with the process, and none of one that came
  // late.
  add_lost("lapped", drained.lapped + (has_history_ ? 0 : drained.before), second);
  add_lost("torn", drained.torn, second);
}

void CounterDrain::add_lost(const char* kind, std::uint64_t records, std::int64_t second) {
  if (records != 0) context_.writer.count(run::Lost{context_.process, second, kind, to_count(records)});
}

}  // namespace camprobe::drain
