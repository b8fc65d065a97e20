// run/reader.h
//
// A recorded run, read: every question reports, exporters and the analysis ask of it, as typed rows. Works while the
// run is still being written, after the collector was killed, and on a file and directory that cannot be written to.
//
//     auto reader = run::Reader::open("server.camrun");
//     if (!reader) return fail(reader.error());          // "server.camrun is not a camprobe run: ..."
//     for (const run::StackWeight& hot : reader->cpu({.from_ns = 0, .to_ns = 60'000'000'000})) {
//       for (run::FrameId frame : reader->stack(hot.stack).frames) print(reader->frame(frame).function);
//     }
//
// A file is a stranger's: opening checks that it is a run, and a query that meets damage returns the rows before it and
// sets error(), which the caller looks at once, when it has asked all its questions.
//
// One thread at a time. Each query sees the last second that the collector has committed; pin() holds one state of the
// run over several queries.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "run/result.h"
#include "run/rows.h"

struct sqlite3;

namespace camprobe::run {

inline constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();

// Which part of the run a question is about. Buckets are whole seconds, old ones of a long run several: one counts when
// it begins inside [from_ns, to_ns).
struct Slice {
  std::int64_t from_ns = 0;
  std::int64_t to_ns = kEver;
  std::optional<ProcessId> process{};
  std::optional<ThreadId> thread{};   // cpu() and wait() only
  std::optional<NameId> span_name{};  // cpu(), alloc(), live() and retained() only
};

// One stack and how much it stands for. cpu(), wait(): weight is nanoseconds; the others: weight is bytes, objects set.
struct StackWeight {
  ProcessId process{};
  StackId stack{};
  std::int64_t samples = 0;
  double weight = 0;
  double objects = 0;
  double temporary_objects = 0;  // alloc() only
};

// Which of a run's stacks: most of them are those of CPU samples.
enum class StacksOf {
  kEverything,
  kWhatIsJudged,  // of heap objects, descriptors, threads and mappings: what leaks are judged by
};

class Reader {
 public:
  // "PATH is not a camprobe run: why", "PATH: no such file", "PATH was made by a newer camprobe ...".
  static Result<Reader> open(const std::string& path);

  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // The first failure of any query since opening, as a sentence; none while all went well.
  const std::optional<Error>& error() const;
  const std::string& path() const;

  // Everything asked between pin() and unpin(), which nest, sees one and the same state of a run still being written.
  void pin();
  void unpin();

  Meta meta();
  // Where the run's data ends: meta.ended_ns, or the end of the last bucket of a run still recording or cut short.
  std::int64_t duration_ns();

  // How many seconds a bucket holds that begins at this second: of a long run, old ones are put together.
  std::int64_t width_at(std::int64_t second) const;

  std::vector<Process> processes();
  std::vector<Thread> threads(std::optional<ProcessId> process = {});
  std::vector<Module> modules(std::optional<ProcessId> process = {});

  // Names are interned text: span names, attribute keys, calls. "" for an id that is not there.
  const std::string& name(NameId id);
  std::optional<NameId> find_name(std::string_view text);

  // Frames of a stack, leaf first; empty for stack 0 and stacks that are not there. Both stay in memory once read.
  const Stack& stack(StackId id);
  const Frame& frame(FrameId id);

  // Stacks that are not named in the file, in the order of their ids: the first `most` behind `after`. A run has some
  // while it is recorded, and for good where its collector was killed.
  std::vector<UnnamedStack> unnamed_stacks(StackId after, std::size_t most, StacksOf which = StacksOf::kEverything);
  // Names one for this reader, whose stack() and frame() then know it; the file stays as it is. Leaf first.
  void name_stack(StackId stack, const std::vector<Frame>& leaf_first);
  // Adds to what meta() says of files whose symbols could not be read: a sentence a line.
  void add_symbol_problems(const std::string& lines);

  // What a recording left behind that was cut short: where it stood in a process's region (drain_state), and which of
  // the region's stacks are which here, of those whose frames or addresses came into the file.
  std::optional<std::string> drain_state(ProcessId process);
  std::vector<std::pair<RegionStack, StackId>> region_stacks(ProcessId process);

  std::vector<Metric> metrics();
  // One metric by its stable name (docs/run-file.md), by process then second. Empty where it was not recorded.
  std::vector<Point> series(std::string_view metric, std::optional<ProcessId> process = {});

  // Totals by stack over a slice, heaviest first.
  std::vector<StackWeight> cpu(const Slice& slice = {});
  std::vector<StackWeight> wait(const Slice& slice = {});
  std::vector<StackWeight> alloc(const Slice& slice = {});
  // Sampled objects alive at an instant; of those younger than meta.heap_object_min_age_ns only what is still alive
  // counts.
  std::vector<StackWeight> live(std::int64_t at_ns, const Slice& slice = {});
  // Allocated in the slice and not freed by its end.
  std::vector<StackWeight> retained(const Slice& slice);

  // The rows behind those totals, in order of process and second; `row` is called once for each.
  void each_cpu(const Slice& slice, const std::function<void(const CpuRow&)>& row);
  void each_wait(const Slice& slice, const std::function<void(const WaitRow&)>& row);
  void each_alloc(const Slice& slice, const std::function<void(const AllocRow&)>& row);
  void each_heap_object(std::optional<ProcessId> process, const std::function<void(const HeapObject&)>& row);
  std::vector<HeapObject> heap_objects(std::optional<ProcessId> process = {});
  std::vector<Lifetime> lifetimes(const Slice& slice = {});
  std::vector<Mapping> mappings(std::optional<ProcessId> process = {});

  std::vector<Descriptor> descriptors(std::optional<ProcessId> process = {});
  std::vector<DescriptorSum> descriptor_sums(const Slice& slice = {});
  std::vector<IoRow> io(const Slice& slice = {});

  std::vector<SpanStat> span_stats(const Slice& slice = {});
  std::vector<SpanAttribute> span_attributes(const Slice& slice = {});
  // Single spans that overlap the slice, one at a time, however many there are. `use` may take what it likes of it.
  enum class SpanOrder { kAsStored, kByBegin };         // by begin time: of those that begin together the longer first
  enum class SpanAttributes { kRead, kLeaveForLater };  // left for later they are "{}": see attributes_of()
  void each_span(const Slice& slice, SpanOrder order, const std::function<void(Span&)>& use,
                 SpanAttributes attributes = SpanAttributes::kRead);
  // All of them, by begin time.
  std::vector<Span> spans(const Slice& slice = {});
  // Of one span, a JSON object; "{}" where there is no such span.
  std::string attributes_of(ProcessId process, std::int64_t span);

  std::vector<LoadSource> load_sources();
  // All endpoints with no argument; "" for the buckets of everything together.
  std::vector<LoadBucket> load_buckets(std::optional<std::string_view> endpoint = {});
  std::vector<LoadWindow> load_windows();

  std::vector<Mark> marks();
  std::vector<Lost> lost();
  std::vector<Setting> settings();

  // For questions this class does not answer: read-only, valid as long as the reader.
  sqlite3* handle();

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace camprobe::run
