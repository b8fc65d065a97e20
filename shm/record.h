// shm/record.h
//
// What one slot of a ring holds: one event of one thread, 64 bytes, a cache line. Written by the thread (or its signal
// handler), read by any number of collectors in other processes.
//
// `sequence` is written last: slot i of record n holds n + 1 once the record is whole, 0 while it is being written. A
// writer killed at any instruction therefore leaves either the old record, a slot that says 0, or the new record.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace camprobe::shm {

// An id in the stack depot, or in that of CPU samples (shm/sample_depot.h); 0: no stack (depot full, or capture
// failed).
using StackId = std::uint32_t;
// An id in the name table; 0: no name.
using NameId = std::uint32_t;
// An open or ended span; 0: none. Low 16 bits: slot + 1 in the span table.
using SpanId = std::uint64_t;

enum class RecordKind : std::uint16_t {
  kNone = 0,
  kAlloc,           // a sampled allocation                               AllocPayload
  kFree,            // a sampled allocation was freed                     FreePayload
  kCpu,             // a CPU (or wall clock) sample                       CpuPayload
  kWait,            // a sampled wait in a blocking call                  WaitPayload
  kOpen,            // a descriptor came into being                       OpenPayload
  kClose,           // a descriptor went                                  ClosePayload
  kSpan,            // a span ended; its attributes follow in this ring   SpanPayload
  kSpanAttributes,  // up to two attributes of the span in `span`       AttributesPayload
  kThreadStart,     // this lane's thread began                           ThreadPayload
  kThreadEnd,       // this lane's thread ended                           ThreadPayload
  kMap,             // a large mapping of the program's own               MapPayload
  kUnmap,           // it went                                            MapPayload
  kMark,            // an instant the program named                       MarkPayload
  kProcess,         // fork, exec, exit as the process itself saw them    ProcessPayload
  kSetting,         // an interval or rate changed                        SettingPayload
  kKinds
};

// Record::flags
inline constexpr std::uint16_t kFlagTemporary = 1;     // kFree: freed before the thread's next allocation
inline constexpr std::uint16_t kFlagFound = 2;         // kOpen, kThreadStart: existed before the probe saw it
inline constexpr std::uint16_t kFlagWallClock = 4;     // kCpu: the thread may have been waiting
inline constexpr std::uint16_t kFlagFailed = 8;        // kOpen: the connect or accept failed
inline constexpr std::uint16_t kFlagOtherThread = 16;  // kFree: by another thread than the allocating one
inline constexpr std::uint16_t kFlagAsked = 32;        // kSetting: by the control block, not by the budget

struct AllocPayload {
  std::uint64_t address;
  std::uint64_t size;      // bytes asked for
  std::uint64_t sample;    // unique in this region, from 1
  std::uint64_t interval;  // mean bytes between samples when it was taken
};
struct FreePayload {
  std::uint64_t size;
  std::uint64_t sample;
  std::uint64_t interval;
  std::uint64_t born_ns;
};
// The record's stack is that of the interrupted function's caller: the instruction differs from sample to sample, and
// each would make a stack of its own. Whoever wants the whole puts `program_counter` in front (RegionReader::stack_of).
// Stack 0: nothing but the instruction is known.
struct CpuPayload {
  std::uint64_t weight_ns;  // (1 + overruns) periods
  std::uint64_t period_ns;
  std::uint64_t program_counter;
  std::uint32_t overruns;
  std::uint32_t reserved;
};
// What a wait stands for is for the collector to compute: duration / (1 - exp(-duration / interval)).
struct WaitPayload {
  std::uint64_t duration_ns;  // of this call
  std::uint64_t interval_ns;  // mean nanoseconds of waiting between samples
  std::uint64_t reserved;
  NameId call;
  std::int32_t fd;  // -1: none or several
};
// Address of the other end. family 0: none known. Unix sockets: `address` holds a NameId (path) in its first 4 bytes.
struct Peer {
  std::uint8_t address[16];  // IPv4 in the first 4 bytes, network order
  std::uint16_t port;        // host order
  std::uint8_t family;       // AF_INET, AF_INET6, AF_UNIX or 0
  std::uint8_t reserved;
};
static_assert(sizeof(Peer) == 20);

