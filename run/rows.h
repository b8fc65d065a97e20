// run/rows.h
//
// The rows of a run as run/schema.sql defines them: one struct a table, one field a column, same names. The schema says
// what each means; times are nanoseconds since the run began (`*_ns`) or whole seconds of the same clock (`second`).
//
// Ids are types of their own, so that a thread cannot be passed for a stack; number() gives the database's integer.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace camprobe::run {

enum class ProcessId : std::int64_t {};
enum class ThreadId : std::int64_t {};
enum class StackId : std::int64_t {};
enum class FrameId : std::int64_t {};
enum class NameId : std::int64_t {};
enum class SourceId : std::int64_t {};

template <class Id>
constexpr std::int64_t number(Id id) {
  return static_cast<std::int64_t>(id);
}

inline constexpr ProcessId kMachine{0};
inline constexpr StackId kUnknownStack{0};
inline constexpr NameId kNoName{0};
inline constexpr ThreadId kNoThread{0};

// meta.state
inline constexpr const char* kRecording = "recording";
inline constexpr const char* kComplete = "complete";
inline constexpr const char* kPostMortem = "post-mortem";

struct Meta {
  std::string run_id;
  std::string camprobe_version;
  std::int64_t started_realtime_ns = 0;   // wall clock of run time 0
  std::int64_t started_monotonic_ns = 0;  // CLOCK_MONOTONIC of run time 0
  std::optional<std::int64_t> ended_ns;
  std::vector<std::string> command;
  std::string host;
  std::string kernel;
  std::int64_t cpus = 0;
  std::int64_t memory_bytes = 0;
  std::string state;
  std::string load_command;
  std::int64_t heap_object_min_age_ns = 1'000'000'000;
  std::map<std::string, std::string> all;  // every key of the table, as text
};

struct Process {
  ProcessId id{};
  std::int64_t pid = 0;
  std::optional<std::int64_t> parent_pid;
  std::optional<std::int64_t> start_ticks;
  std::int64_t image = 0;
  std::string executable;
  std::string command;
  std::int64_t began_ns = 0;
  std::optional<std::int64_t> ended_ns;
  std::string ended_how;  // exited | killed | exec | running | lost
  std::optional<std::int64_t> exit_status;
  std::string probe_state = "none";  // sampling | off | none
  std::optional<std::int64_t> memory_limit_bytes;
  std::string note;
};

struct Thread {
  ThreadId id{};
  ProcessId process{};
  std::int64_t tid = 0;
  std::string name;
  std::int64_t began_ns = 0;
  std::optional<std::int64_t> ended_ns;
  StackId stack = kUnknownStack;
  std::int64_t kept_of = 1;  // one row kept of so many that ended; set by the Reader
};

struct Module {
  std::int64_t id = 0;
  ProcessId process{};
  std::string path;
  std::string build_id;
  std::int64_t base = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t opened_ns = 0;
  std::optional<std::int64_t> closed_ns;
};

struct Frame {
  FrameId id{};
  std::string function;
  std::string file;  // empty where unknown
  std::optional<std::int64_t> line;
  std::string module;  // empty where none
  std::optional<std::int64_t> address;
  std::string kind = "unknown";  // native | inlined | js | python | java | kernel | unknown | lost
};

// What a process's region knows a stack by: an id of its own, and of a CPU sample, whose callers the id stands for (0:
// it has none), the interrupted instruction.
struct RegionStack {
  std::int64_t id = 0;
  std::optional<std::int64_t> instruction{};
};

struct Stack {
  StackId id{};
  ProcessId process{};
  bool truncated = false;
  std::vector<FrameId> frames;  // leaf first
  std::optional<RegionStack> in_region{};
};

// A stack by its addresses, until it is named.
struct UnnamedStack {
  struct Address {
    std::uint64_t address = 0;
    std::optional<FrameId> jit{};  // what a JIT said was there
  };
  StackId stack{};
  ProcessId process{};
  std::int64_t taken_ns = 0;
  bool leaf_is_exact = false;  // an interrupted program counter, not a return address
  std::vector<Address> leaf_first;
};

struct Metric {
  std::int64_t id = 0;
  std::string name;
  std::string unit;  // bytes | count | ratio | ns | per_second
  std::string kind;  // gauge | counter
};

struct Point {
  ProcessId process{};
  std::int64_t second = 0;
  std::int64_t width = 1;
  double value = 0;  // the last one of the bucket
  double peak = 0;   // the highest one; set by the Reader
};

