#include "run/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <compare>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "run/histogram.h"
#include "run/row_table.h"
#include "run/schema.h"
#include "run/sqlite.h"
#include "run/text.h"

namespace camprobe::run {
namespace {

constexpr int kBusyTimeoutMs = 5000;  // how long a `camprobe mark` or a reader may hold the file

// One row per function and line as a reader sees it: the calls on one line share it, and it keeps the first one's
// address.
using FrameKey = std::tuple<std::string, std::string, std::int64_t, std::string, std::string>;

FrameKey key_of(const Frame& f) {
  return {f.function, f.file, f.line.value_or(-1), f.module, f.kind};
}

// As much as fits, where two durations or counts that a target made up are too much together.
std::int64_t sum_of(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

std::string random_id() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(::getpid());
  return fmt::format("{:016x}", bits);
}

}  // namespace

struct Writer::State {
  std::string path;
  std::string run_id;
  sqlite3* database = nullptr;
  bool failed = false;

  // What has been given an id, for the whole run.
  std::unordered_map<std::string, NameId> names;
  std::map<FrameKey, FrameId> frames;
  std::map<std::string, std::int64_t, std::less<>> metrics;
  std::int64_t processes = 0, threads = 0, modules = 0, mappings = 0, descriptors = 0, stacks = 0, sources = 0;

  // What the next flush writes.
  struct Pending {
    std::vector<std::pair<NameId, std::string>> names;
    std::vector<Metric> metrics;
    std::vector<Frame> frames;
    std::vector<Stack> stacks;        // new ones, without frames
    std::vector<Stack> stack_frames;  // frames of known ones
    std::map<std::int64_t, Process> processes;
    std::map<std::int64_t, Thread> threads;
    std::map<std::int64_t, Module> modules;
    std::map<std::int64_t, Mapping> mappings;
    std::map<std::int64_t, Descriptor> descriptors;
    std::map<std::tuple<std::int64_t, ProcessId, std::int64_t>, double> points;  // metric, process, second
    RowTable<CpuRow, 5> cpu;
    RowTable<WaitRow, 5> wait;
    RowTable<AllocRow, 4> alloc;
    RowTable<Lifetime, 3> lifetimes;
    std::map<std::tuple<ProcessId, std::int64_t, std::string, std::string, StackId>, DescriptorSum> descriptor_sums;
    std::map<std::tuple<ProcessId, std::int64_t, std::string>, IoRow> io;
    std::map<std::tuple<ProcessId, std::int64_t, NameId, NameId, std::string>, SpanAttribute> span_attributes;
    std::map<std::tuple<ProcessId, std::int64_t, std::string>, Lost> lost;
    std::map<std::tuple<ProcessId, std::int64_t, NameId>, std::pair<SpanStat, Histogram>> span_stats;
    RowTable<HeapObject, 2> heap_objects;
    std::map<std::pair<ProcessId, std::int64_t>, Span> spans;
    std::vector<LoadSource> load_sources;
    std::vector<LoadBucket> load_buckets;
    std::vector<LoadWindow> load_windows;
    std::vector<SpanStat> whole_span_stats;
    std::vector<Mark> marks;
    std::vector<Setting> settings;
    std::map<std::string, std::string, std::less<>> meta;
  } pending;

  ~State() {
    forget_statements();
    sqlite3_close_v2(database);
  }

  // What SQLite's failure means to a user. Called right after the failure.
  Error failure() const {
    switch (sqlite3_errcode(database) & 0xff) {
      case SQLITE_FULL:
        return {fmt::format("{}: the disk is full, so recording stopped; what is in the file stays readable", path)};
      case SQLITE_READONLY:
      case SQLITE_PERM:
      case SQLITE_CANTOPEN:
        return {fmt::format("{}: cannot be written to any more ({}), so recording stopped", path,
                            sqlite3_errmsg(database))};
      default:
        return {fmt::format("{}: writing failed ({}), so recording stopped", path, sqlite3_errmsg(database))};
    }
  }

