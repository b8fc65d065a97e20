// tests/analysis/report_test.cc
//
// From a recorded run to the report a user reads: the two leaks by function, file and line, nothing else accused, the
// JSON as docs/report.schema.json says, the text within any width.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "collector/analysis/findings.h"
#include "collector/analysis/from_run.h"
#include "collector/analysis/own_frame.h"
#include "exporters/report_json.h"
#include "exporters/report_text.h"
#include "run/units.h"
#include "run/writer.h"
#include "tests/analysis/recorded_run.h"
#include "tests/run/scratch.h"

namespace camprobe::analysis {
namespace {

using ground_truth::record_run;
using ground_truth::Recorded;
using ground_truth::Recording;
using ::testing::HasSubstr;
using ::testing::Not;

run::Report report_of(const std::string& path) {
  auto reader = run::Reader::open(path);
  if (!reader) throw std::runtime_error(reader.error());
  run::Report report = analyse(*reader);
  EXPECT_FALSE(reader->error().has_value()) << reader->error()->sentence;
  return report;
}

// Python's jsonschema, an implementation of its own.
void expect_valid(const run::Report& report, const run::Scratch& scratch) {
  const std::string json = scratch / "report.json", log = scratch / "log";
  std::ofstream(json) << exporters::report_json(report);
  const std::string command =
      "python3 -c 'import json, sys, jsonschema\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft202012Validator.check_schema(schema)\n"
      "jsonschema.Draft202012Validator(schema).validate(json.load(open(sys.argv[2])))' '" +
      std::string(CAMPROBE_SOURCE_DIR) + "/docs/report.schema.json' '" + json + "' >'" + log + "' 2>&1";
  const int status = std::system(command.c_str());
  std::ifstream text(log);
  EXPECT_EQ(status, 0) << std::string(std::istreambuf_iterator<char>(text), {});
}

const run::Finding* finding(const run::Report& report, const std::string& resource) {
  for (const run::Finding& f : report.findings) {
    if (f.resource == resource && f.confirmed) return &f;
  }
  return nullptr;
}

std::size_t confirmed(const run::Report& report) {
  return static_cast<std::size_t>(
      std::count_if(report.findings.begin(), report.findings.end(), [](const auto& f) { return f.confirmed; }));
}

TEST(Report, NamesBothLeaksAndAccusesNothingElse) {
  run::Scratch scratch;
  const Recorded truth = record_run(scratch / "a.camrun", {});
  const run::Report report = report_of(scratch / "a.camrun");
  if (std::getenv("CAMPROBE_SHOW_REPORT") != nullptr) std::puts(exporters::report_text(report, {100, false}).c_str());

  EXPECT_EQ(report.verdict, "fail");
  EXPECT_EQ(confirmed(report), 2u) << exporters::report_text(report);
  const run::Finding* heap = finding(report, "heap");
  ASSERT_NE(heap, nullptr);
  ASSERT_FALSE(heap->where.stack.empty());
  EXPECT_THAT(heap->where.stack.front().function, HasSubstr("cam::remember_forever"));
  EXPECT_EQ(heap->where.stack.front().file, "faults/heap_leak.cc");
  EXPECT_EQ(heap->where.stack.front().line, 23);
  // Reached from two endpoints, reported once and in full.
  EXPECT_NEAR(heap->per_1000_requests->value, 1000 * truth.leaked_bytes_per_request,
              150 * truth.leaked_bytes_per_request);
  EXPECT_LE(heap->per_1000_requests->low, 1000 * truth.leaked_bytes_per_request);
  EXPECT_GE(heap->per_1000_requests->high, 1000 * truth.leaked_bytes_per_request);
  EXPECT_NEAR(heap->since->at_s, truth.onset_s, 6.5);
  EXPECT_EQ(heap->since->window, "steady");
  ASSERT_TRUE(heap->forecast.has_value());
  EXPECT_GT(*heap->forecast->seconds_low, 0);

  const run::Finding* descriptors = finding(report, "fd");
  ASSERT_NE(descriptors, nullptr);
  EXPECT_THAT(descriptors->where.stack.front().function, HasSubstr("cam::open_and_forget"));
  EXPECT_EQ(descriptors->where.peer, "127.0.0.1:9001");
  EXPECT_NEAR(descriptors->per_1000_requests->value, 5, 0.75);
  EXPECT_NEAR(descriptors->since->at_s, truth.onset_s, 6.5);
  EXPECT_THAT(report.summary, HasSubstr("2 leaks"));
}

TEST(Report, FindsThemByTheServersOwnSpansAsWell) {
  run::Scratch scratch;
  Recording recording;
  recording.with_load_results = false;
  const Recorded truth = record_run(scratch / "a.camrun", recording);
  const run::Report report = report_of(scratch / "a.camrun");
  EXPECT_EQ(report.load.counted_by, "spans");
  EXPECT_EQ(confirmed(report), 2u) << exporters::report_text(report);
  EXPECT_NEAR(finding(report, "heap")->per_1000_requests->value, 1000 * truth.leaked_bytes_per_request,
              150 * truth.leaked_bytes_per_request);
}

TEST(Report, IsNotFooledByAChangeOfTheSamplingInterval) {
  for (const auto& [first, later] : {std::pair{8192.0, 65536.0}, {65536.0, 8192.0}}) {
    for (const bool with_leaks : {true, false}) {
      run::Scratch scratch;
      Recording recording;
      recording.interval = first;
      recording.later_interval = later;
      recording.with_leaks = with_leaks;
      const Recorded truth = record_run(scratch / "a.camrun", recording);
      const run::Report report = report_of(scratch / "a.camrun");
      EXPECT_EQ(confirmed(report), with_leaks ? 2u : 0u) << first << exporters::report_text(report);
      const run::Finding* heap = finding(report, "heap");
      ASSERT_EQ(heap != nullptr, with_leaks);
      if (heap == nullptr) continue;
      EXPECT_NEAR(heap->per_1000_requests->value, 1000 * truth.leaked_bytes_per_request,
                  150 * truth.leaked_bytes_per_request)
          << first;
      EXPECT_NEAR(heap->since->at_s, truth.onset_s, 6.5) << first;
    }
  }
}

TEST(Report, PassesTheLookAlikes) {
  for (const std::uint64_t seed : {5u, 6u, 7u}) {
    run::Scratch scratch;
    Recording recording;
    recording.with_leaks = false;
    recording.seed = seed;
    record_run(scratch / "a.camrun", recording);
    const run::Report report = report_of(scratch / "a.camrun");
    EXPECT_EQ(confirmed(report), 0u) << exporters::report_text(report);
    EXPECT_EQ(report.verdict, "pass") << exporters::report_text(report);
    expect_valid(report, scratch);
  }
}

TEST(Report, TellsCamsOwnFiguresFromSpans) {
  run::Scratch scratch;
  Recording recording;
  record_run(scratch / "a.camrun", recording);
  const run::ReportCam cam = report_of(scratch / "a.camrun").cam;
  // 1,500 a second lasting 40 us + i * 10 ns: the median 47.5 us, p99 54.9 us; buckets are 1.6 % wide
  EXPECT_NEAR(*cam.arbitration->p50, 0.0475, 0.001);
  EXPECT_NEAR(*cam.arbitration->p99, 0.0549, 0.001);
  EXPECT_NEAR(*cam.consensus->p50, 12, 0.2);
  EXPECT_NEAR(*cam.provider_switch_rate, 0.2, 1e-4);
  EXPECT_NEAR(*cam.cost_optimization_rate, 0.6, 1e-9);
  EXPECT_EQ(cam.providers.front().first, "alpha");
}

TEST(Report, NamesTheScanThatGrows) {
  run::Scratch scratch;
  Recording recording;
  recording.with_leaks = false;
  recording.slower = 3;
  record_run(scratch / "a.camrun", recording);
  const run::Report report = report_of(scratch / "a.camrun");
  EXPECT_EQ(report.verdict, "fail");
  const run::Finding* cpu = finding(report, "cpu");
  ASSERT_NE(cpu, nullptr) << exporters::report_text(report);
  EXPECT_THAT(cpu->title, HasSubstr("cam::scan_history"));
  ASSERT_FALSE(cpu->where.stack.empty());
  EXPECT_EQ(cpu->where.stack.front().line, 21);
  const run::Finding* latency = finding(report, "latency");
  ASSERT_NE(latency, nullptr);
  EXPECT_GT(latency->after->low, latency->before->value);
  EXPECT_EQ(latency->where.endpoint, "");
  expect_valid(report, scratch);
}

TEST(Report, SaysWhenARunIsTooShort) {
  run::Scratch scratch;
  Recording recording;
  recording.seconds = 8;
  record_run(scratch / "a.camrun", recording);
  const run::Report report = report_of(scratch / "a.camrun");
  EXPECT_EQ(report.verdict, "inconclusive");
  EXPECT_EQ(confirmed(report), 0u);
  EXPECT_THAT(exporters::report_text(report), HasSubstr("too little to tell"));
  expect_valid(report, scratch);
}

TEST(Report, OfAnEmptyRunIsInconclusiveAndValid) {
  run::Scratch scratch;
  {
    auto writer = run::Writer::create(scratch / "a.camrun", {});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->flush());
  }
  const run::Report report = report_of(scratch / "a.camrun");
  EXPECT_EQ(report.verdict, "inconclusive");
  expect_valid(report, scratch);
  EXPECT_FALSE(exporters::report_text(report).empty());
}

TEST(ReportJson, IsWhatTheSchemaSays) {
  run::Scratch scratch;
  record_run(scratch / "a.camrun", {});
  run::Report report = report_of(scratch / "a.camrun");
  report.lost.push_back({"lapped", 17});
  run::ReportGate gate;
  gate.name = "p95";
  gate.text = "p95 3 ms <= 50 ms";
  gate.metric = "latency_p95_ms";
  gate.value = 3;
  gate.max = 50;
  report.gates.push_back(gate);
  report.findings.front().title = "\xff\xfe not UTF-8";
  report.findings.front().per_hour->high = INFINITY;
  expect_valid(report, scratch);
}

std::size_t display_width(const std::string& line) {
  return static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

TEST(ReportText, KeepsToItsWidthAndColoursOnlyOnDemand) {
  run::Scratch scratch;
  record_run(scratch / "a.camrun", {});
  run::Report report = report_of(scratch / "a.camrun");
  report.lost.push_back({"lapped", 17});
  report.findings.front().where.stack.front().function =
      std::string(300, 'x') + "::\xc3\xa9\x1b[31m" + std::string(90, 'y');
  for (const std::size_t width : {10u, 40u, 60u, 80u, 100u, 200u}) {
    const std::string text = exporters::report_text(report, {width, false});
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), std::max<std::size_t>(width, 40)) << line;
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("FAIL"));
    EXPECT_THAT(text, HasSubstr("17 records lost"));
  }
  EXPECT_THAT(exporters::report_text(report, {80, true}), HasSubstr("\x1b["));
}

