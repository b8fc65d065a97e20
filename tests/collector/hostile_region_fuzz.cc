// tests/collector/hostile_region_fuzz.cc
//
// The whole way from a hostile region (tests/shm/hostile_region.h) to a report: draining into a run over several rounds
// while the region goes on lying, the end, the run read again, the analysis, the report. Besides that nothing crashes,
// hangs or eats memory, whatever a region says the run keeps within bounds:
//
//   rows    in proportion to what was ever written to the region
//   text    valid UTF-8, no longer than a name can be
//   times   within the run or, of what is older, since the machine's start; no end before its beginning
//   counts  not negative; numbers finite
//   reading no query fails
//
// The monotonic clock that the collector sees is the test's own, so hours pass in no time and an input does the same
// every time.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "collector/analysis/from_run.h"
#include "collector/drain/region_drain.h"
#include "exporters/report_json.h"
#include "exporters/report_text.h"
#include "run/reader.h"
#include "run/text.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"
#include "tests/shm/hostile_region.h"

namespace {

using namespace camprobe;

thread_local std::uint64_t fake_now_ns = 0;  // 0: the real one

// The collector's monotonic clock is ours while this lives, on this thread.
class FakeTime {
 public:
  explicit FakeTime(std::uint64_t now_ns) { fake_now_ns = now_ns; }
  ~FakeTime() { fake_now_ns = 0; }
  FakeTime(const FakeTime&) = delete;
  FakeTime& operator=(const FakeTime&) = delete;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

void check(bool holds, const std::string& what) {
  if (!holds) fail(what);
}

constexpr std::uint64_t kMs = 1'000'000, kMostRounds = 32;
constexpr std::int64_t kLateNs = 5'000'000'000;  // where the run begins after the process

struct Bounds {
  std::uint64_t rows = 0;  // of any table
  // The machine's start, in the run's time: what a fork's child holds may be older than its region.
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;  // a second after its end: records may be that much ahead of the reader's clock
  std::size_t text = 3 * shm::kMaxNameBytes;  // a byte that is no UTF-8 becomes three
};

// Texts that are put together from several of the region's.
std::size_t text_bound(const Bounds& bounds, std::string_view table, std::string_view column) {
  if (table == "span" && column == "attributes") return 16 * (2 * shm::kSpanAttributes * bounds.text);
  if (table == "span_stat" && column == "latency") return 1 << 20;
  if (table == "meta") return 1 << 16;
  return bounds.text;
}

bool may_be_negative(std::string_view table, std::string_view column) {
  return (table == "module" && (column == "base" || column == "low" || column == "high")) ||
         (table == "frame" && column == "address") || (table == "span" && (column == "span" || column == "parent")) ||
         (table == "span_attribute" && column == "sum") || table == "meta";
}

void check_row(sqlite3_stmt* row, const std::string& table, const Bounds& bounds) {
  std::map<std::string_view, std::int64_t> times;
  for (int i = 0; i < sqlite3_column_count(row); ++i) {
    const std::string_view name = sqlite3_column_name(row, i);
    const char* declared = sqlite3_column_decltype(row, i);
    const auto where = [&] { return table + "." + std::string(name); };
    switch (sqlite3_column_type(row, i)) {
      case SQLITE_INTEGER: {
        const std::int64_t value = sqlite3_column_int64(row, i);
        if (!(std::string_view(declared) == "INTEGER")) fail(where() + " holds an integer, which is not its type");
        const bool is_instant = name == "at_ns" || name.ends_with("ed_ns") || name == "began_ns" || name == "born_ns";
        if (is_instant) {
          times[name] = value;
          if (!(value >= bounds.first_ns && value <= bounds.last_ns))
            fail(where() + " is outside the run: " + std::to_string(value));
        } else if (name == "second") {
          if (!(value >= 0 && value <= bounds.last_ns / drain::kSecondNs)) fail(where() + " is outside the run");
        } else {
          if (!(value >= 0 || may_be_negative(table, name))) fail(where() + " is negative");
        }
        break;
      }
      case SQLITE_FLOAT: {
        const double value = sqlite3_column_double(row, i);
        if (!(std::string_view(declared) == "REAL")) fail(where() + " holds a real number, which is not its type");
        if (!(std::isfinite(value))) fail(where() + " is not finite");
        if (!(value >= 0 || may_be_negative(table, name))) fail(where() + " is negative");
        break;
      }
      case SQLITE_TEXT: {
        const std::string_view text(reinterpret_cast<const char*>(sqlite3_column_text(row, i)),
                                    static_cast<std::size_t>(sqlite3_column_bytes(row, i)));
        if (!(std::string_view(declared) == "TEXT")) fail(where() + " holds text, which is not its type");
        if (!(run::valid_utf8(text) == text)) fail(where() + " is not UTF-8");
        if (!(text.size() <= text_bound(bounds, table, name)))
          fail(where() + " is " + std::to_string(text.size()) + " bytes");
        break;
      }
      default:
        break;
    }
  }
  for (const auto& [begin, end] : {std::pair{"began_ns", "ended_ns"},
                                   {"born_ns", "died_ns"},
                                   {"opened_ns", "closed_ns"},
                                   {"mapped_ns", "unmapped_ns"}}) {
    const auto from = times.find(begin), to = times.find(end);
    if (!(from == times.end() || to == times.end() || from->second <= to->second))
      fail(table + ": ends before it begins");
  }
}

void check_tables(sqlite3* database, const Bounds& bounds) {
  for (const char* table : {"meta",   "name",        "process",        "thread",  "module",     "frame",
                            "stack",  "stack_frame", "metric",         "point",   "cpu",        "wait",
                            "alloc",  "heap_object", "lifetime",       "mapping", "descriptor", "descriptor_sum",
                            "io",     "span_stat",   "span_attribute", "span",    "mark",       "lost",
                            "setting"}) {
    sqlite3_stmt* rows = nullptr;
    check(
        sqlite3_prepare_v2(database, (std::string("SELECT * FROM ") + table).c_str(), -1, &rows, nullptr) == SQLITE_OK,
        std::string(table) + " cannot be read");
    std::uint64_t count = 0;
    int status = 0;
    while ((status = sqlite3_step(rows)) == SQLITE_ROW) {
      check_row(rows, table, bounds);
      ++count;
    }
    check(status == SQLITE_DONE, std::string(table) + " cannot be read to its end");
    check(count <= bounds.rows, std::string(table) + " has " + std::to_string(count) + " rows");
    sqlite3_finalize(rows);
  }
}

// What a load tool said, so that the analysis has requests to set against what the region claims.
void write_load(run::Writer& writer, std::int64_t seconds) {
  run::LoadSource source;
  source.tool = "k6";
  source.file = "load.json";
  const run::SourceId id = writer.add(source);
  for (std::int64_t second = 0; second < std::min<std::int64_t>(seconds, 300); ++second) {
    run::LoadBucket bucket;
    bucket.source = id;
    bucket.second = second;
    bucket.requests = 100;
    bucket.p50_ms = 2;
    bucket.p99_ms = 9;
    writer.put(bucket);
  }
}

void report(const std::string& path, const Bounds& bounds) {
  auto reader = run::Reader::open(path);
  check(reader.ok(), reader ? "" : reader.error());
  check_tables(reader->handle(), bounds);
  const run::Report report = analysis::analyse(*reader);
  check(!reader->error(), reader->error() ? "the run cannot be read: " + reader->error()->sentence : "");
  for (const run::Finding& finding : report.findings) {
    check(finding.confidence >= 0 && finding.confidence <= 1, "a confidence outside 0 to 1");
  }
  const std::string json = exporters::report_json(report), text = exporters::report_text(report);
  check(run::valid_utf8(json) == json && run::valid_utf8(text) == text, "the report is not UTF-8");
  check(json.find("-nan") == std::string::npos, "the report has what is no number");
}

class Recorded {
 public:
  // `is_late`: the run began when the process had been running for a while.
  Recorded(shm::RegionReader region, const std::string& path, bool is_late)
      : path_(path), started_ns_(shm::HostileRegion::kCreatedNs + (is_late ? kLateNs : 0)) {
    run::Meta meta = run::sample_meta();
    meta.started_monotonic_ns = static_cast<std::int64_t>(started_ns_);
    auto writer = run::Writer::create(path, meta);
    check(writer.ok(), writer ? "" : writer.error());
    writer_ = std::make_unique<run::Writer>(std::move(*writer));
    run::Process row;
    row.pid = 1;
    process_ = writer_->add(row);
    now_ns_ = started_ns_;
    const FakeTime time(now_ns_);
    drain_ = std::make_unique<drain::RegionDrain>(std::move(region), *writer_, symbolizer_,
                                                  drain::RunClock{started_ns_}, process_);
    drain_->claim();
  }

