// shm/region_reader.h
//
// The collector's side of a region: any number of readers, at once or late, of a process that runs or is dead.
//
// Nothing in a region is trusted: every byte is copied out with pread first and checked then, offsets are compared with
// the file's real size, ids with the arena's bounds. Reading with pread instead of through a mapping costs one system
// call per copy and cannot die of SIGBUS when somebody truncates the file. Only the control block is mapped
// (Boost.Interprocess), because its words must be written whole, and guarded against that signal (shm/bus_guard.h).
//
// It is done ten times a second for every target, so what is quiet must cost next to nothing: a round reads one header,
// and of each thread the two cache lines that say who has the lane and how far its rings have got. Rings are read where
// those have moved, tables only where pages of them were ever written (the file is sparse).
//
// A reader belongs to one thread. Errors are values; nothing here throws but std::bad_alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shm/bus_guard.h"
#include "shm/layout.h"
#include "shm/region_name.h"

namespace boost::interprocess {
class mapped_region;
}

namespace camprobe::shm {

// A record as copied out of a ring: Record without the atomic. The same layout, so that a ring is copied by one pread
// and its records are used where they were put.
struct ReadRecordHead {
  std::uint64_t sequence = 0;  // record number in its ring, from 0
  std::uint64_t time_ns = 0;
  RecordKind kind = RecordKind::kNone;
  std::uint16_t flags = 0;
  StackId stack = 0;
  SpanId span = 0;
};
struct ReadRecord : ReadRecordHead, Payload {};
static_assert(sizeof(ReadRecord) == sizeof(Record) && sizeof(ReadRecordHead) == offsetof(Record, payload));
static_assert(offsetof(ReadRecordHead, sequence) == offsetof(Record, sequence));
static_assert(offsetof(ReadRecordHead, time_ns) == offsetof(Record, time_ns));
static_assert(offsetof(ReadRecordHead, kind) == offsetof(Record, kind));
static_assert(offsetof(ReadRecordHead, flags) == offsetof(Record, flags));
static_assert(offsetof(ReadRecordHead, stack) == offsetof(Record, stack));
static_assert(offsetof(ReadRecordHead, span) == offsetof(Record, span));

struct RegionInfo {
  std::uint32_t abi_version = 0;
  std::uint64_t created_ns = 0;
  std::uint64_t created_realtime_ns = 0;
  std::uint64_t start_ticks = 0;
  std::uint32_t pid = 0, parent_pid = 0, uid = 0, image = 0, collector_pid = 0;
  std::string run_id;
};

// What the allocator said of itself the last time that it was read.
struct ReadAllocator {
  AllocatorKind kind = AllocatorKind::kUnknown;
  bool is_too_dear = false;  // it is not read any more
  std::uint64_t read_ns = 0, cost_ns = 0;
  AllocatorFigures figures;
};

// What changes in the header.
struct RegionStatus {
  RegionState state = RegionState::kCreating;
  std::string message;
  std::uint32_t lanes_used = 0;
  std::uint32_t modules_used = 0;
  std::uint64_t samples_taken = 0, live_samples = 0, reserved_bytes = 0;
  std::uint64_t heap_interval = 0, cpu_hz = 0, wait_interval_ns = 0;
  std::uint32_t families = 0;
  std::uint32_t control_seen = 0;  // the version of the control block that the probe has acted on
  std::uint64_t exit_ns = 0;
  std::int64_t exit_status = -1;
  std::uint64_t lost[kLossSlots] = {};
  std::uint64_t stray_allocs = 0, stray_frees = 0, stray_bytes = 0, probe_ns = 0;
  std::optional<ReadAllocator> allocator;  // no value: not read yet, or copied while it was written
};

// What was asked for by the control block.
struct ReadControl {
  std::uint32_t version = 0;
  std::uint32_t families = 0;
  std::uint64_t heap_interval = 0;  // kAutoHeapInterval: by the budget
  std::uint64_t cpu_hz = 0, wait_interval_ns = 0;
  std::uint32_t reader_pid = 0;
  std::uint32_t budget_ppm = 0;
};

// Whose lane it is.
struct LaneOwner {
  std::uint32_t index = 0;
  bool active = false;
  std::uint32_t tid = 0, creator_tid = 0, generation = 0;
  StackId start_stack = 0;
  std::uint64_t began_ns = 0;
  std::string name;
};

struct ReadLane : LaneOwner {
  std::uint64_t heap_allocs = 0, heap_frees = 0, heap_bytes = 0;  // heap_bytes: asked for, exact
  IoCounter io[kIoKinds] = {};
};

struct ReadLiveSample {
  std::uint64_t address = 0;
  bool is_mapping = false;
  LiveSample sample = {};
};

struct ReadModule {
  std::uint32_t index = 0;
  bool loaded = false;
  NameId path = 0;
  std::uint64_t base = 0, low = 0, high = 0, opened_ns = 0, closed_ns = 0;
  std::string build_id;  // hexadecimal
};

struct ReadDescriptor {
  std::int32_t fd = -1;
  std::uint32_t generation = 0;  // odd: open
  StackId stack = 0;
  Peer peer = {};
  DescriptorKind kind = DescriptorKind::kOther;
  bool found = false;  // open before the probe saw it
  std::uint16_t local_port = 0;
  std::uint16_t stands_for = 1;  // 0: its opening was not captured
  std::uint64_t opened_ns = 0;
  SpanId span = 0;
  std::uint64_t read_ops = 0, read_bytes = 0, read_errors = 0, read_ns = 0;
  std::uint64_t write_ops = 0, write_bytes = 0, write_errors = 0, write_ns = 0;
};

struct ReadSpan {
  SpanId id = 0, parent = 0;
  std::uint64_t begin_ns = 0;
  NameId name = 0;
  std::uint32_t begin_tid = 0;
  std::vector<Attribute> attributes;
};

struct ReadStack {
  std::vector<std::uint64_t> frames;  // leaf first; all but an interrupted leaf are return addresses
  bool complete = true;               // false: the walk did not reach the thread's first frame
};

// What one drain saw.
struct DrainResult {
  std::uint64_t records = 0;
  std::uint32_t fullest_per_1024 = 0;  // how much of its ring the thread with the most news had filled
  std::uint64_t lapped = 0;            // overwritten before they were read
  std::uint64_t before =
      0;  // overwritten before the first drain of this reader: its own loss only if it should have been there
  std::uint64_t torn = 0;  // left half written by a writer that was killed, or forged
};

class RegionReader {
 public:
  // Opens and checks the header. On failure: no value, and `error` says what is wrong with which file.
  static std::optional<RegionReader> open(const std::string& path, std::string* error);
  // The same from an open descriptor, which is taken over.
  static std::optional<RegionReader> from_descriptor(int fd, const std::string& path, std::string* error);

