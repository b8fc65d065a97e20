// tests/run/fold_ended_test.cc
#include "run/fold_ended.h"

#include <gtest/gtest.h>

#include <map>

#include "run/reader.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

using namespace camprobe::run;

namespace {

// A minute and a half in which `a_second` connections, threads and mappings come and go, each after five seconds; one
// connection in a hundred stays open.
struct BusyRun {
  explicit BusyRun(int a_second) {
    auto writer = Writer::create(scratch / "busy.camrun", sample_meta());
    EXPECT_TRUE(writer);
    Process process;
    process.pid = 1;
    const ProcessId server = writer->add(process);
    const StackId rare = writer->add_stack(server, false), common = writer->add_stack(server, false);
    for (std::int64_t second = 0; second < 90; ++second) {
      for (int i = 0; i < a_second; ++i) {
        const std::int64_t opened_ns = second * kTestSecond, ended_ns = opened_ns + 5 * kTestSecond;
        const StackId stack = i == 7 ? rare : common;
        Descriptor connection;
        connection.process = server;
        connection.fd = i;
        connection.generation = 2 * second + 1;
        connection.kind = "accept";
        connection.peer = "10.0.0.1:" + std::to_string(1024 + i);
        connection.stack = stack;
        connection.opened_ns = opened_ns;
        connection.read_ops = 1;
        connection.read_bytes = i;
        if (i % 100 != 99) connection.closed_ns = ended_ns;
        writer->add(connection);
        Thread thread;
        thread.process = server;
        thread.stack = stack;
        thread.began_ns = opened_ns;
        thread.ended_ns = ended_ns;
        writer->add(thread);
        Mapping mapping;
        mapping.process = server;
        mapping.stack = stack;
        mapping.mapped_ns = opened_ns;
        mapping.unmapped_ns = ended_ns;
        writer->add(mapping);
        ++opened;
        read_bytes += i;
      }
      writer->point(Metric{0, "level", "bytes", "gauge"}, server, second, 1);  // what says that it is later
      EXPECT_TRUE(writer->flush());
    }
    EXPECT_TRUE(writer->finish(90 * kTestSecond, kComplete));
    reader.emplace(std::move(*Reader::open(scratch / "busy.camrun")));
    this->rare = rare;
  }

  Scratch scratch;
  std::int64_t opened = 0, read_bytes = 0;
  StackId rare{};
  std::optional<Reader> reader;
};

BusyRun& busy_run() {
  static BusyRun run(400);
  return run;
}

}  // namespace

TEST(EndedRows, ManyBecomeFewAndTheSumsStayExact) {
  BusyRun& busy = busy_run();
  std::int64_t opened = 0, read_bytes = 0, open = 0;
  const auto rows = busy.reader->descriptors();
  for (const Descriptor& row : rows) ++opened, read_bytes += row.read_bytes, open += row.closed_ns ? 0 : 1;
  for (const DescriptorSum& sum : busy.reader->descriptor_sums()) {
    EXPECT_EQ(sum.peer, "10.0.0.1") << "the port is the client's choice";
    EXPECT_EQ(sum.opened, sum.closed);
    opened += sum.opened, read_bytes += sum.read_bytes;
  }
  EXPECT_EQ(opened, busy.opened);
  EXPECT_EQ(read_bytes, busy.read_bytes);
  EXPECT_EQ(open, 90 * 4) << "what is open is all there";
  // At most a thousand of each ten seconds, and what closed in the last twenty-five seconds in full.
  EXPECT_LT(static_cast<std::int64_t>(rows.size()) - open, 7 * 1000 + 25 * 400);
  EXPECT_LT(static_cast<std::int64_t>(rows.size()), busy.opened / 2);
}

TEST(EndedRows, EachRowKeptSaysHowManyItStandsFor) {
  BusyRun& busy = busy_run();
  std::map<StackId, std::int64_t> threads, mappings;
  for (const Thread& row : busy.reader->threads()) threads[row.stack] += row.kept_of;
  for (const Mapping& row : busy.reader->mappings()) mappings[row.stack] += row.kept_of;
  for (auto* sums : {&threads, &mappings}) {
    EXPECT_EQ((*sums)[busy.rare], 90) << "a rare stack keeps all of its own";
    std::int64_t all = 0;
    for (const auto& [stack, n] : *sums) all += n;
    EXPECT_NEAR(static_cast<double>(all), static_cast<double>(busy.opened), 0.01 * static_cast<double>(busy.opened));
  }
}

TEST(EndedRows, AServerThatOpensFewKeepsEveryRow) {
  BusyRun quiet(20);
  EXPECT_EQ(static_cast<std::int64_t>(quiet.reader->descriptors().size()), quiet.opened);
  EXPECT_EQ(static_cast<std::int64_t>(quiet.reader->threads().size()), quiet.opened);
  for (const Thread& row : quiet.reader->threads()) EXPECT_EQ(row.kept_of, 1);
  EXPECT_TRUE(quiet.reader->descriptor_sums().empty());
}