  // Statements are prepared once: the same thirty are run every second.
  std::map<std::string_view, std::unique_ptr<Statement>> statements;
  Statement& prepared(const char* sql) {
    std::unique_ptr<Statement>& statement = statements[sql];
    if (!statement) statement = std::make_unique<Statement>(database, sql);
    return *statement;
  }
  void forget_statements() { statements.clear(); }

  bool execute(const char* sql) { return sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK; }
  bool write(Pending& rows);
  bool write_sums(Pending& rows);
  bool write_spans(const Pending& rows);
  bool write_load(const Pending& rows);
};

Result<Writer> Writer::create(const std::string& path, Meta meta) {
  // O_EXCL first: SQLite itself would take over a file that is there.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) {
    if (errno == EEXIST) return Error{fmt::format("{} exists already: remove it or name another run with -o", path)};
    return Error{fmt::format("{} cannot be written: {}; name another run with -o", path, std::strerror(errno))};
  }
  ::close(fd);

  auto state = std::make_unique<State>();
  state->path = path;
  const auto give_up = [&]() -> Error {
    const std::string why = state->database != nullptr ? sqlite3_errmsg(state->database) : "out of memory";
    ::unlink(path.c_str());
    return {fmt::format("{} cannot be written: {}; name another run with -o", path, why)};
  };
  if (sqlite3_open_v2(path.c_str(), &state->database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK) return give_up();
  sqlite3_busy_timeout(state->database, kBusyTimeoutMs);
  // The schema goes in before WAL is on, so that the file's own header says from the first moment what it is. NORMAL:
  // nothing is lost when a process dies; after a power cut the last seconds may be.
  if (!state->execute("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048") ||
      !state->execute("BEGIN") || !state->execute(kSchemaSql) || !state->execute("COMMIT") ||
      !state->execute("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 8388608")) {
    return give_up();
  }

  if (meta.run_id.empty()) meta.run_id = random_id();
  if (meta.state.empty()) meta.state = kRecording;
  state->run_id = meta.run_id;
  Writer writer(std::move(state));
  for (const auto& [key, value] : meta.all) writer.set_meta(key, value);
  writer.set_meta("schema", std::to_string(kSchemaVersion));
  writer.set_meta("run_id", meta.run_id);
  writer.set_meta("camprobe_version", meta.camprobe_version);
  writer.set_meta("started_realtime_ns", std::to_string(meta.started_realtime_ns));
  writer.set_meta("started_monotonic_ns", std::to_string(meta.started_monotonic_ns));
  if (meta.ended_ns) writer.set_meta("ended_ns", std::to_string(*meta.ended_ns));
  writer.set_meta("command",
                  nlohmann::json(meta.command).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  writer.set_meta("host", meta.host);
  writer.set_meta("kernel", meta.kernel);
  writer.set_meta("cpus", std::to_string(meta.cpus));
  writer.set_meta("memory_bytes", std::to_string(meta.memory_bytes));
  writer.set_meta("state", meta.state);
  writer.set_meta("load_command", meta.load_command);
  writer.set_meta("heap_object_min_age_ns", std::to_string(meta.heap_object_min_age_ns));
  if (const auto written = writer.flush(); !written) {
    ::unlink(path.c_str());
    return Error{written.error()};
  }
  return writer;
}

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

const std::string& Writer::path() const {
  return state_->path;
}
const std::string& Writer::run_id() const {
  return state_->run_id;
}

NameId Writer::name(std::string_view raw) {
  if (raw.empty()) return kNoName;
  std::string text = valid_utf8(raw);
  const auto [found, is_new] = state_->names.try_emplace(text, NameId{});
  if (is_new) {
    found->second = NameId{static_cast<std::int64_t>(state_->names.size())};
    state_->pending.names.emplace_back(found->second, std::move(text));
  }
  return found->second;
}

ProcessId Writer::add(Process row) {
  row.id = ProcessId{++state_->processes};
  update(row);
  return row.id;
}
ThreadId Writer::add(Thread row) {
  row.id = ThreadId{++state_->threads};
  update(row);
  return row.id;
}
std::int64_t Writer::add(Module row) {
  row.id = ++state_->modules;
  update(row);
  return row.id;
}
std::int64_t Writer::add(Mapping row) {
  row.id = ++state_->mappings;
  update(row);
  return row.id;
}
std::int64_t Writer::add(Descriptor row) {
  row.id = ++state_->descriptors;
  update(row);
  return row.id;
}
SourceId Writer::add(LoadSource row) {
  row.id = SourceId{++state_->sources};
  state_->pending.load_sources.push_back(std::move(row));
  return SourceId{state_->sources};
}
void Writer::update(const Process& row) {
  state_->pending.processes[number(row.id)] = row;
}
void Writer::update(const Thread& row) {
  state_->pending.threads[number(row.id)] = row;
}
void Writer::update(const Module& row) {
  state_->pending.modules[row.id] = row;
}
void Writer::update(const Mapping& row) {
  state_->pending.mappings[row.id] = row;
}
void Writer::update(const Descriptor& row) {
  state_->pending.descriptors[row.id] = row;
}

StackId Writer::add_stack(ProcessId process, bool truncated) {
  const StackId id{++state_->stacks};
  state_->pending.stacks.push_back({id, process, truncated, {}});
  return id;
}

void Writer::set_frames(StackId stack, const std::vector<Frame>& leaf_first) {
  Stack row;
  row.id = stack;
  row.frames.reserve(leaf_first.size());
  for (Frame frame : leaf_first) {
    frame.function = valid_utf8(frame.function);
    frame.file = valid_utf8(frame.file);
    frame.module = valid_utf8(frame.module);
    const auto [found, is_new] = state_->frames.try_emplace(key_of(frame), FrameId{});
    if (is_new) {
      found->second = FrameId{static_cast<std::int64_t>(state_->frames.size())};
      frame.id = found->second;
      state_->pending.frames.push_back(std::move(frame));
    }
    row.frames.push_back(found->second);
  }
  state_->pending.stack_frames.push_back(std::move(row));
}

void Writer::point(const Metric& metric, ProcessId process, std::int64_t second, double value) {
  auto found = state_->metrics.find(metric.name);
  if (found == state_->metrics.end()) {
    found = state_->metrics.emplace(metric.name, static_cast<std::int64_t>(state_->metrics.size()) + 1).first;
    state_->pending.metrics.push_back({found->second, metric.name, metric.unit, metric.kind});
  }
  state_->pending.points[{found->second, process, second}] = value;
}

void Writer::count(const CpuRow& row) {
  const auto [at, is_new] = state_->pending.cpu.try_emplace(
      {number(row.process), row.second, number(row.thread), number(row.stack), number(row.span_name)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->weight_ns += row.weight_ns;
}

void Writer::count(const WaitRow& row) {
  const auto [at, is_new] = state_->pending.wait.try_emplace(
      {number(row.process), row.second, number(row.thread), number(row.stack), number(row.call)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->weight_ns += row.weight_ns;
}

void Writer::count(const AllocRow& row) {
  const auto [at, is_new] = state_->pending.alloc.try_emplace(
      {number(row.process), row.second, number(row.stack), number(row.span_name)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->objects += row.objects;
  at->bytes += row.bytes;
  at->temporary_objects += row.temporary_objects;
}

void Writer::count(const Lifetime& row) {
  const auto [at, is_new] = state_->pending.lifetimes.try_emplace({number(row.process), row.second, row.octave}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->objects += row.objects;
  at->bytes += row.bytes;
}

void Writer::count(const DescriptorSum& row) {
  auto [at, is_new] =
      state_->pending.descriptor_sums.try_emplace({row.process, row.second, row.kind, row.peer, row.stack}, row);
  if (is_new) return;
  DescriptorSum& sum = at->second;
  sum.opened += row.opened;
  sum.closed += row.closed;
  sum.read_ops += row.read_ops;
  sum.read_bytes += row.read_bytes;
  sum.write_ops += row.write_ops;
  sum.write_bytes += row.write_bytes;
}

void Writer::count(const IoRow& row) {
  auto [at, is_new] = state_->pending.io.try_emplace({row.process, row.second, row.kind}, row);
  if (is_new) return;
  at->second.ops += row.ops;
  at->second.bytes += row.bytes;
  at->second.errors += row.errors;
  at->second.ns += row.ns;
}

void Writer::count(const SpanAttribute& row) {
  auto [at, is_new] =
      state_->pending.span_attributes.try_emplace({row.process, row.second, row.name, row.key, row.text}, row);
  if (is_new) return;
  at->second.spans += row.spans;
  at->second.sum += row.sum;
  at->second.changes += row.changes;
}

void Writer::count(const Lost& row) {
  auto [at, is_new] = state_->pending.lost.try_emplace({row.process, row.second, row.kind}, row);
  if (!is_new) at->second.records += row.records;
}

void Writer::count(const SpanEnd& span) {
  auto& [stat, histogram] = state_->pending.span_stats[{span.process, span.second, span.name}];
  const std::int64_t duration = std::max<std::int64_t>(span.duration_ns, 0);
  stat.process = span.process;
  stat.second = span.second;
  stat.name = span.name;
  ++stat.spans;
  stat.total_ns = sum_of(stat.total_ns, duration);
  stat.max_ns = std::max(stat.max_ns, duration);
  histogram.record(static_cast<std::uint64_t>(duration));
}

void Writer::count(const SpanStat& row, const Histogram& durations) {
  auto& [stat, histogram] = state_->pending.span_stats[{row.process, row.second, row.name}];
  stat.process = row.process;
  stat.second = row.second;
  stat.name = row.name;
  stat.spans += row.spans;
  stat.total_ns += row.total_ns;
  stat.max_ns = std::max(stat.max_ns, row.max_ns);
  histogram.merge(durations);
}

void Writer::put(const HeapObject& row) {
  state_->pending.heap_objects.insert_or_assign({number(row.process), row.sample}, row);
}
void Writer::put(const Span& row) {
  state_->pending.spans[{row.process, row.span}] = row;
}
void Writer::put(const LoadBucket& row) {
  state_->pending.load_buckets.push_back(row);
}
void Writer::put(const SpanStat& row) {
  state_->pending.whole_span_stats.push_back(row);
}
void Writer::put(const LoadWindow& row) {
  state_->pending.load_windows.push_back(row);
}
void Writer::put(const Mark& row) {
  state_->pending.marks.push_back(row);
}
void Writer::put(const Setting& row) {
  state_->pending.settings.push_back(row);
}
void Writer::set_meta(std::string_view key, std::string_view value) {
  state_->pending.meta[std::string(key)] = valid_utf8(value);
}

bool Writer::State::write(Pending& rows) {
  const auto put_all = [&](const char* sql, const auto& list, auto bind) {
    if (list.empty()) return true;
    Statement& statement = prepared(sql);
    for (const auto& row : list) {
      bind(statement, row);
      if (!statement.run()) return false;
    }
    return true;
  };
  return put_all("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", rows.meta,
                 [](Statement& s, const auto& row) { s.bind(row.first).bind(row.second); }) &&
         put_all("INSERT INTO name(id, text) VALUES (?, ?)", rows.names,
                 [](Statement& s, const auto& row) { s.bind(row.first).bind(row.second); }) &&
         put_all(
             "INSERT INTO metric(id, name, unit, kind) VALUES (?, ?, ?, ?)", rows.metrics,
             [](Statement& s, const Metric& row) { s.bind(row.id).bind(row.name).bind(row.unit).bind(row.kind); }) &&
         put_all(
             "INSERT OR REPLACE INTO process(id, pid, parent_pid, start_ticks, image, executable, command, began_ns, "
             "ended_ns, ended_how, exit_status, probe_state, memory_limit_bytes, note) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.processes,
             [](Statement& s, const auto& entry) {
               const Process& row = entry.second;
               s.bind(row.id).bind(row.pid).bind(row.parent_pid).bind(row.start_ticks).bind(row.image);
               s.bind(valid_utf8(row.executable)).bind(valid_utf8(row.command)).bind(row.began_ns).bind(row.ended_ns);
               s.bind(row.ended_how).bind(row.exit_status).bind(row.probe_state).bind(row.memory_limit_bytes);
               s.bind(valid_utf8(row.note));
             }) &&
         put_all(
             "INSERT OR REPLACE INTO thread(id, process, tid, name, began_ns, ended_ns, stack) VALUES (?, ?, ?, ?, ?, "
             "?, ?)",
             rows.threads,
             [](Statement& s, const auto& entry) {
               const Thread& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.tid).bind(valid_utf8(row.name)).bind(row.began_ns);
               s.bind(row.ended_ns).bind(row.stack);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO module(id, process, path, build_id, base, low, high, opened_ns, closed_ns) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.modules,
             [](Statement& s, const auto& entry) {
               const Module& row = entry.second;
               s.bind(row.id).bind(row.process).bind(valid_utf8(row.path)).bind(row.build_id).bind(row.base);
               s.bind(row.low).bind(row.high).bind(row.opened_ns).bind(row.closed_ns);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO frame(id, function, file, line, module, address, kind) VALUES (?, ?, ?, ?, ?, ?, "
             "?)",
             rows.frames,
             [](Statement& s, const Frame& row) {
               s.bind(row.id).bind(row.function);
               row.file.empty() ? s.bind_null() : s.bind(row.file);
               s.bind(row.line);
               row.module.empty() ? s.bind_null() : s.bind(row.module);
               s.bind(row.address).bind(row.kind);
             }) &&
         put_all("INSERT INTO stack(id, process, truncated) VALUES (?, ?, ?)", rows.stacks,
                 [](Statement& s, const Stack& row) {
                   s.bind(row.id).bind(row.process).bind(std::int64_t{row.truncated});
                 }) &&
         std::all_of(rows.stack_frames.begin(), rows.stack_frames.end(),
                     [&](const Stack& row) {
                       Statement& clear = prepared("DELETE FROM stack_frame WHERE stack = ?");
                       if (!clear.bind(row.id).run()) return false;
                       Statement& put = prepared("INSERT INTO stack_frame(stack, depth, frame) VALUES (?, ?, ?)");
                       for (std::size_t depth = 0; depth < row.frames.size(); ++depth) {
                         put.bind(row.id).bind(static_cast<std::int64_t>(depth)).bind(row.frames[depth]);
                         if (!put.run()) return false;
                       }
                       return true;
                     }) &&
         put_all(
             "INSERT OR REPLACE INTO mapping(id, process, address, bytes, stack, mapped_ns, unmapped_ns) "
             "VALUES (?, ?, ?, ?, ?, ?, ?)",
             rows.mappings,
             [](Statement& s, const auto& entry) {
               const Mapping& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.address).bind(row.bytes).bind(row.stack).bind(row.mapped_ns);
               s.bind(row.unmapped_ns);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO descriptor(id, process, fd, generation, kind, peer, stack, opened_ns, closed_ns, "
             "read_ops, read_bytes, write_ops, write_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.descriptors,
             [](Statement& s, const auto& entry) {
               const Descriptor& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.fd).bind(row.generation).bind(row.kind);
               s.bind(valid_utf8(row.peer)).bind(row.stack).bind(row.opened_ns).bind(row.closed_ns);
               s.bind(row.read_ops).bind(row.read_bytes).bind(row.write_ops).bind(row.write_bytes);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO heap_object(process, sample, stack, thread, span_name, size, interval, bytes, "
             "objects, born_ns, died_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.heap_objects.take_sorted(),
             [](Statement& s, const auto& entry) {
               const HeapObject& row = entry.second;
               s.bind(row.process).bind(row.sample).bind(row.stack).bind(row.thread).bind(row.span_name).bind(row.size);
               s.bind(row.interval).bind(row.bytes).bind(row.objects).bind(row.born_ns).bind(row.died_ns);
             }) &&
         put_all(
             "INSERT INTO mark(at_ns, text, source) VALUES (?, ?, ?)", rows.marks,
             [](Statement& s, const Mark& row) { s.bind(row.at_ns).bind(valid_utf8(row.text)).bind(row.source); }) &&
         put_all("INSERT INTO setting(process, at_ns, name, value) VALUES (?, ?, ?, ?)", rows.settings,
                 [](Statement& s, const Setting& row) {
                   s.bind(row.process).bind(row.at_ns).bind(row.name).bind(row.value);
                 }) &&
         write_sums(rows) && write_spans(rows) && write_load(rows);
}

// The tables whose buckets may be written to again by a later flush.
bool Writer::State::write_sums(Pending& rows) {
  const auto add_all = [&](const char* sql, const auto& sums, auto bind) {
    if (sums.empty()) return true;
    Statement& statement = prepared(sql);
    for (const auto& [key, row] : sums) {
      bind(statement, row);
      if (!statement.run()) return false;
    }
    return true;
  };
  if (!rows.points.empty()) {
    Statement& s = prepared("INSERT OR REPLACE INTO point(metric, process, second, value) VALUES (?, ?, ?, ?)");
    for (const auto& [key, value] : rows.points) {
      s.bind(std::get<0>(key)).bind(std::get<1>(key)).bind(std::get<2>(key)).bind(value);
      if (!s.run()) return false;
    }
  }
  return add_all(
             "INSERT INTO cpu(process, second, thread, stack, span_name, samples, weight_ns) VALUES (?, ?, ?, ?, ?, ?, "
             "?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, weight_ns = weight_ns + "
             "excluded.weight_ns",
             rows.cpu.take_sorted(),
             [](Statement& s, const CpuRow& row) {
               s.bind(row.process).bind(row.second).bind(row.thread).bind(row.stack).bind(row.span_name);
               s.bind(row.samples).bind(row.weight_ns);
             }) &&
         add_all(
             "INSERT INTO wait(process, second, thread, stack, call, samples, weight_ns) VALUES (?, ?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, weight_ns = weight_ns + "
             "excluded.weight_ns",
             rows.wait.take_sorted(),
             [](Statement& s, const WaitRow& row) {
               s.bind(row.process).bind(row.second).bind(row.thread).bind(row.stack).bind(row.call);
               s.bind(row.samples).bind(row.weight_ns);
             }) &&
         add_all(
             "INSERT INTO alloc(process, second, stack, span_name, samples, objects, bytes, temporary_objects) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, "
             "objects = objects + excluded.objects, bytes = bytes + excluded.bytes, "
             "temporary_objects = temporary_objects + excluded.temporary_objects",
             rows.alloc.take_sorted(),
             [](Statement& s, const AllocRow& row) {
               s.bind(row.process).bind(row.second).bind(row.stack).bind(row.span_name).bind(row.samples);
               s.bind(row.objects).bind(row.bytes).bind(row.temporary_objects);
             }) &&
         add_all(
             "INSERT INTO lifetime(process, second, octave, samples, objects, bytes) VALUES (?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, objects = objects + excluded.objects, "
             "bytes = bytes + excluded.bytes",
             rows.lifetimes.take_sorted(),
             [](Statement& s, const Lifetime& row) {
               s.bind(row.process)
                   .bind(row.second)
                   .bind(row.octave)
                   .bind(row.samples)
                   .bind(row.objects)
                   .bind(row.bytes);
             }) &&
         add_all(
             "INSERT INTO descriptor_sum(process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, "
             "write_ops, write_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
             "opened = opened + excluded.opened, closed = closed + excluded.closed, "
             "read_ops = read_ops + excluded.read_ops, read_bytes = read_bytes + excluded.read_bytes, "
             "write_ops = write_ops + excluded.write_ops, write_bytes = write_bytes + excluded.write_bytes",
             rows.descriptor_sums,
             [](Statement& s, const DescriptorSum& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(valid_utf8(row.peer)).bind(row.stack);
               s.bind(row.opened).bind(row.closed).bind(row.read_ops).bind(row.read_bytes).bind(row.write_ops);
               s.bind(row.write_bytes);
             }) &&
         add_all(
             "INSERT INTO io(process, second, kind, ops, bytes, errors, ns) VALUES (?, ?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET ops = ops + excluded.ops, bytes = bytes + excluded.bytes, "
             "errors = errors + excluded.errors, ns = ns + excluded.ns",
             rows.io,
             [](Statement& s, const IoRow& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(row.ops).bind(row.bytes).bind(row.errors);
               s.bind(row.ns);
             }) &&
         add_all(
             "INSERT INTO lost(process, second, kind, records) VALUES (?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET records = records + excluded.records",
             rows.lost, [](Statement& s, const Lost& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(row.records);
             });
}

bool Writer::State::write_spans(const Pending& rows) {
  // A histogram is text in the file, so adding to a bucket is read, merge, write.
  for (const auto& [key, added] : rows.span_stats) {
    SpanStat stat = added.first;
    Histogram histogram = added.second;
    Statement& old = prepared(
        "SELECT spans, total_ns, max_ns, latency FROM span_stat WHERE process = ? AND second = ? AND name = ?");
    old.bind(stat.process).bind(stat.second).bind(stat.name);
    if (old.step()) {
      stat.spans += old.integer();
      stat.total_ns = sum_of(stat.total_ns, old.integer());
      stat.max_ns = std::max(stat.max_ns, old.integer());
      if (const auto before = Histogram::from_json(old.text())) histogram.merge(*before);
    }
    old.reset();
    Statement& put = prepared(
        "INSERT OR REPLACE INTO span_stat(process, second, name, spans, total_ns, max_ns, latency) VALUES "
        "(?, ?, ?, ?, ?, ?, ?)");
    put.bind(stat.process).bind(stat.second).bind(stat.name).bind(stat.spans).bind(stat.total_ns).bind(stat.max_ns);
    if (!put.bind(histogram.to_json()).run()) return false;
  }
  for (const SpanStat& row : rows.whole_span_stats) {
    Statement& put = prepared(
        "INSERT OR REPLACE INTO span_stat(process, second, name, spans, total_ns, max_ns, latency) VALUES "
        "(?, ?, ?, ?, ?, ?, ?)");
    put.bind(row.process).bind(row.second).bind(row.name).bind(row.spans).bind(row.total_ns).bind(row.max_ns);
    if (!put.bind(row.latency).run()) return false;
  }
  if (!rows.span_attributes.empty()) {
    Statement& s = prepared(
        "INSERT INTO span_attribute(process, second, name, key, text, spans, sum, changes) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans, "
        "sum = sum + excluded.sum, changes = changes + excluded.changes");
    for (const auto& [key, row] : rows.span_attributes) {
      s.bind(row.process).bind(row.second).bind(row.name).bind(row.key).bind(valid_utf8(row.text)).bind(row.spans);
      if (!s.bind(row.sum).bind(row.changes).run()) return false;
    }
  }
  if (!rows.spans.empty()) {
    Statement& s = prepared(
        "INSERT OR REPLACE INTO span(process, span, parent, name, began_ns, ended_ns, begin_thread, end_thread, "
        "attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const auto& [key, row] : rows.spans) {
      s.bind(row.process).bind(row.span).bind(row.parent).bind(row.name).bind(row.began_ns).bind(row.ended_ns);
      if (!s.bind(row.begin_thread).bind(row.end_thread).bind(row.attributes).run()) return false;
    }
  }
  return true;
}

bool Writer::State::write_load(const Pending& rows) {
  for (const LoadSource& row : rows.load_sources) {
    Statement s(
        database,
        "INSERT INTO load_source(id, tool, file, requests, errors, skew_ns, skipped, skipped_why, latency_basis) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    s.bind(row.id).bind(valid_utf8(row.tool)).bind(valid_utf8(row.file)).bind(row.requests).bind(row.errors);
    if (!s.bind(row.skew_ns).bind(row.skipped).bind(valid_utf8(row.skipped_why)).bind(row.latency_basis).run())
      return false;
  }
  if (!rows.load_buckets.empty()) {
    Statement s(
        database,
        "INSERT OR REPLACE INTO load_bucket(source, second, width, endpoint, requests, errors, latency, p50_ms, "
        "p95_ms, p99_ms, max_ms, users) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const LoadBucket& row : rows.load_buckets) {
      s.bind(row.source).bind(row.second).bind(row.width).bind(valid_utf8(row.endpoint)).bind(row.requests);
      s.bind(row.errors).bind(row.latency).bind(row.p50_ms).bind(row.p95_ms).bind(row.p99_ms).bind(row.max_ms);
      if (!s.bind(row.users).run()) return false;
    }
  }
  for (const LoadWindow& row : rows.load_windows) {
    Statement s(database, "INSERT INTO load_window(source, name, kind, from_ns, to_ns) VALUES (?, ?, ?, ?, ?)");
    if (!s.bind(row.source).bind(valid_utf8(row.name)).bind(row.kind).bind(row.from_ns).bind(row.to_ns).run())
      return false;
  }
  return true;
}

Result<void> Writer::flush() {
  State::Pending rows = std::exchange(state_->pending, {});
  if (state_->failed) return {};
  if (state_->execute("BEGIN IMMEDIATE") && state_->write(rows) && state_->execute("COMMIT")) return {};
  Error error = state_->failure();
  state_->execute("ROLLBACK");
  state_->failed = true;
  return error;
}

Result<void> Writer::finish(std::int64_t ended_ns, std::string_view how) {
  set_meta("ended_ns", std::to_string(ended_ns));
  set_meta("state", how);
  if (auto flushed = flush(); !flushed) return flushed;
  if (state_->failed) return {};
  // A reader that is open right now keeps the log alive; then the file stays in WAL mode, which is as readable.
  state_->forget_statements();
  sqlite3_busy_timeout(state_->database, 200);
  state_->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  state_->execute("PRAGMA journal_mode = DELETE");
  return {};
}

Result<void> add_mark(const std::string& path, const Mark& mark) {
  sqlite3* database = nullptr;
  const auto close = [&](Result<void> result) {
    sqlite3_close_v2(database);
    return result;
  };
  if (sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK) {
    return close(Error{fmt::format("{}: cannot be written to: {}", path, sqlite3_errmsg(database))});
  }
  sqlite3_busy_timeout(database, kBusyTimeoutMs);
  Statement insert(database, "INSERT INTO mark(at_ns, text, source) VALUES (?, ?, ?)");
  insert.bind(mark.at_ns).bind(valid_utf8(mark.text)).bind(mark.source);
  if (!insert.run()) {
    return close(Error{fmt::format("{}: the mark could not be written: {}", path, sqlite3_errmsg(database))});
  }
  return close({});
}

}  // namespace camprobe::run
