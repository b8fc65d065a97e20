// tests/analysis/many_spans_test.cc
//
// A run of days has millions of single spans. Whether a name is that of a request is asked of them in each look at a
// run that is being recorded, in the collector's own memory.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <string>

#include "collector/analysis/work_of_run.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::analysis {
namespace {

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// A request and two calls in it, a thousand times a second.
void add_spans(const std::string& path, int count, run::NameId request, run::NameId call) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  const std::string sql =
      "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < " + std::to_string(count) +
      ") INSERT INTO span (process, span, parent, name, began_ns, ended_ns, begin_thread, attributes) SELECT 1, i + 1, "
      "CASE i % 3 WHEN 0 THEN 0 ELSE i / 3 * 3 + 1 END, CASE i % 3 WHEN 0 THEN " +
      std::to_string(run::number(request)) + " ELSE " + std::to_string(run::number(call)) +
      " END, i * 333333, i * 333333 + 1000, 1, '{\"provider\":\"one\",\"cost\":0.25,\"tokens\":120}' FROM n";
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

TEST(WorkOfRun, FindsTheRequestsAmongManySpansInLittleMemory) {
  constexpr int kSpans = 300'000;  // 90 MiB as rows
  const run::Scratch scratch;
  const std::string path = scratch / "many.camrun";
  auto writer = run::Writer::create(path, run::sample_meta());
  ASSERT_TRUE(writer) << writer.error();
  run::Process process;
  process.pid = 7;
  const run::ProcessId server = writer->add(process);
  const run::NameId request = writer->name("request"), call = writer->name("call");
  for (std::int64_t second = 0; second < 100; ++second) {
    for (int i = 0; i < 10; ++i) writer->count(run::Writer::SpanEnd{server, second, request, 1'000'000});
    for (int i = 0; i < 20; ++i) writer->count(run::Writer::SpanEnd{server, second, call, 1'000'000});
  }
  ASSERT_TRUE(writer->finish(100 * run::kTestSecond, run::kComplete));
  add_spans(path, kSpans, request, call);

  auto reader = run::Reader::open(path);
  ASSERT_TRUE(reader) << reader.error();
  const long before = peak_kib();
  const WorkOfRun work = work_of(*reader, Thresholds{});
  EXPECT_FALSE(reader->error());
  EXPECT_EQ(work.span, "request") << "calls are more, and lie in requests";
  EXPECT_EQ(work.clock.at(100), 1000);
  EXPECT_LT(peak_kib() - before, 16 << 10);
}

}  // namespace
}  // namespace camprobe::analysis