  RegionReader(RegionReader&&) noexcept;
  RegionReader& operator=(RegionReader&&) noexcept;
  ~RegionReader();

  const std::string& path() const { return path_; }
  const RegionInfo& info() const { return info_; }
  // No value: the file was truncated under us.
  std::optional<RegionStatus> status() const;

  std::optional<ReadControl> read_control() const;

  // Calls take(const LaneOwner&, bool is_signal, const ReadRecord&) for each record written since the last drain, ring
  // by ring, in each ring in order. `is_signal` tells the handler's ring. A reader that opens late sees what the rings
  // still hold; what they held earlier is counted as `before`. `lanes_used` as status() gave it.
  template <typename Take>
  DrainResult drain(std::uint32_t lanes_used, Take&& take) {
    DrainResult total;
    for (std::uint32_t index = 0; index < std::min(lanes_used, kLanes); ++index) {
      Heads heads;
      if (!read_heads(index, &heads)) break;
      for (const bool is_signal : {false, true}) {
        for (const ReadRecord& record : news_of(index, is_signal, is_signal ? heads.signal_ring : heads.ring, &total))
          take(std::as_const(heads.owner), is_signal, record);
      }
    }
    drained_before_ = true;
    return total;
  }
  template <typename Take>
  DrainResult drain(Take&& take) {
    const auto now = status();
    return now ? drain(now->lanes_used, take) : DrainResult{};
  }

  // How far drain() has got in each ring, two a lane; and going on from there, as another reader did before this one.
  std::vector<std::uint64_t> positions() const;
  void go_on_from(const std::vector<std::uint64_t>& positions);

  std::vector<ReadLane> lanes() const;
  std::vector<ReadLiveSample> live_samples() const;
  std::vector<ReadModule> modules() const;
  std::vector<ReadDescriptor> descriptors() const;  // every entry ever opened
  std::vector<ReadSpan> open_spans() const;
  // What an open span is called: its id says where it lies. No value: it is not open (any more).
  std::optional<NameId> open_span_name(SpanId id) const;
  std::optional<ReadStack> stack(StackId id) const;
  // The whole stack of a record: of a CPU sample with the interrupted instruction, which the depot's does not have.
  std::optional<ReadStack> stack_of(const ReadRecord& record) const;
  std::optional<std::string> name(NameId id) const;

  // The control block, mapped for writing; nullptr where that is not allowed (the reason in `error`). Owned by the
  // reader.
  ControlBlock* control(std::string* error);

  // Copies made from the file so far: what reading costs, in system calls.
  std::uint64_t reads() const { return reads_; }

 private:
  struct Cursor {
    std::uint64_t next = 0;
  };
  struct Heads {
    LaneOwner owner;
    std::uint64_t ring = 0, signal_ring = 0;
  };
  RegionReader() = default;
  bool read_at(std::uint64_t offset, void* out, std::size_t bytes) const;
  bool read_header(std::string* error);
  bool read_heads(std::uint32_t index, Heads* heads) const;
  std::optional<ReadLane> read_lane(std::uint32_t index) const;
  // The whole records between the cursor and `head`, in buffer_ until the next call.
  std::span<const ReadRecord> news_of(std::uint32_t index, bool is_signal, std::uint64_t head, DrainResult* result);
  // Calls visit(first, count) for the runs of entries of a table that lie in pages which were ever written.
  template <typename Visit>
  void each_written(std::uint64_t offset, std::uint32_t entries, std::size_t entry_bytes, Visit visit) const;
  std::optional<std::string> sample_bytes(StackId id, std::uint32_t most) const;
  std::optional<std::string> intern_bytes(std::uint64_t arena_offset, std::uint64_t arena_bytes, std::uint32_t id,
                                          std::uint32_t most) const;

  int fd_ = -1;
  std::string path_;
  RegionInfo info_;
  bool drained_before_ = false;
  mutable std::uint64_t reads_ = 0;
  std::vector<Cursor> cursors_;     // two a lane
  std::vector<ReadRecord> buffer_;  // for ring copies, kept between drains
  std::unique_ptr<boost::interprocess::mapped_region> control_;
  std::unique_ptr<BusGuard> control_guard_;  // goes before what it guards
};

}  // namespace camprobe::shm
