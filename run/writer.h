// run/writer.h
//
// A run being recorded. Rows are collected in memory, added up per bucket, and written in one transaction a flush
// (about once a second), so the file is consistent whenever the collector dies, and another program (`camprobe mark`)
// gets its turn to write in between.
//
// While recording, the file is in SQLite's WAL mode and meta.state says "recording"; finish() makes it one plain file.
// A failure to write (a full disk) is final: it is reported once by flush(), and everything after it is dropped, so a
// target is never held up and memory does not grow.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "run/histogram.h"
#include "run/result.h"
#include "run/rows.h"

namespace camprobe::run {

class Writer {
 public:
  // Makes the file; one that exists is never written over. `meta` gives what meta holds from the start; an empty run_id
  // gets a random one, an empty state becomes "recording".
  static Result<Writer> create(const std::string& path, Meta meta);

  // Goes on with a run whose recording ended, well or not; its ids and texts stay as they are. Whether somebody else
  // still writes to it is the caller's to know.
  static Result<Writer> resume(const std::string& path);

  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();

  const std::string& path() const;
  const std::string& run_id() const;

  // Ids are given at once; the rows follow with the next flush. The same text always gets the same id.
  NameId name(std::string_view text);

  // add: takes the row without its id and gives the id. update: writes the whole row again.
  ProcessId add(Process row);
  ThreadId add(Thread row);
  std::int64_t add(Module row);
  std::int64_t add(Mapping row);
  std::int64_t add(Descriptor row);
  SourceId add(LoadSource row);
  void update(const Process& row);
  void update(const Thread& row);
  void update(const Module& row);
  void update(const Mapping& row);
  void update(const Descriptor& row);

  // A stack's id exists before its frames are known: they may come much later, from the symbolizer, or when somebody
  // reads a run whose collector was killed.
  StackId add_stack(ProcessId process, bool truncated, std::optional<RegionStack> in_region = {});
  // Leaf first; frames of the same function, line and module become one row.
  void set_frames(StackId stack, const std::vector<Frame>& leaf_first);
  // Until then. An equal frame gets the same id.
  FrameId frame(Frame frame);
  void put(const UnnamedStack& row);

  // A gauge or counter at a second; the last value of a second stays.
  void point(const Metric& metric, ProcessId process, std::int64_t second, double value);

  // Added to what the bucket of the same key already holds.
  void count(const CpuRow& row);
  void count(const WaitRow& row);
  void count(const AllocRow& row);
  void count(const Lifetime& row);
  void count(const DescriptorSum& row);
  void count(const IoRow& row);
  void count(const SpanAttribute& row);
  void count(const Lost& row);
  // One bucket of a latency histogram (run/histogram.h numbers them) for each span.
  struct SpanEnd {
    ProcessId process{};
    std::int64_t second = 0;
    NameId name{};
    std::int64_t duration_ns = 0;
  };
  void count(const SpanEnd& span);
  // Many at once; `latency` of the row is not looked at.
  void count(const SpanStat& row, const Histogram& durations);

  // Written as they are; a row of the same key is replaced.
  void put(const HeapObject& row);
  void put(const Span& row);
  void put(const LoadBucket& row);
  void put(const SpanStat& row);
  void put(const LoadWindow& row);
  void put(const Mark& row);
  void put(const Setting& row);
  void set_meta(std::string_view key, std::string_view value);
  // Where the collector stands in the process's region when what has gathered is written; empty: it is done with it.
  void put_drain_state(ProcessId process, std::string state);

  // Writes what has gathered. After a failure the run takes no more; what it holds stays readable.
  Result<void> flush();

  // Flushes, notes the end and how (kComplete, kPostMortem), and folds the write-ahead log into the file.
  Result<void> finish(std::int64_t ended_ns, std::string_view state);

 private:
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Adds one mark to a run, which another process may be recording right now.
Result<void> add_mark(const std::string& path, const Mark& mark);

}  // namespace camprobe::run