  void round(std::uint64_t milliseconds, bool ends_second) {
    constexpr std::uint64_t kWeekNs = 7ull * 24 * 3600 * 1'000'000'000;  // twice the longest run that is meant
    now_ns_ = std::min(now_ns_ + milliseconds * kMs, started_ns_ + kWeekNs);
    const FakeTime time(now_ns_);
    drain_->drain();
    if (ends_second) drain_->end_second(drain::RunClock{started_ns_}.second(now_ns_));
    if (ends_second) flush();
    ++rounds_;
  }

  void finish(bool saw_its_end) {
    {
      const FakeTime time(now_ns_);
      const std::uint64_t end_ns = drain_->finish(saw_its_end ? now_ns_ : 0);
      check(end_ns <= now_ns_, "it ended in the future");
      drain_->release();
      drain_.reset();
      rounds_ += 5;
    }
    check(symbolizer_.finish(std::chrono::seconds(20)), "naming takes more than 20 s");
    name_stacks();
    write_load(*writer_, drain::RunClock{started_ns_}.second(now_ns_));
    const auto finished = writer_->finish(static_cast<std::int64_t>(now_ns_ - started_ns_), run::kComplete);
    check(finished.ok(), finished ? "" : finished.error());
  }

  Bounds bounds(std::uint64_t words_written) const {
    Bounds bounds;
    bounds.first_ns = -static_cast<std::int64_t>(started_ns_);
    bounds.last_ns = static_cast<std::int64_t>(now_ns_ - started_ns_) + drain::kSecondNs;
    constexpr std::uint64_t kTemplate = 4000, kEachRound = 200;
    // A word is at most a table's key, or what makes a lane look new; what stays in a table may be taken up each round.
    bounds.rows = (kTemplate + words_written + kEachRound) * (rounds_ + 1);
    return bounds;
  }