TEST(OwnFrame, SkipsAllocatorsAndLibraries) {
  const auto named = [](std::initializer_list<std::pair<const char*, const char*>> list) {
    std::vector<run::Frame> frames;
    for (const auto& [function, module] : list) {
      run::Frame f;
      f.function = function, f.module = module, f.kind = "native";
      frames.push_back(f);
    }
    return frames;
  };
  EXPECT_EQ(own_frame(named({{"malloc", "/lib/libc.so.6"}, {"zmalloc", "redis"}, {"sdsnewlen", "redis"}})), 2u);
  EXPECT_EQ(own_frame(named({{"operator new(unsigned long)", "libstdc++.so.6"},
                             {"void std::vector<int>::push_back(int const&)", "server"},
                             {"std::_Vector_base<int>::_M_allocate(unsigned long)", "server"},
                             {"app::Allocator::allocate(int)", "server"}})),
            3u);
  EXPECT_EQ(own_frame(named({{"ngx_palloc", "nginx"}, {"ngx_http_create_request", "nginx"}})), 1u);
  EXPECT_EQ(own_frame(named({{"realloc", "/lib/libjemalloc.so.2"},
                             {"zrealloc_usable", "redis"},
                             {"lpInsert", "redis"},
                             {"lpPrepend", "redis"}})),
            2u);
  EXPECT_EQ(own_frame(named({{"malloc", "/lib/libc.so.6"}, {"zcalloc_num", "redis"}, {"dictExpand", "redis"}})), 2u);
  EXPECT_EQ(own_frame(named({{"PyObject_Malloc", "python3"}, {"bytes_concat", "python3"}})), 1u);
  EXPECT_EQ(own_frame(named({{"malloc", "/lib/libc.so.6"}, {"alloc_session", "server"}})), 1u);
  EXPECT_EQ(own_frame(named({{"malloc", "/lib/libc.so.6"}})), 0u);
  EXPECT_EQ(own_frame({}), 0u);
}