struct CpuRow {
  ProcessId process{};
  std::int64_t second = 0;
  ThreadId thread{};
  StackId stack{};
  NameId span_name{};
  std::int64_t samples = 0;
  double weight_ns = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct WaitRow {
  ProcessId process{};
  std::int64_t second = 0;
  ThreadId thread{};
  StackId stack{};
  NameId call{};
  std::int64_t samples = 0;
  double weight_ns = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct AllocRow {
  ProcessId process{};
  std::int64_t second = 0;
  StackId stack{};
  NameId span_name{};
  std::int64_t samples = 0;
  double objects = 0;
  double bytes = 0;
  double temporary_objects = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct HeapObject {
  ProcessId process{};
  std::int64_t sample = 0;
  StackId stack{};
  ThreadId thread{};
  NameId span_name{};
  std::int64_t size = 0;
  std::int64_t interval = 0;
  double bytes = 0;
  double objects = 0;
  std::int64_t born_ns = 0;
  std::optional<std::int64_t> died_ns;
};

struct Lifetime {
  ProcessId process{};
  std::int64_t second = 0;
  std::int64_t octave = 0;  // ages [2^octave, 2^(octave+1)) microseconds
  std::int64_t samples = 0;
  double objects = 0;
  double bytes = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct Mapping {
  std::int64_t id = 0;
  ProcessId process{};
  std::int64_t address = 0;
  std::int64_t bytes = 0;
  StackId stack{};
  std::int64_t mapped_ns = 0;
  std::optional<std::int64_t> unmapped_ns;
  std::int64_t kept_of = 1;  // one row kept of so many that were unmapped; set by the Reader
};

struct Descriptor {
  std::int64_t id = 0;
  ProcessId process{};
  std::int64_t fd = -1;
  std::int64_t generation = 0;
  std::string kind;  // listen | accept | connect | socket | file | pipe | epoll | event | other
  std::string peer;
  StackId stack{};
  std::int64_t opened_ns = 0;
  std::optional<std::int64_t> closed_ns;
  std::int64_t read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;
  std::int64_t stands_for = 1;  // so many openings; 0: its own was not captured, its stack is unknown
  std::int64_t kept_of = 1;     // one row kept of so many that closed; set by the Reader
};

struct DescriptorSum {
  ProcessId process{};
  std::int64_t second = 0;
  std::string kind;
  std::string peer;
  StackId stack{};
  std::int64_t opened = 0, closed = 0;
  std::int64_t read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct IoRow {
  ProcessId process{};
  std::int64_t second = 0;
  std::string kind;
  std::int64_t ops = 0, bytes = 0, errors = 0, ns = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct SpanStat {
  ProcessId process{};
  std::int64_t second = 0;
  NameId name{};
  std::int64_t spans = 0, total_ns = 0, max_ns = 0;
  std::string latency;     // histogram: run/histogram.h reads it
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct SpanAttribute {
  ProcessId process{};
  std::int64_t second = 0;
  NameId name{};
  NameId key{};
  std::string text;
  std::int64_t spans = 0;
  double sum = 0;
  std::int64_t changes = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct Span {
  ProcessId process{};
  std::int64_t span = 0;
  std::int64_t parent = 0;
  NameId name{};
  std::int64_t began_ns = 0;
  std::optional<std::int64_t> ended_ns;
  ThreadId begin_thread{};
  std::optional<ThreadId> end_thread;
  std::string attributes = "{}";  // JSON object
};

struct LoadSource {
  SourceId id{};
  std::string tool;
  std::string file;
  std::optional<std::int64_t> requests, errors, skew_ns;
  std::int64_t skipped = 0;
  std::string skipped_why;
  std::string latency_basis = "none";  // intended | sent | none
};

struct LoadBucket {
  SourceId source{};
  std::int64_t second = 0;
  std::int64_t width = 1;
  std::string endpoint;  // '' = all together
  std::int64_t requests = 0, errors = 0;
  std::optional<std::string> latency;  // histogram: run/histogram.h reads it
  std::optional<double> p50_ms, p95_ms, p99_ms, max_ms, users;
};

struct LoadWindow {
  std::int64_t id = 0;
  std::optional<SourceId> source;
  std::string name;
  std::string kind;  // ramp | steady | spike | idle | warm-up
  std::int64_t from_ns = 0, to_ns = 0;
};

struct Mark {
  std::int64_t id = 0;
  std::int64_t at_ns = 0;
  std::string text;
  std::string source;  // user | program | collector | proof
};

struct Lost {
  ProcessId process{};
  std::int64_t second = 0;
  std::string kind;
  std::int64_t records = 0;
  std::int64_t width = 1;  // of the bucket, in seconds; set by the Reader
};

struct Setting {
  ProcessId process{};
  std::int64_t at_ns = 0;
  std::string name;
  double value = 0;
};

}  // namespace camprobe::run
