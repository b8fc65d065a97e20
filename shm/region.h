// shm/region.h
//
// The writer's side of a region: makes the file, maps it, hands out its parts. One per process image, a static object
// inside libcamprobe.so. No allocation, no libc beyond memcpy; `create` is called from start-up and from the child of a
// fork, everything else from hooks and signal handlers.
#pragma once

#include <cstdint>

#include "shm/intern.h"
#include "shm/layout.h"
#include "shm/live_table.h"
#include "shm/region_name.h"
#include "shm/reservation.h"
#include "shm/ring.h"
#include "shm/sample_depot.h"

namespace camprobe::shm {

// Why a region could not be made: a sentence for the user, and the kernel's errno.
struct CreateFailure {
  const char* what = nullptr;
  int error = 0;
};

class Region {
 public:
  struct Options {
    const char* run_id = nullptr;  // at most 63 bytes
    std::uint32_t collector_pid = 0;
    std::uint32_t image = 0;  // tried first; the next free number is taken
  };

  // Makes /dev/shm/camprobe.<uid>.<pid>.<starttime>[.image] for the calling process and maps it. On failure nothing is
  // left behind and the region stays unmapped.
  bool create(const Options& options, CreateFailure* failure);

  // Forgets the file without touching it: the child of a fork, whose parent goes on using it. Empty memory of the
  // child's own takes the place of the pages, and of that the child's region, if it makes one: a signal handler that
  // forked may have interrupted code of ours, which goes on there.
  void abandon();

  // Removes the file's name; the mapping stays usable until the process ends.
  void unlink();

  bool is_mapped() const { return base_ != nullptr && !is_abandoned_; }
  char* base() const { return base_; }
  const char* path() const { return path_; }
  RegionHeader* header() const { return reinterpret_cast<RegionHeader*>(base_); }
  ControlBlock* control() const { return reinterpret_cast<ControlBlock*>(base_ + kControlOffset); }

  NameId intern_name(const char* text, std::uint32_t bytes);
  // Whether `id`, which intern_name() gave in this region, is that of these bytes.
  bool is_name(NameId id, std::uint32_t hash, const char* text, std::uint32_t bytes) const {
    return names_.holds(id, hash, text, bytes);
  }
  StackId intern_stack(const std::uintptr_t* frames, std::uint32_t depth, bool complete);
  // The same without a copy (2 KiB of a stack that may be small): `frames` must have room for one more word.
  StackId intern_stack_in_place(std::uintptr_t* frames, std::uint32_t depth, bool complete);
  // A stack of CPU samples, which is forgotten some ten minutes later. Of the handler that takes them.
  StackId intern_sample_in_place(std::uintptr_t* frames, std::uint32_t depth, bool complete, std::uint64_t now_ns);
  LiveTable& live() { return live_; }

  // The entry of a descriptor, reserved; nullptr: number out of range or no room (counted).
  DescriptorEntry* descriptor(int fd);
  // The same, but only where an entry was reserved before; never allocates.
  DescriptorEntry* known_descriptor(int fd) const;