TEST(OwnFrame, IsTheJavaScriptAndNotTheEngineUnderIt) {
  const auto frame = [](const char* function, const char* file, const char* kind) {
    run::Frame f;
    f.function = function, f.file = file, f.kind = kind, f.module = "/usr/bin/node";
    return f;
  };
  const run::Frame page = frame("v8::internal::MemoryAllocator::AllocatePage(int)", "", "native"),
                   socket = frame("uv__socket", "deps/uv/src/unix/core.c", "native"),
                   wrap = frame("void node::TCPWrap::Connect<sockaddr_in>(v8::Local<v8::Value>)", "", "native"),
                   of_node = frame("internalConnect", "node:net", "js"), own = frame("handle", "src/app.ts", "js");
  EXPECT_EQ(own_frame({page, own}), 1u);
  EXPECT_EQ(own_frame({socket, wrap, of_node, own}), 3u);
  EXPECT_EQ(own_frame({socket, wrap, of_node}), 2u);  // Node's own says more than libuv's
  run::Frame bitcoin = frame("node::Connect(int)", "src/net.cpp", "native");
  bitcoin.module = "/usr/bin/bitcoind";
  EXPECT_EQ(own_frame({bitcoin}), 0u);
  EXPECT_EQ(own_frame({socket, bitcoin}), 1u);
}