 private:
  void name_stacks() {
    const drain::RunClock clock{started_ns_};
    drain::write(symbolizer_.take(), clock, *writer_);
    flush();
    symbolizer_.name_all(path_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!symbolizer_.finish(std::chrono::seconds(1))) {
      check(std::chrono::steady_clock::now() < until, "naming takes more than 20 s");
      drain::write(symbolizer_.take(), clock, *writer_);
    }
    drain::write(symbolizer_.take(), clock, *writer_);
  }
  void flush() {
    const auto flushed = writer_->flush();
    check(flushed.ok(), flushed ? "" : flushed.error());
  }

  std::string path_;
  std::uint64_t started_ns_, now_ns_ = 0, rounds_ = 0;
  drain::Symbolizer symbolizer_;
  std::unique_ptr<run::Writer> writer_;
  run::ProcessId process_{};
  std::unique_ptr<drain::RegionDrain> drain_;
};

void remove_run(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* out) {
  if (clock == CLOCK_MONOTONIC && fake_now_ns != 0) {
    out->tv_sec = static_cast<time_t>(fake_now_ns / 1'000'000'000);
    out->tv_nsec = static_cast<long>(fake_now_ns % 1'000'000'000);
    return 0;
  }
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const run::Scratch scratch;
  static const std::string path = scratch / "hostile.camrun";
  shm::HostileRegion& region = shm::HostileRegion::instance();
  const std::vector<shm::Edit> edits = shm::parse_edits(data, size);
  const bool is_late = !edits.empty() && edits[0].kind == shm::EditKind::kRound && (edits[0].field & 4) != 0;
  std::size_t next = is_late ? 1 : 0;
  const auto edit_up_to_a_round = [&] {
    region.begin_round();
    while (next < edits.size() && edits[next].kind != shm::EditKind::kRound) region.apply(edits[next++]);
  };
  edit_up_to_a_round();
  std::string error;
  if (auto reader = shm::RegionReader::from_descriptor(region.open_reader(), region.path(), &error)) {
    Recorded recorded(std::move(*reader), path, is_late);
    recorded.round(100, false);
    std::uint64_t rounds = 1;
    while (next < edits.size()) {
      const shm::Edit& round = edits[next++];
      edit_up_to_a_round();
      for (std::uint64_t i = 0; i < std::uint64_t{1} << (round.repeat % 8) && rounds < kMostRounds; ++i, ++rounds)
        recorded.round(round.index, (round.field & 1) != 0);
    }
    recorded.finish(edits.empty() || (edits.back().field & 2) != 0);
    const Bounds bounds = recorded.bounds(region.words_written());
    report(path, bounds);
    remove_run(path);
  }
  region.restore();
  return 0;
}