  // A free span slot, claimed: no handle finds it until its id is set to the fresh one that `id` gets. Without parent
  // and attributes. nullptr: table full (counted).
  SpanSlot* claim_span(std::uint32_t hint, SpanId* id);
  // How many slots a lane may keep. A server that hands requests on has many spans open at once, so the first threads
  // keep many; a thousand threads that only end what others begin still leave half of all slots.
  static constexpr std::uint32_t kept_spans_of(int lane) { return lane < static_cast<int>(kLongLanes) ? 64 : 1; }
  // The same of the slots that `lane` keeps; nullptr: it keeps none. And back to it (true) or to the table, with the
  // slot's id kSpanChanges. Of the lane's own thread, behind its door. A slot that is used over and over by one thread
  // stays in its caches, and needs no lock on the bus.
  SpanSlot* claim_kept_span(Lane& lane, SpanId* id) {
    const std::uint64_t kept = lane.kept_spans;
    const std::uint32_t at = static_cast<std::uint32_t>(kept) - 1;
    if (at >= kSpans) return nullptr;
    SpanSlot& slot = span_slot(at);
    lane.kept_spans = ((kept >> 32) - 1) << 32 | static_cast<std::uint32_t>(slot.next_kept);
    return begin_span(slot, at, id);
  }
  void keep_span(int index, Lane& lane, SpanSlot& slot, SpanId id) {
    const std::uint64_t kept = lane.kept_spans;
    const bool has_room = kept >> 32 < kept_spans_of(index);
    if (!has_room) return slot.id.store(0, std::memory_order_release);
    slot.next_kept = kept & 0xffffffff;
    slot.id.store(kSpanKept, std::memory_order_release);
    lane.kept_spans = ((kept >> 32) + 1) << 32 | (id & 0xffff);
  }
  // The slot of an open span; nullptr when it is not open any more.
  SpanSlot* span(SpanId id) const {
    const std::uint64_t at = (id & 0xffff) - 1;
    if (base_ == nullptr || at >= kSpans || !reservation_.is_reserved(kSpansOffset + at * sizeof(SpanSlot)))
      return nullptr;
    SpanSlot& slot = span_slot(static_cast<std::uint32_t>(at));
    return slot.id.load(std::memory_order_acquire) == id ? &slot : nullptr;
  }

  // A lane for the calling thread, active and reserved but for its rings; -1: none free or no room (counted).
  int acquire_lane(std::uint32_t tid, std::uint64_t now_ns);
  // Its thread is gone.
  void release_lane(int lane);
  // Its thread ends, and still counts what its last destructors do: the lane passes on once the kernel has no such
  // thread.
  void end_lane(int lane);
  // The writers of a lane's two rings, which reserve their pages as they come to them.
  void attach_rings(int lane, RingWriter* ring, RingWriter* signal_ring);
  Lane* lane(int index) const {
    return reinterpret_cast<Lane*>(base_ + lane_geometry(static_cast<std::uint32_t>(index)).offset);
  }

  // The next free entry of the module table; nullptr: full or no room (counted).
  ModuleEntry* claim_module();
  ModuleEntry* module(std::uint32_t index) const {
    return reinterpret_cast<ModuleEntry*>(base_ + kModulesOffset) + index;
  }

  void count_loss(Loss loss, std::uint64_t count = 1) {
    if (base_ != nullptr) header()->lost[static_cast<std::uint32_t>(loss)].fetch_add(count, std::memory_order_relaxed);
  }
  // Copies `text` into header()->message (truncated).
  void say(const char* text);

 private:
  SpanSlot& span_slot(std::uint32_t at) const { return reinterpret_cast<SpanSlot*>(base_ + kSpansOffset)[at]; }
  static SpanSlot* begin_span(SpanSlot& slot, std::uint32_t at, SpanId* id) {
    slot.serial += 1;
    slot.parent = 0;
    slot.attributes.store(0, std::memory_order_relaxed);
    *id = (static_cast<SpanId>(slot.serial) << 16) | (at + 1);
    return &slot;
  }

  // Empty private memory in place of whatever is mapped at base_.
  bool clear_mapping();

  char* base_ = nullptr;
  bool is_abandoned_ = false;  // base_ is memory of no file
  char path_[kRegionPathMax] = {};
  Reservation reservation_;
  InternTable names_;
  InternTable stacks_;
  SampleDepot samples_;
  LiveTable live_;
};

// Of the calling process, from /proc/self/stat; 0 where there is no /proc.
std::uint64_t own_start_ticks();

// CLOCK_MONOTONIC and CLOCK_REALTIME, nanoseconds. After freeze_clocks() they stand still where clock_gettime is
// forbidden: the vDSO, too, makes the system call on machines whose clock it cannot read.
void freeze_clocks();
std::uint64_t monotonic_ns();
std::uint64_t realtime_ns();

}  // namespace camprobe::shm