TEST(Degradation, DoesNotCallAWaitForABusyMachineALock) {
  run::Scratch scratch;
  record_run(scratch / "a.camrun", {});
  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader);
  CostChange slower;
  slower.confirmed = slower.waiting = true;
  slower.verdict = Verdict::kStep;
  slower.early = 10, slower.late = 18, slower.ratio = 1.8, slower.ratio_interval = {1.5, 2.1};
  Degradation degradation;
  degradation.changes = {slower};
  for (const double idle : {0.5, 0.01}) {
    RunInput input;
    input.idle = idle;
    const auto findings = degradation_findings(*reader, input, degradation, Thresholds{});
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].confirmed, idle > 0.1);
    EXPECT_EQ(findings[0].verdict, idle > 0.1 ? "step" : "inconclusive");
  }
}

TEST(Report, SetsResultsAsideThatAreOfAPartOfTheLoad) {
  for (const bool whole : {true, false}) {
    run::Scratch scratch;
    run::Meta meta;
    auto writer = run::Writer::create(scratch / "a.camrun", meta);
    ASSERT_TRUE(writer);
    run::Process process;
    process.pid = 7;
    const run::ProcessId server = writer->add(process);
    const run::SourceId source = writer->add(run::LoadSource{});
    for (std::int64_t second = 0; second < 60; ++second) {
      run::IoRow io;
      io.process = server, io.second = second, io.kind = "socket_read", io.ops = 100;
      writer->count(io);
      if (!whole && second >= 20) continue;
      run::LoadBucket bucket;
      bucket.source = source, bucket.second = second, bucket.width = 1, bucket.requests = 100;
      writer->put(bucket);
    }
    ASSERT_TRUE(writer->finish(61'000'000'000, "complete"));
    auto reader = run::Reader::open(scratch / "a.camrun");
    ASSERT_TRUE(reader);
    const RunInput input = input_from(*reader, Thresholds{});
    EXPECT_EQ(input.clock.source(), whole ? WorkSource::kLoadTool : WorkSource::kSockets);
    EXPECT_NEAR(input.stretch.end, 60, 2);
  }
}

TEST(Units, ReadLikePeopleWriteThem) {
  EXPECT_EQ(run::in_bytes(0), "0 B");
  EXPECT_EQ(run::in_bytes(2048), "2 KiB");
  EXPECT_EQ(run::in_bytes(419430), "410 KiB");
  EXPECT_EQ(run::in_bytes(-1536), "-1.5 KiB");
  EXPECT_EQ(run::in_count(1234567), "1,234,567");
  EXPECT_EQ(run::in_count(999.7), "1,000");
  EXPECT_EQ(run::in_count(0.5), "0.5");
  EXPECT_EQ(run::in_seconds(0.0031), "3.1 ms");
  EXPECT_EQ(run::in_seconds(200), "3 m 20 s");
  EXPECT_EQ(run::in_seconds(86400 * 5), "5 days");
  EXPECT_EQ(run::at_time(3727), "1:02:07");
  EXPECT_EQ(run::in_percent(0.1234), "12.3 %");
}

}  // namespace
}  // namespace camprobe::analysis
