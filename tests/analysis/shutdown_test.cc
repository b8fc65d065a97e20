// tests/analysis/shutdown_test.cc
//
// A server that is ended as soon as its load is over, and frees all it has as it goes: within the last second of the
// load.
#include <gtest/gtest.h>

#include <algorithm>

#include "collector/analysis/from_run.h"
#include "run/reader.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::analysis {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

// Two hundred requests a second for 60.4 s, each tenth of which keeps a sampled object; SIGTERM then.
run::Reader leak_that_is_freed_at_the_end(const std::string& path, bool with_load_results) {
  const std::int64_t load_ends = 60 * kSecondNs + 4 * kSecondNs / 10, ended = load_ends + kSecondNs / 5;
  auto writer = run::Writer::create(path, run::sample_meta());
  EXPECT_TRUE(writer);
  run::Process process;
  process.pid = 7;
  process.probe_state = "sampling";
  process.ended_ns = ended;
  const run::ProcessId server = writer->add(process);
  const run::StackId stack = writer->add_stack(server, false);
  run::Frame frame;
  frame.function = "remember";
  frame.kind = "native";
  writer->set_frames(stack, {frame});
  for (std::int64_t i = 0; i < 60 * 20; ++i) {
    const std::int64_t born = i * kSecondNs / 20;
    writer->put(
        run::HeapObject{server, i + 1, stack, {}, {}, 4096, 8192, 10410, 2.54, born, load_ends + kSecondNs / 20});
  }
  const run::SourceId source = with_load_results ? writer->add(run::LoadSource{}) : run::SourceId{};
  for (std::int64_t second = 0; second <= 60; ++second) {
    const std::int64_t requests = second < 60 ? 200 : 80;
    run::LoadBucket bucket;
    bucket.source = source;
    bucket.second = second;
    bucket.requests = requests;
    if (with_load_results) writer->put(bucket);
    writer->count(run::IoRow{server, second, "socket_read", requests, requests * 100, 0, 0});
    writer->point(run::Metric{0, "process_resident_bytes", "bytes", "gauge"}, server, second, 5e7);
  }
  if (with_load_results) writer->put(run::LoadWindow{0, source, "steady", "steady", 0, load_ends});
  EXPECT_TRUE(writer->finish(ended, run::kComplete));
  return std::move(*run::Reader::open(path));
}

void expect_the_leak(run::Reader reader) {
  const run::Report report = analyse(reader);
  EXPECT_TRUE(std::any_of(report.findings.begin(), report.findings.end(), [](const run::Finding& finding) {
    return finding.kind == "leak" && finding.verdict == "leaks" && finding.confirmed;
  })) << report.findings.size();
}

TEST(Shutdown, ProvesNothingWhereTheLoadToolTellsWhenItEnded) {
  run::Scratch scratch;
  expect_the_leak(leak_that_is_freed_at_the_end(scratch / "freed.camrun", true));
}

TEST(Shutdown, ProvesNothingWhereRequestsAreCountedByTheSecond) {
  run::Scratch scratch;
  expect_the_leak(leak_that_is_freed_at_the_end(scratch / "freed.camrun", false));
}

}  // namespace
}  // namespace camprobe::analysis
