// run/writer_state.h
//
// What the parts of the Writer share: the open database, what has been given an id, and the rows that wait for the next
// flush. Private to run/writer*.cc.
#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "run/fold.h"
#include "run/histogram.h"
#include "run/row_table.h"
#include "run/sqlite.h"
#include "run/writer.h"

namespace camprobe::run {

inline constexpr int kBusyTimeoutMs = 5000;  // how long a `camprobe mark` or a reader may hold the file

// One row per function and line as a reader sees it: the calls on one line share it, and it keeps the first one's
// address.
using FrameKey = std::tuple<std::string, std::string, std::int64_t, std::string, std::string>;

// As much as fits, where two durations or counts that a target made up are too much together.
inline std::int64_t sum_of(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

inline FrameKey key_of(const Frame& f) {
  return {f.function, f.file, f.line.value_or(-1), f.module, f.kind};
}

struct Writer::State {
  std::string path;
  std::string run_id;
  sqlite3* database = nullptr;
  bool failed = false;
  std::optional<Folder> folder;
  std::int64_t present = 0;  // the latest second that was written of

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
    std::vector<UnnamedStack> unnamed_stacks;
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
    // Of seconds that are folded already.
    std::map<std::tuple<SourceId, std::int64_t, std::string>, std::pair<LoadBucket, Histogram>> folded_load;
    std::vector<LoadWindow> load_windows;
    std::vector<SpanStat> whole_span_stats;
    std::map<ProcessId, std::string> drain_states;
    std::vector<Mark> marks;
    std::vector<Setting> settings;
    std::map<std::string, std::string, std::less<>> meta;
  } pending;

  // The row with the second at which its bucket begins now.
  template <class Row>
  Row in_its_bucket(Row row) const {
    row.second = folder->bucket_of(row.second);
    return row;
  }

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

}  // namespace camprobe::run
