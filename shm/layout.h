// shm/layout.h
//
// The contract between the probe and every reader of it: where each part of a region lies and what its words mean.
//
//   page 0      RegionHeader      written by the probe
//   page 1      ControlBlock      the only part that a collector may write
//   ...         names             interned texts (span names, paths)          shm/intern.h
//   ...         modules           ModuleEntry[kModules]
//   ...         stacks            interned program counters                   shm/intern.h
//   ...         samples' stacks   the same of CPU samples, two tables         shm/sample_depot.h
//   ...         live keys, live samples                                       shm/live_table.h
//   ...         descriptors       DescriptorEntry[kDescriptors]
//   ...         spans             SpanSlot[kSpans]
//   ...         lanes             one per thread: Lane + two rings            shm/ring.h
//
// The file is sparse. A piece is reserved (fallocate) before its first write, because a store to a page that a full
// tmpfs cannot give ends the program by SIGBUS; what was never reserved reads as zeros, and zero means "empty"
// everywhere. So a small program costs a few pages, and 1,000 threads get lanes only as they come.
//
// Both sides are compiled from this file; a change of any struct raises kAbiVersion.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/record.h"

namespace camprobe::shm {

inline constexpr char kMagic[8] = {'C', 'A', 'M', 'P', 'R', 'O', 'B', 'E'};
inline constexpr std::uint32_t kAbiVersion = 7;
inline constexpr std::size_t kPage = 4096;

// ---------------------------------------------------------------------------------------------------------- sizes

inline constexpr std::uint32_t kNameSlots = 1u << 14;
inline constexpr std::uint64_t kNameArenaBytes = 512u << 10;
inline constexpr std::uint32_t kMaxNameBytes = 4096;  // the longest that readers take for a name: as long as a path
inline constexpr std::uint32_t kMaxTextBytes = 128;   // of a text attribute
inline constexpr std::uint32_t kModules = 2048;
inline constexpr std::uint32_t kStackSlots = 1u << 15;
inline constexpr std::uint64_t kStackArenaBytes = 2u << 20;
inline constexpr std::uint32_t kSampleTables = 2;
inline constexpr std::uint32_t kSampleSlots = 1u << 14;  // of each
inline constexpr std::uint64_t kSampleArenaBytes = 1u << 20;
inline constexpr std::uint32_t kMaxFrames = 256;
inline constexpr std::uint32_t kLiveSamples = 1u << 16;
inline constexpr std::uint32_t kDescriptors = 1u << 14;
inline constexpr std::uint32_t kSpans = 1u << 12;
inline constexpr std::uint32_t kSpanAttributes = 8;

// The first threads get long rings (a busy thread at 20,000 records a second loses nothing when drained every 100 ms),
// the many that may follow short ones.
inline constexpr std::uint32_t kLanes = 1024;
inline constexpr std::uint32_t kLongLanes = 16;
inline constexpr std::uint32_t kLongRing = 4096;
inline constexpr std::uint32_t kLongSignalRing = 512;
inline constexpr std::uint32_t kShortRing = 256;
inline constexpr std::uint32_t kShortSignalRing = 128;

// ---------------------------------------------------------------------------------------------------------- header

enum class RegionState : std::uint32_t {
  kCreating = 0,
  kRunning = 1,
  kOff = 2,     // the probe runs but records nothing; `message` says why
  kExited = 3,  // the program ended by itself
  kExec = 4,    // the process became another program (whose region has the next image number)
};

// Things the probe could not record, counted process-wide (ring laps are found by the reader).
enum class Loss : std::uint32_t {
  kNoLane,     // a thread without a lane had something to say
  kStackFull,  // depot full: sample kept, stack 0
  kLiveFull,   // live table full: allocation sampled but not tracked
  kNameFull,
  kModuleFull,
  kSpanFull,
  kAttributeFull,
  kDescriptorRange,  // fd number beyond the table
  kReserve,          // /dev/shm had no room for another page
  kReentrant,        // an event inside the probe's own work
  kLosses
};
inline constexpr std::uint32_t kLossSlots = 16;
static_assert(static_cast<std::uint32_t>(Loss::kLosses) <= kLossSlots);

enum class AllocatorKind : std::uint32_t {
  kUnknown = 0,  // or one that tells nothing of itself
  kGlibc = 1,
  kTcmalloc = 2,
  kJemalloc = 3,
  kMimalloc = 4,
  kKinds
};

enum class AllocatorState : std::uint32_t {
  kNever = 0,  // not read yet, or not to be read
  kRead = 1,
  kTooDear = 2,  // reading took so long that it is given up; the figures are the last ones
};

inline constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

// What the program's allocator says of itself, bytes; kUnknownBytes where it does not say. docs/memory.md has what each
// allocator's figures are made of.
struct AllocatorFigures {
  std::uint64_t in_use = kUnknownBytes;    // in blocks that the program has
  std::uint64_t cached = kUnknownBytes;    // free, in caches of threads or of sizes
  std::uint64_t free = kUnknownBytes;      // free otherwise, and not given back to the system
  std::uint64_t held = kUnknownBytes;      // all that it has of the system
  std::uint64_t released = kUnknownBytes;  // given back, its addresses kept
};

// Written by whichever of the program's threads read the allocator, one at a time, while readers copy: `check` tells a
// copy that is half old and half new. One that was killed meanwhile leaves such a block behind.
struct AllocatorBlock {
  std::atomic<std::uint32_t> kind;   // AllocatorKind
  std::atomic<std::uint32_t> state;  // AllocatorState
  std::atomic<std::uint64_t> read_ns;
  std::atomic<std::uint64_t> cost_ns;  // CPU time of that reading
  std::atomic<std::uint64_t> in_use, cached, free, held, released;
  std::atomic<std::uint64_t> check;
};
static_assert(sizeof(AllocatorBlock) == 72);

constexpr std::uint64_t check_of(const AllocatorFigures& figures, std::uint64_t read_ns, std::uint64_t cost_ns) {
  std::uint64_t sum = 0x63616d70726f6265;  // so that zeros do not add up
  for (const std::uint64_t word :
       {read_ns, cost_ns, figures.in_use, figures.cached, figures.free, figures.held, figures.released})
    sum = (sum ^ word) * 0x9e3779b97f4a7c15 + (sum >> 29);
  return sum;
}

struct RegionHeader {
  char magic[8];
  std::uint32_t abi_version;
  std::uint32_t header_size;  // sizeof(RegionHeader)
  std::uint64_t region_size;  // bytes of the file
  std::uint64_t created_ns;   // CLOCK_MONOTONIC
  std::uint64_t created_realtime_ns;
  std::uint64_t start_ticks;  // field 22 of /proc/<pid>/stat: with pid it names the process for ever
  std::uint32_t pid;
  std::uint32_t parent_pid;
  std::uint32_t uid;
  std::uint32_t image;                    // counts exec() in this process
  std::uint32_t collector_pid;            // from CAMPROBE_RUN; 0: none
  std::atomic<std::uint32_t> state;       // RegionState
  char run_id[64];                        // NUL-terminated; empty: no run asked for it
  char message[256];                      // NUL-terminated: why the state is kOff, or what is limited
  std::atomic<std::uint32_t> lanes_used;  // lanes [0, lanes_used) have been handed out at least once
  std::atomic<std::uint32_t> modules_used;
  std::atomic<std::uint64_t> samples_taken;  // last sample id given
  std::atomic<std::uint64_t> live_samples;   // entries in the live table
  std::atomic<std::uint64_t> reserved_bytes;
  std::atomic<std::uint64_t> heap_interval;  // what holds now, bytes; 0: off
  std::atomic<std::uint64_t> cpu_hz;
  std::atomic<std::uint64_t> wait_interval_ns;
  std::atomic<std::uint32_t> families;      // bit mask of Family
  std::atomic<std::uint32_t> control_seen;  // ControlBlock::version the probe has acted on
  std::uint64_t exit_ns;
  std::int64_t exit_status;  // as given to exit(); -1 unknown
  std::atomic<std::uint64_t> lost[kLossSlots];
  // What threads without a lane did; exact totals are these plus the lanes'.
  std::atomic<std::uint64_t> stray_allocs;
  std::atomic<std::uint64_t> stray_frees;
  std::atomic<std::uint64_t> stray_bytes;
  std::atomic<std::uint64_t> probe_ns;  // time the probe spent in sampled paths and handlers
  AllocatorBlock allocator;
  std::atomic<std::uint32_t> sample_turn;  // whose table takes CPU samples' stacks now
  std::uint32_t reserved;
};
static_assert(sizeof(RegionHeader) <= kPage);
static_assert(offsetof(RegionHeader, run_id) == 72);
static_assert(offsetof(RegionHeader, lanes_used) == 392);
static_assert(offsetof(RegionHeader, allocator) == 632);

enum class Family : std::uint32_t {
  kHeap = 1,
  kCpu = 2,
  kSocket = 4,
  kFile = 8,
  kWait = 16,
  kThread = 32,
  kProcess = 64,
  kSpan = 128,
  kMap = 256,
};
inline constexpr std::uint32_t kAllFamilies = 511;

// Written by any number of collectors and commands at once, read by the probe in its slow paths. There is no lock that
// a writer who is killed could leave behind: who wants a change makes it field by field, each in one atomic step (bits
// of `families` by fetch_or and fetch_and, so that two writers who change different families both get theirs), and then
// raises `version` by fetch_add. The probe reads `version` first and the fields after it, so a change that it saw only
// half of has a version that it has yet to see, and it looks again. Of two writers of one field the later one holds.
struct ControlBlock {
  std::atomic<std::uint32_t> version;        // raised after the other fields are set; compared for equality only
  std::atomic<std::uint32_t> families;       // bit mask of Family
  std::atomic<std::uint64_t> heap_interval;  // bytes; 0 off; ~0: auto
  std::atomic<std::uint64_t> cpu_hz;
  std::atomic<std::uint64_t> wait_interval_ns;
  // Who drains now; the probe leaves its region to it at exit. Taken by compare-and-exchange from 0 or from a process
  // that is dead, given back only by who has it: of two collectors the second waits for the first to go.
  std::atomic<std::uint32_t> reader_pid;
  std::atomic<std::uint32_t> budget_ppm;  // share of CPU time that the probe may use, parts per million
};
static_assert(sizeof(ControlBlock) == 40);

// ---------------------------------------------------------------------------------------------------------- parts

struct ModuleEntry {
  std::atomic<std::uint32_t> state;  // 0 empty, 1 loaded, 2 unloaded
  NameId path;
  std::uint64_t base;       // load bias
  std::uint64_t low, high;  // executable range [low, high)
  std::uint64_t opened_ns;
  std::atomic<std::uint64_t> closed_ns;
  std::uint32_t build_id_size;
  std::uint8_t build_id[28];
};
static_assert(sizeof(ModuleEntry) == 80);

struct LiveSample {
  std::uint64_t size;
  std::uint64_t sample;
  std::uint64_t born_ns;
  SpanId span;
  std::uint64_t interval;  // mean bytes between samples; 0: exact (a mapping)
  StackId stack;
  std::uint32_t tid;
};
static_assert(sizeof(LiveSample) == 48);

// A descriptor that was open for less is not worth a row of its own to those who read.
inline constexpr std::uint64_t kShortLifeNs = 1'000'000'000;

struct DescriptorEntry {
  // The cache line that each transfer touches.
  std::atomic<std::uint32_t>
      generation;  // odd: open; even: closed or never opened. Raised by one at each open and close
  DescriptorKind kind;
  std::uint8_t flags;        // kFlagFound
  std::uint16_t stands_for;  // as in OpenPayload; 0: a plain file's opening that was not captured: no stack, no kOpen,
                             // and a kClose only after kShortLifeNs
  std::atomic<std::uint64_t> read_ops, read_bytes, read_ns;
  std::atomic<std::uint64_t> write_ops, write_bytes, write_ns;
  SpanId span;
  // What is written once, or seldom.
  std::atomic<std::uint64_t> read_errors, write_errors;
  std::uint64_t opened_ns;
  StackId stack;
  Peer peer;
  std::uint16_t local_port;
  std::uint16_t reserved[3];
  std::uint64_t reserved2;
};
static_assert(offsetof(DescriptorEntry, read_errors) == 64);
static_assert(sizeof(DescriptorEntry) == 128);

// What SpanSlot::id says of a slot that is not free and whose span is not open. No handle looks like that, since its
// low half is a slot's number + 1.
inline constexpr SpanId kSpanChanges = 0xffff;  // is being filled, or emptied
inline constexpr SpanId kSpanKept = 0xfffe;     // free, and kept for the next span of some lane
static_assert(kSpans < kSpanKept);

struct alignas(64) SpanSlot {
  std::atomic<SpanId> id;  // 0 free; the handle while open; else one of the above
  SpanId parent;
  std::uint64_t begin_ns;
  NameId name;
  std::uint32_t begin_tid;
  std::atomic<std::uint32_t> attributes;
  std::uint32_t serial;     // counts the slot's uses
  std::uint64_t next_kept;  // of a slot that is kept: slot + 1 of the next; 0 none
  Attribute attribute[kSpanAttributes];
};
static_assert(sizeof(SpanSlot) == 192 && offsetof(SpanSlot, attribute) == 48);

// ---------------------------------------------------------------------------------------------------------- lanes

enum class IoKind : std::uint32_t {
  kSocketRead,
  kSocketWrite,
  kFileRead,
  kFileWrite,
  kOtherRead,
  kOtherWrite,
  kAccept,
  kConnect,
  kWait,
  kIoKinds
};
inline constexpr std::uint32_t kIoKinds = static_cast<std::uint32_t>(IoKind::kIoKinds);

// Cumulative and never reset, also when a lane passes on to another thread: the process's totals are the sum over
// lanes. One writer, the thread; 64-bit stores are not torn on the machines we know.
struct IoCounter {
  std::uint64_t ops, bytes, errors, ns;
};

enum class LaneState : std::uint32_t {
  kFree = 0,
  kActive = 1,
  kEnding = 2,  // its thread said that it ends, and counts on until it is gone
};

struct RingHeader {
  std::atomic<std::uint64_t> head;  // records ever written; record n lies in slot n % capacity
};

struct alignas(64) Lane {
  // The heap fast path's cache line.
  std::int64_t heap_countdown;              // bytes until the next sample; negative: sample now
  std::uint64_t heap_allocs;                // exact
  std::uint64_t heap_frees;                 // exact, free(NULL) not counted
  std::uint64_t heap_base;                  // bytes ever asked for = heap_base - heap_countdown
  std::atomic<std::uint64_t> heap_version;  // odd while countdown and base change together
  std::uint64_t heap_reserved[3];
  // Identity.
  std::atomic<std::uint32_t> state;  // LaneState
  std::uint32_t tid;
  std::uint32_t creator_tid;
  std::atomic<std::uint32_t> generation;  // counts the threads that had this lane
  StackId start_stack;
  std::uint32_t reserved;
  std::uint64_t began_ns;
  char name[16];
  std::atomic<SpanId> current_span;
  // Free span slots that are kept for this lane's next spans, a list: slot + 1 of the first, 0 none, and in the upper
  // half how many there are. Passes on with the lane.
  std::uint64_t kept_spans;
  // Rings: heads here, slots behind the lane.
  RingHeader ring;
  RingHeader signal_ring;
  std::uint64_t reserved3[6];
  IoCounter io[kIoKinds];
};
static_assert(sizeof(Lane) == 512);
static_assert(offsetof(Lane, state) == 64 && offsetof(Lane, ring) == 128 && offsetof(Lane, io) == 192);

// ---------------------------------------------------------------------------------------------------------- offsets

constexpr std::uint64_t page_up(std::uint64_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

inline constexpr std::uint64_t kControlOffset = kPage;
inline constexpr std::uint64_t kNameIndexOffset = 2 * kPage;
inline constexpr std::uint64_t kNameArenaOffset = kNameIndexOffset + page_up(64 + kNameSlots * 4ull);
inline constexpr std::uint64_t kModulesOffset = kNameArenaOffset + page_up(kNameArenaBytes);
inline constexpr std::uint64_t kStackIndexOffset = kModulesOffset + page_up(kModules * sizeof(ModuleEntry));
inline constexpr std::uint64_t kStackArenaOffset = kStackIndexOffset + page_up(64 + kStackSlots * 4ull);
inline constexpr std::uint64_t kSampleIndexBytes = page_up(64 + kSampleSlots * 4ull);
inline constexpr std::uint64_t kSampleIndexOffset = kStackArenaOffset + page_up(kStackArenaBytes);
inline constexpr std::uint64_t kSampleArenaOffset = kSampleIndexOffset + kSampleTables * kSampleIndexBytes;
constexpr std::uint64_t sample_index_offset(std::uint32_t table) {
  return kSampleIndexOffset + table * kSampleIndexBytes;
}
constexpr std::uint64_t sample_arena_offset(std::uint32_t table) {
  return kSampleArenaOffset + table * kSampleArenaBytes;
}
inline constexpr std::uint64_t kLiveKeysOffset = kSampleArenaOffset + kSampleTables * kSampleArenaBytes;
inline constexpr std::uint64_t kLiveSamplesOffset = kLiveKeysOffset + page_up(kLiveSamples * 8ull);
inline constexpr std::uint64_t kDescriptorsOffset = kLiveSamplesOffset + page_up(kLiveSamples * sizeof(LiveSample));
inline constexpr std::uint64_t kSpansOffset = kDescriptorsOffset + page_up(kDescriptors * sizeof(DescriptorEntry));
inline constexpr std::uint64_t kLanesOffset = kSpansOffset + page_up(kSpans * sizeof(SpanSlot));

struct LaneGeometry {
  std::uint64_t offset;       // of the Lane in the region
  std::uint32_t ring;         // slots; the ring follows the Lane in the same page, which may be all that a thread needs
  std::uint32_t signal_ring;  // slots; behind the ring
  constexpr std::uint64_t ring_offset() const { return offset + sizeof(Lane); }
  constexpr std::uint64_t signal_ring_offset() const { return ring_offset() + ring * sizeof(Record); }
  constexpr std::uint64_t bytes() const {
    return page_up(sizeof(Lane) + (std::uint64_t{ring} + signal_ring) * sizeof(Record));
  }
};

inline constexpr std::uint64_t kLongLaneBytes = LaneGeometry{0, kLongRing, kLongSignalRing}.bytes();
inline constexpr std::uint64_t kShortLaneBytes = LaneGeometry{0, kShortRing, kShortSignalRing}.bytes();
inline constexpr std::uint64_t kShortLanesOffset = kLanesOffset + kLongLanes * kLongLaneBytes;

constexpr LaneGeometry lane_geometry(std::uint32_t lane) {
  if (lane < kLongLanes) return {kLanesOffset + lane * kLongLaneBytes, kLongRing, kLongSignalRing};
  return {kShortLanesOffset + (lane - kLongLanes) * kShortLaneBytes, kShortRing, kShortSignalRing};
}

inline constexpr std::uint64_t kRegionBytes = kShortLanesOffset + (kLanes - kLongLanes) * kShortLaneBytes;
// Without the threads beyond the first sixteen a region can never grow past 16 MiB.
static_assert(kShortLanesOffset <= (16u << 20));

}  // namespace camprobe::shm