enum class DescriptorKind : std::uint8_t { kOther, kFile, kPipe, kSocket, kListen, kAccept, kConnect, kEpoll, kEvent };

struct OpenPayload {
  std::int32_t fd;
  std::uint32_t generation;  // of that fd number in the descriptor table: odd while open
  Peer peer;
  DescriptorKind kind;
  std::uint8_t reserved;
  std::uint16_t stands_for;  // so many openings, of plain files: one of so many is recorded. 1 for all others
};
struct ClosePayload {
  std::int32_t fd;
  std::uint32_t generation;  // as in its OpenPayload
  std::uint64_t read_bytes;
  std::uint64_t write_bytes;
  std::uint32_t read_ops;  // saturating
  std::uint32_t write_ops;
};
struct SpanPayload {  // time_ns: when it ended; span: its id
  SpanId parent;
  std::uint64_t begin_ns;
  NameId name;
  std::uint32_t begin_tid;
  std::uint32_t end_tid;
  std::uint32_t attributes;  // how many follow, two a record
};
// The last four are a `traceparent` (shm/trace_context.h), together under one key and in this order.
enum class AttributeType : std::uint32_t {
  kNone,
  kNumber,
  kText,
  kTraceHigh,
  kTraceLow,
  kTraceSpan,         // not sampled
  kTraceSpanSampled,  // one of the two
};
struct Attribute {
  NameId key;
  AttributeType type;
  std::uint64_t value;  // the bits of a double, a NameId, or a part of a traceparent
};
struct AttributesPayload {
  Attribute attribute[2];
};
struct ThreadPayload {
  std::uint32_t tid;
  std::uint32_t creator_tid;
  char name[16];
  std::uint64_t cpu_ns;  // kThreadEnd: CPU time it used
};
struct MapPayload {
  std::uint64_t address;
  std::uint64_t size;
  std::uint64_t sample;
  std::uint64_t born_ns;  // kUnmap
};
struct MarkPayload {
  NameId text;
  std::uint32_t reserved[7];
};
enum class ProcessEvent : std::uint32_t { kNone, kForked, kVforked, kSpawned, kExec, kExit };
struct ProcessPayload {
  ProcessEvent event;
  std::uint32_t pid;  // the child, for forks and spawns
  std::int64_t status;
  std::uint64_t reserved[2];
};
enum class Setting : std::uint32_t { kNone, kHeapInterval, kCpuHz, kFamilies, kWaitInterval, kBudget };
struct SettingPayload {
  Setting setting;
  std::uint32_t is_auto;  // kHeapInterval: the budget moves it
  std::uint64_t value;
  std::uint64_t before;  // what held until now
  std::uint64_t reserved;
};

// What a record says beyond its head, by its kind.
struct Payload {
  union {
    AllocPayload alloc;
    FreePayload free;
    CpuPayload cpu;
    WaitPayload wait;
    OpenPayload open;
    ClosePayload close;
    SpanPayload span_end;
    AttributesPayload attributes;
    ThreadPayload thread;
    MapPayload map;
    MarkPayload mark;
    ProcessPayload process;
    SettingPayload setting;
    std::uint64_t words[4] = {};
  };
};

struct Record {
  std::atomic<std::uint64_t> sequence;
  std::uint64_t time_ns;  // CLOCK_MONOTONIC
  RecordKind kind;
  std::uint16_t flags;
  StackId stack;
  SpanId span;  // innermost open span of the thread
  Payload payload;
};
static_assert(sizeof(Record) == 64 && alignof(Record) == 8);
static_assert(sizeof(AllocPayload) == 32 && sizeof(CpuPayload) == 32 && sizeof(WaitPayload) == 32);
static_assert(sizeof(OpenPayload) == 32 && sizeof(ClosePayload) == 32 && sizeof(SpanPayload) == 32);
static_assert(sizeof(AttributesPayload) == 32 && sizeof(ThreadPayload) == 32 && sizeof(MapPayload) == 32);
static_assert(sizeof(MarkPayload) == 32 && sizeof(ProcessPayload) == 32 && sizeof(SettingPayload) == 32);
static_assert(sizeof(Payload) == 32 && offsetof(Record, payload) == 32);

}  // namespace camprobe::shm
