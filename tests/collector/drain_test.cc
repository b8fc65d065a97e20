// A region that this test writes as the probe would, and the run that draining it makes.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "collector/drain/region_drain.h"
#include "collector/drain/spans.h"
#include "run/histogram.h"
#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"
#include "tests/shm/test_region.h"

namespace camprobe::drain {
namespace {

using shm::RecordKind;

constexpr std::uint64_t kMs = 1'000'000;

class DrainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(region_.created()) << region_.error();
    // Records may lie up to a second ahead of the clock, so that a second's life needs no second's wait.
    base_ = region_.reader().info().created_ns;
    lane_ = region_->acquire_lane(4242, base_);
    ring_ = region_.ring(lane_);
    auto writer = run::Writer::create(path_, run::sample_meta());
    ASSERT_TRUE(writer) << writer.error();
    writer_ = std::make_unique<run::Writer>(std::move(*writer));
    run::Process row;
    row.pid = getpid();
    process_ = writer_->add(row);
    drain_ = std::make_unique<RegionDrain>(region_.reader(), *writer_, symbolizer_, RunClock{base_}, process_);
  }

  run::Reader read() {
    drain_.reset();
    symbolizer_.finish(std::chrono::seconds(20));
    name_stacks();
    EXPECT_TRUE(writer_->finish(10 * run::kTestSecond, run::kComplete));
    auto reader = run::Reader::open(path_);
    EXPECT_TRUE(reader) << reader.error();
    return std::move(*reader);
  }
  void name_stacks() {
    write(symbolizer_.take(), RunClock{base_}, *writer_);
    EXPECT_TRUE(writer_->flush());
    symbolizer_.name_all(path_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!symbolizer_.finish(std::chrono::seconds(1)) && std::chrono::steady_clock::now() < until)
      write(symbolizer_.take(), RunClock{base_}, *writer_);
    write(symbolizer_.take(), RunClock{base_}, *writer_);
  }
  void let_time_pass() { usleep(250'000); }

  shm::StackId stack(std::uintptr_t seed) {
    const std::uintptr_t frames[] = {seed, seed + 16, seed + 32};
    return region_->intern_stack(frames, 3, true);
  }
  shm::NameId name(const char* text) {
    return region_->intern_name(text, static_cast<std::uint32_t>(std::strlen(text)));
  }
  void alloc(std::uint64_t at_ms, std::uint64_t sample, std::uint64_t size, std::uint64_t interval, shm::StackId stack,
             shm::SpanId span = 0) {
    ring_.write(base_ + at_ms * kMs, RecordKind::kAlloc, 0, stack, span,
                shm::AllocPayload{0x1000 * sample, size, sample, interval});
  }
  void free(std::uint64_t at_ms, std::uint64_t sample, std::uint64_t size, std::uint64_t interval,
            std::uint64_t born_ms, std::uint16_t flags = 0) {
    ring_.write(base_ + at_ms * kMs, RecordKind::kFree, flags, 0, 0,
                shm::FreePayload{size, sample, interval, base_ + born_ms * kMs});
  }

  run::Scratch scratch_;
  std::string path_ = scratch_ / "a.camrun";
  shm::TestRegion region_;
  std::uint64_t base_ = 0;
  int lane_ = -1;
  shm::RingWriter ring_;
  Symbolizer symbolizer_;
  std::unique_ptr<run::Writer> writer_;
  run::ProcessId process_{};
  std::unique_ptr<RegionDrain> drain_;
};

TEST(Weights, AreUnbiased) {
  EXPECT_DOUBLE_EQ(weigh(100, 0).bytes, 100) << "every allocation recorded";
  EXPECT_DOUBLE_EQ(weigh(100, 0).objects, 1);
  EXPECT_NEAR(weigh(64, 8192).bytes, 64 / (1 - std::exp(-64.0 / 8192)), 1e-6);
  EXPECT_NEAR(weigh(64, 8192).objects, 1 / (1 - std::exp(-64.0 / 8192)), 1e-9);
  EXPECT_NEAR(weigh(1 << 30, 8192).bytes, 1 << 30, 1);
  EXPECT_TRUE(std::isfinite(weigh(0, 1 << 20).bytes));
  EXPECT_NEAR(weigh(0, 1 << 20).bytes, 1 << 20, 1);
}

TEST(Ages, FallIntoOctavesOfMicroseconds) {
  EXPECT_EQ(age_octave(0), 0);
  EXPECT_EQ(age_octave(1'500), 0);
  EXPECT_EQ(age_octave(2'000), 1);
  EXPECT_EQ(age_octave(1'000'000), 9);
  EXPECT_EQ(age_octave(1'048'576'000), 20);
}

TEST_F(DrainTest, AllocationsAddUpAndOnlyWhatOutlivesASecondIsAnObject) {
  const shm::StackId leak = stack(0x400000), churn = stack(0x500000);
  alloc(1, 1, 64, 8192, leak);
  alloc(2, 2, 64, 8192, churn);
  free(3, 2, 64, 8192, 2, shm::kFlagTemporary);
  alloc(4, 3, 64, 8192, churn);
  let_time_pass();
  free(1100, 3, 64, 8192, 4);
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();

  const auto alloc = run.alloc();
  ASSERT_EQ(alloc.size(), 2u);
  const SampleWeight one = weigh(64, 8192);
  EXPECT_EQ(alloc[0].samples, 2);
  EXPECT_NEAR(alloc[0].weight, 2 * one.bytes, 1e-6);
  EXPECT_NEAR(alloc[0].temporary_objects, one.objects, 1e-6);
  const auto objects = run.heap_objects();
  ASSERT_EQ(objects.size(), 1u) << "the leak's sample is not in the live table, so nobody knows that it lived";
  EXPECT_EQ(objects[0].sample, 3);
  EXPECT_EQ(objects[0].died_ns, static_cast<std::int64_t>(1100 * kMs));
  EXPECT_EQ(run.stack(objects[0].stack).frames.size(), 3u);
  const auto lifetimes = run.lifetimes();
  ASSERT_EQ(lifetimes.size(), 2u);
  EXPECT_EQ(lifetimes[0].octave, age_octave(kMs));
  EXPECT_EQ(lifetimes[1].octave, age_octave(1096 * kMs));
}

TEST_F(DrainTest, TheLiveTableIsTheTruthWhereRecordsWereLost) {
  const shm::StackId lost = stack(0x600000);
  shm::LiveSample sample{};
  sample.size = 1024;
  sample.sample = 77;
  sample.born_ns = base_ - 5'000 * kMs;
  sample.interval = 8192;
  sample.stack = lost;
  sample.tid = 4242;
  ASSERT_TRUE(region_->live().insert(0x7f0000001000, sample));
  drain_->drain();
  drain_->end_second(10);
  shm::LiveSample gone;
  ASSERT_TRUE(region_->live().erase(0x7f0000001000, &gone));
  drain_->end_second(11);
  drain_->end_second(12);
  drain_->finish(0);
  run::Reader run = read();
  const auto objects = run.heap_objects();
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0].sample, 77);
  EXPECT_EQ(objects[0].born_ns, -static_cast<std::int64_t>(5'000 * kMs)) << "before the run began";
  EXPECT_TRUE(objects[0].died_ns);
  const auto live = run.series("heap_live_bytes");
  ASSERT_EQ(live.size(), 4u) << "three seconds and the end";
  EXPECT_EQ(live[1].second, 10);
  EXPECT_NEAR(live[1].value, weigh(1024, 8192).bytes, 1e-6);
  EXPECT_EQ(live[2].value, 0);
}

TEST_F(DrainTest, AFreeDrainedBeforeItsAllocationFindsIt) {
  const int other = region_->acquire_lane(4243, base_);
  shm::RingWriter other_ring = region_.ring(other);
  free(2, 9, 64, 8192, 1);
  drain_->drain();
  other_ring.write(base_ + kMs, RecordKind::kAlloc, 0, stack(0x400000), 0, shm::AllocPayload{0x9000, 64, 9, 8192});
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.alloc().size(), 1u);
  EXPECT_EQ(run.alloc()[0].samples, 1);
  const auto lifetimes = run.lifetimes();
  ASSERT_EQ(lifetimes.size(), 1u);
  EXPECT_EQ(lifetimes[0].samples, 1);
}

TEST_F(DrainTest, SamplesOfOneCallerHaveTheInstructionAsTheirLeaf) {
  const shm::StackId callers = stack(0x410000);
  const auto sample = [&](shm::StackId id, std::uint64_t program_counter) {
    ring_.write(base_ + kMs, RecordKind::kCpu, 0, id, 0, shm::CpuPayload{10, 10, program_counter, 0, 0});
  };
  for (const std::uint64_t program_counter : {0x420000, 0x420008, 0x420000}) sample(callers, program_counter);
  sample(0, 0x430000);
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  std::map<std::size_t, int> samples;  // by depth
  std::set<run::StackId> stacks;
  run.each_cpu({}, [&](const run::CpuRow& row) {
    const run::Stack stack = run.stack(row.stack);
    EXPECT_EQ(stack.truncated, stack.frames.size() == 1);
    samples[stack.frames.size()] += static_cast<int>(row.samples);
    stacks.insert(row.stack);
  });
  EXPECT_EQ(samples, (std::map<std::size_t, int>{{1, 1}, {4, 3}}));
  EXPECT_EQ(stacks.size(), 3u);
}

TEST_F(DrainTest, InstructionsThatComeAgainAndAgainStayKnownThoughNotAllAre) {
  const shm::StackId callers = stack(0x410000);
  const auto sample = [&](std::uint64_t program_counter) {
    ring_.write(base_ + kMs, RecordKind::kCpu, 0, callers, 0, shm::CpuPayload{10, 10, program_counter, 0, 0});
  };
  constexpr std::uint64_t kHot = 0x420000, kRare = 0x420008, kRounds = 10, kNewOnes = 2000;
  sample(kRare);
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    sample(kHot);
    for (std::uint64_t i = 0; i < kNewOnes; ++i) sample(0x500000 + round * kNewOnes + i);
    drain_->drain();
  }
  sample(kRare);
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  std::multiset<std::int64_t> samples;
  run.each_cpu({}, [&](const run::CpuRow& row) { samples.insert(row.samples); });
  EXPECT_EQ(samples.count(static_cast<std::int64_t>(kRounds)), 1u) << "one stack for the hot one";
  EXPECT_EQ(samples.count(1), kRounds * kNewOnes + 2) << "the rare one was forgotten, and made a second time";
}

TEST_F(DrainTest, SamplesCarryTheNameOfTheirSpan) {
  shm::SpanId span = 0;
  shm::SpanSlot* slot = region_->claim_span(0, &span);
  ASSERT_NE(slot, nullptr);
  slot->name = name("cam.arbitration");
  slot->begin_ns = base_;
  slot->id.store(span);
  alloc(1, 1, 64, 8192, stack(0x400000), span);
  ring_.write(base_ + 2 * kMs, RecordKind::kCpu, 0, stack(0x410000), span,
              shm::CpuPayload{10 * kMs, 10 * kMs, 0, 0, 0});
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto arbitration = run.find_name("cam.arbitration");
  ASSERT_TRUE(arbitration);
  EXPECT_EQ(run.alloc({.span_name = arbitration}).size(), 1u);
  ASSERT_EQ(run.cpu({.span_name = arbitration}).size(), 1u);
  EXPECT_DOUBLE_EQ(run.cpu()[0].weight, 10e6);
  int rows = 0;
  run.each_cpu({}, [&](const run::CpuRow& row) {
    ++rows;
    EXPECT_NE(row.thread, run::kNoThread);
  });
  EXPECT_EQ(rows, 1);
  EXPECT_EQ(run.threads().at(0).tid, 4242);
}

TEST_F(DrainTest, SpansHaveHistogramsAttributesAndChangesInOrderOfTheirBeginnings) {
  const shm::NameId arbitration = name("cam.arbitration"), provider = name("provider"), cost = name("cost");
  const char* const providers[] = {"a", "a", "b", "a"};  // by begin time: two changes
  for (const int i : {0, 2, 1, 3}) {                     // ended in another order
    const shm::SpanId id = 0x10000u * static_cast<unsigned>(i + 1) + 1;
    const std::uint64_t begin = base_ + (10 + static_cast<std::uint64_t>(i)) * kMs;
    ring_.write(base_ + 50 * kMs, RecordKind::kSpan, 0, 0, id, shm::SpanPayload{0, begin, arbitration, 4242, 4242, 2});
    shm::AttributesPayload attributes{};
    attributes.attribute[0] = {provider, shm::AttributeType::kText, name(providers[i])};
    attributes.attribute[1] = {cost, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(0.25)};
    ring_.write(base_ + 50 * kMs, RecordKind::kSpanAttributes, 0, 0, id, attributes);
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto stats = run.span_stats();
  ASSERT_EQ(stats.size(), 1u);
  EXPECT_EQ(stats[0].spans, 4);
  EXPECT_EQ(stats[0].max_ns, static_cast<std::int64_t>(40 * kMs));
  EXPECT_EQ(run::Histogram::from_json(stats[0].latency)->count(), 4u);
  std::int64_t changes = 0;
  double costs = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) {
    changes += row.changes;
    costs += row.sum;
    if (row.text == "a") {
      EXPECT_EQ(row.spans, 3);
    }
  }
  EXPECT_EQ(changes, 2);
  EXPECT_DOUBLE_EQ(costs, 1.0);
  const auto spans = run.spans();
  ASSERT_EQ(spans.size(), 4u);
  EXPECT_EQ(spans[0].attributes, R"({"cost":0.25,"provider":"a"})");
}

TEST_F(DrainTest, ChangesAreCountedOfMoreSpansThanAreHeldBackForTheirOrder) {
  const shm::NameId arbitration = name("cam.arbitration"), provider = name("provider");
  const shm::NameId names[] = {name("a"), name("b")};
  constexpr std::uint64_t kSpans = 100'000, kAtATime = 100;
  static_assert(kSpans > drain::SpanDrain::kMostWaiting);
  for (std::uint64_t i = 0; i < kSpans; ++i) {
    const shm::SpanId id = 0x10000u * (i + 1) + 1;
    const std::uint64_t begin = base_ + i * kMs / 100;  // all within a second: 2 s are held back
    ring_.write(begin + kMs / 200, RecordKind::kSpan, 0, 0, id, shm::SpanPayload{0, begin, arbitration, 4242, 4242, 1});
    shm::AttributesPayload attributes{};
    attributes.attribute[0] = {provider, shm::AttributeType::kText, names[i % 2]};
    ring_.write(begin + kMs / 200, RecordKind::kSpanAttributes, 0, 0, id, attributes);
    if (i % kAtATime == kAtATime - 1) drain_->drain();
  }
  drain_->finish(0);
  run::Reader run = read();
  std::int64_t changes = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) changes += row.changes;
  EXPECT_EQ(changes, static_cast<std::int64_t>(kSpans) - 1);
}

TEST_F(DrainTest, DescriptorsOfASecondHaveRowsShorterOnesSums) {
  shm::Peer peer{};
  peer.family = AF_INET;
  peer.port = 8080;
  inet_pton(AF_INET, "127.0.0.1", peer.address);
  const auto open = [&](std::uint64_t at_ms, int fd, std::uint32_t generation, shm::DescriptorKind kind) {
    shm::OpenPayload payload{};
    payload.stands_for = 1;
    payload.fd = fd;
    payload.generation = generation;
    payload.peer = peer;
    payload.kind = kind;
    ring_.write(base_ + at_ms * kMs, RecordKind::kOpen, 0, stack(0x700000), 0, payload);
  };
  const auto close = [&](std::uint64_t at_ms, int fd, std::uint32_t generation) {
    ring_.write(base_ + at_ms * kMs, RecordKind::kClose, 0, 0, 0, shm::ClosePayload{fd, generation, 100, 200, 1, 2});
  };
  open(1, 7, 1, shm::DescriptorKind::kAccept);
  close(2, 7, 1);
  open(3, 7, 3, shm::DescriptorKind::kAccept);
  close(4, 7, 3);
  open(5, 8, 1, shm::DescriptorKind::kConnect);
  let_time_pass();
  close(1100, 8, 1);
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto sums = run.descriptor_sums();
  ASSERT_EQ(sums.size(), 1u);
  EXPECT_EQ(sums[0].kind, "accept");
  EXPECT_EQ(sums[0].peer, "127.0.0.1") << "the client's port is arbitrary";
  EXPECT_EQ(sums[0].opened, 2);
  EXPECT_EQ(sums[0].closed, 2);
  EXPECT_EQ(sums[0].write_bytes, 400);
  const auto rows = run.descriptors();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].kind, "connect");
  EXPECT_EQ(rows[0].peer, "127.0.0.1:8080");
  EXPECT_EQ(rows[0].closed_ns, static_cast<std::int64_t>(1100 * kMs));
  EXPECT_EQ(rows[0].read_bytes, 100);
}

// Of plain files that are opened often only some openings are captured.
TEST_F(DrainTest, AnOpeningThatWasCapturedStandsForThoseThatWereNot) {
  shm::OpenPayload payload{};
  payload.fd = 7;
  payload.generation = 1;
  payload.kind = shm::DescriptorKind::kFile;
  payload.stands_for = 64;
  ring_.write(base_ + kMs, RecordKind::kOpen, 0, stack(0x700000), 0, payload);
  ring_.write(base_ + 2 * kMs, RecordKind::kClose, 0, 0, 0, shm::ClosePayload{7, 1, 100, 0, 1, 0});
  payload.fd = 8;
  ring_.write(base_ + kMs, RecordKind::kOpen, 0, stack(0x700000), 0, payload);
  for (const int fd : {8, 9}) {
    shm::DescriptorEntry* entry = region_->descriptor(fd);
    ASSERT_NE(entry, nullptr);
    entry->kind = shm::DescriptorKind::kFile;
    entry->opened_ns = base_ - 2'000 * kMs;
    entry->stands_for = fd == 8 ? 64 : 0;
    entry->read_bytes = 30;
    entry->generation = 1;
  }
  drain_->drain();
  drain_->end_second(0);
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.descriptor_sums().size(), 1u);
  EXPECT_EQ(run.descriptor_sums()[0].opened, 64);
  EXPECT_EQ(run.descriptor_sums()[0].closed, 64);
  EXPECT_EQ(run.descriptor_sums()[0].read_bytes, 6'400);
  EXPECT_EQ(run.descriptor_sums()[0].read_ops, 64);
  ASSERT_EQ(run.descriptors().size(), 2u);
  for (const run::Descriptor& row : run.descriptors()) {
    EXPECT_EQ(row.stands_for, row.fd == 8 ? 64 : 0);
    EXPECT_EQ(row.stack == run::kUnknownStack, row.fd == 9);
    EXPECT_EQ(row.read_bytes, 30) << "of one descriptor: exact";
  }
}

TEST_F(DrainTest, CountersAreExactPerSecond) {
  shm::Lane* lane = region_->lane(lane_);
  auto& read_counter = lane->io[static_cast<std::uint32_t>(shm::IoKind::kSocketRead)];
  read_counter = {10, 1000, 1, 5000};
  lane->heap_allocs = 7;
  lane->heap_base = 4096;
  region_->count_loss(shm::Loss::kStackFull, 3);
  drain_->drain();
  drain_->end_second(0);
  read_counter = {15, 1700, 1, 6000};
  drain_->end_second(1);
  drain_->finish(0);
  run::Reader run = read();
  const auto io = run.io();
  ASSERT_EQ(io.size(), 2u);
  EXPECT_EQ(io[0].kind, "socket_read");
  EXPECT_EQ(io[0].bytes, 1000);
  EXPECT_EQ(io[1].ops, 5);
  EXPECT_EQ(io[1].bytes, 700);
  EXPECT_EQ(io[1].errors, 0);
  EXPECT_EQ(run.series("heap_allocated_bytes").at(0).value, 4096 - static_cast<double>(lane->heap_countdown));
  ASSERT_EQ(run.lost().size(), 1u);
  EXPECT_EQ(run.lost()[0].kind, "stack_full");
  EXPECT_EQ(run.lost()[0].records, 3);
}

TEST_F(DrainTest, MarksMappingsAndSettings) {
  ring_.write(base_ + kMs, RecordKind::kMark, 0, 0, 0, shm::MarkPayload{name("deployed"), {}});
  ring_.write(base_ + kMs, RecordKind::kMap, 0, stack(0x800000), 0, shm::MapPayload{0x7f0000000000, 1 << 20, 5, 0});
  ring_.write(base_ + 9 * kMs, RecordKind::kUnmap, 0, 0, 0, shm::MapPayload{0x7f0000000000, 1 << 20, 5, base_ + kMs});
  ring_.write(base_ + 2 * kMs, RecordKind::kSetting, 0, 0, 0,
              shm::SettingPayload{shm::Setting::kHeapInterval, 0, 16384, 8192, 0});
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.marks().size(), 1u);
  EXPECT_EQ(run.marks()[0].text, "deployed");
  EXPECT_EQ(run.marks()[0].source, "program");
  ASSERT_EQ(run.mappings().size(), 1u);
  EXPECT_EQ(run.mappings()[0].bytes, 1 << 20);
  EXPECT_EQ(run.mappings()[0].unmapped_ns, static_cast<std::int64_t>(9 * kMs));
  bool has_interval = false;
  for (const run::Setting& setting : run.settings())
    has_interval |= setting.name == "heap_interval_bytes" && setting.value == 16384;
  EXPECT_TRUE(has_interval);
}

// Texts are interned: however many spans carry one, it is read from the region once.
TEST_F(DrainTest, SpansOfTheSameTextsCostNoMoreReads) {
  const shm::NameId request = name("cam.request"), endpoint = name("endpoint"), status = name("status");
  shm::SpanId id = 0x10001;
  const auto spans = [&](int count) {
    for (int i = 0; i < count; ++i, id += 0x10000) {
      ring_.write(base_ + 5 * kMs, RecordKind::kSpan, 0, 0, id,
                  shm::SpanPayload{0, base_ + kMs, request, 4242, 4242, 2});
      shm::AttributesPayload attributes{};
      attributes.attribute[0] = {endpoint, shm::AttributeType::kText, name(i % 2 == 0 ? "/a" : "/b")};
      attributes.attribute[1] = {status, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(200.0)};
      ring_.write(base_ + 5 * kMs, RecordKind::kSpanAttributes, 0, 0, id, attributes);
    }
    const std::uint64_t before = drain_->region().reads();
    EXPECT_EQ(drain_->drain().records, 2u * static_cast<unsigned>(count));
    return drain_->region().reads() - before;
  };
  spans(10);
  EXPECT_EQ(spans(1000), spans(10));
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.span_stats().size(), 1u);
  EXPECT_EQ(run.span_stats()[0].spans, 1020);
  std::int64_t with_endpoint = 0, with_status = 0;
  double statuses = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) {
    (row.text.empty() ? with_status : with_endpoint) += row.spans;
    statuses += row.sum;
  }
  EXPECT_EQ(with_endpoint, 1020);
  EXPECT_EQ(with_status, 1020);
  EXPECT_DOUBLE_EQ(statuses, 1020 * 200.0);
}

TEST_F(DrainTest, OfManySpansTheFirstAndTheSlowestHaveRowsWhicheverRingTheyCameFrom) {
  const shm::NameId request = name("cam.request");
  shm::RingWriter other = region_.ring(region_->acquire_lane(4243, base_));
  // The second ring's ended sooner; its number 70 and the first one's 170 lasted longest.
  for (unsigned i = 0; i < 200; ++i) {
    const bool is_first = i >= 100;
    const std::uint64_t end = base_ + 100 * kMs + i * kMs / 10;
    const std::uint64_t lasted = i == 70 ? 90 * kMs : i == 170 ? 80 * kMs : kMs;
    (is_first ? ring_ : other)
        .write(end, RecordKind::kSpan, 0, 0, 0x10000u * (i + 1) + 1,
               shm::SpanPayload{0, end - lasted, request, 4242, 4242, 0});
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto spans = run.spans();
  ASSERT_EQ(spans.size(), SpanDrain::kFirstRows + SpanDrain::kSlowestRows);
  std::vector<std::int64_t> numbers;
  for (const run::Span& span : spans) numbers.push_back((span.span >> 16) - 1);
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(SpanDrain::kFirstRows); ++first)
    EXPECT_THAT(numbers, ::testing::Contains(first));
  EXPECT_THAT(numbers, ::testing::Contains(70));
  EXPECT_THAT(numbers, ::testing::Contains(170));
}

// What lies in a request comes from any ring, before or after it; of requests that were not chosen it is not kept.
TEST_F(DrainTest, ARequestThatIsKeptIsKeptWithAllInsideIt) {
  const shm::NameId request = name("cam.request"), call = name("cam.call"), part = name("cam.part"),
                    key = name("traceparent");
  shm::RingWriter other = region_.ring(region_->acquire_lane(4243, base_));
  const auto id = [](unsigned number) { return 0x10000u * number + 1; };
  for (unsigned i = 0; i < 100; ++i) {
    const std::uint64_t end = base_ + 100 * kMs + i * kMs;
    const std::uint64_t begin = end - (i == 60 ? 90 : 2) * kMs;
    shm::RingWriter& ring = i % 2 == 0 ? ring_ : other;  // which is read before and after the request's own
    ring.write(end - 2, RecordKind::kSpan, 0, 0, id(1000 + i),
               shm::SpanPayload{id(2000 + i), begin + 1, part, 4243, 4243, 0});
    ring.write(end - 1, RecordKind::kSpan, 0, 0, id(2000 + i),
               shm::SpanPayload{id(1 + i), begin + 1, call, 4243, 4243, 3});
    ring.write(end - 1, RecordKind::kSpanAttributes, 0, 0, id(2000 + i),
               shm::AttributesPayload{
                   {{key, shm::AttributeType::kTraceHigh, 0x10 + i}, {key, shm::AttributeType::kTraceLow, 0xab}}});
    ring.write(end - 1, RecordKind::kSpanAttributes, 0, 0, id(2000 + i),
               shm::AttributesPayload{{{key, shm::AttributeType::kTraceSpan, 0xc}, {}}});
    ring_.write(end, RecordKind::kSpan, 0, 0, id(1 + i), shm::SpanPayload{0, begin, request, 4242, 4242, 0});
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  std::map<std::int64_t, std::vector<std::string>> inside;
  std::map<std::int64_t, std::int64_t> parents;
  for (const run::Span& span : run.spans()) parents[span.span] = span.parent;
  for (const run::Span& span : run.spans()) {
    if (span.span == id(2060)) {
      EXPECT_EQ(span.attributes, R"({"traceparent":"00-000000000000004c00000000000000ab-000000000000000c-00"})");
    }
    if (span.parent == 0) {
      inside[span.span];
      continue;
    }
    const auto above = parents.find(span.parent);
    const std::int64_t root = above == parents.end() || above->second == 0 ? span.parent : above->second;
    if (parents.contains(root)) inside[root].push_back(run.name(span.name));
  }
  ASSERT_EQ(inside.size(), SpanDrain::kFirstRows + SpanDrain::kSlowestRows);
  EXPECT_THAT(inside, ::testing::Contains(::testing::Key(id(61))));
  for (const auto& [request_id, names] : inside)
    EXPECT_THAT(names, ::testing::UnorderedElementsAre("cam.call", "cam.part")) << (request_id >> 16);
  for (const run::SpanAttribute& row : run.span_attributes()) EXPECT_NE(run.name(row.key), "traceparent");
}

TEST_F(DrainTest, TheLiveTableIsReadOnlyWhereRecordsDoNotAddUpToIt) {
  const shm::StackId here = stack(0x600000);
  const auto insert = [&](std::uint64_t sample) {
    shm::LiveSample live{};
    live.size = 1024;
    live.sample = sample;
    live.born_ns = base_ + kMs;
    live.interval = 8192;
    live.stack = here;
    live.tid = 4242;
    ASSERT_TRUE(region_->live().insert(0x7f0000000000 + sample * 4096, live));
  };
  std::int64_t second = 10;
  const auto reads_of_a_second = [&] {
    drain_->drain();
    const std::uint64_t before = drain_->region().reads();
    drain_->end_second(second++);
    return drain_->region().reads() - before;
  };
  for (std::uint64_t sample = 1; sample <= 50; ++sample) {
    insert(sample);
    alloc(1, sample, 1024, 8192, here);
  }
  reads_of_a_second();
  const std::uint64_t quiet = reads_of_a_second();
  EXPECT_EQ(reads_of_a_second(), quiet);
  usleep(1'100'000);  // what the table has and no record told of is believed once it is a second old
  insert(51);
  EXPECT_GT(reads_of_a_second(), quiet) << "the count does not agree: it is compared";
  EXPECT_EQ(reads_of_a_second(), quiet) << "and now it agrees again";
  drain_->finish(0);
  run::Reader run = read();
  EXPECT_EQ(run.heap_objects().size(), 51u);
  const auto live = run.series("heap_live_objects");
  ASSERT_EQ(live.size(), 6u) << "the end, which is at the clock's second, and five seconds";
  for (std::size_t i = 1; i <= 3; ++i) EXPECT_NEAR(live[i].value, 50 * weigh(1024, 8192).objects, 1e-6);
  for (const std::size_t i : {0, 4, 5}) EXPECT_NEAR(live[i].value, 51 * weigh(1024, 8192).objects, 1e-6);
}

TEST_F(DrainTest, CountersOfOpenDescriptorsAreWrittenNowAndThenAndExactAtTheEnd) {
  for (const int fd : {3, 4, 5, 6}) {
    shm::DescriptorEntry* entry = region_->descriptor(fd);
    ASSERT_NE(entry, nullptr);
    entry->kind = shm::DescriptorKind::kAccept;
    entry->opened_ns = base_ - 2'000 * kMs;
    entry->generation = 1;
  }
  for (std::int64_t second = 0; second < 25; ++second) {
    for (const int fd : {3, 4, 5, 6}) region_->descriptor(fd)->read_bytes += 100;
    drain_->end_second(second);
    if (second == 15) {
      ASSERT_TRUE(writer_->flush());
      auto reader = run::Reader::open(path_);
      ASSERT_TRUE(reader);
      for (const run::Descriptor& row : reader->descriptors()) {
        EXPECT_LE(row.read_bytes, 1600);
        EXPECT_GE(row.read_bytes, 600) << "not older than ten seconds";
      }
    }
  }
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.descriptors().size(), 4u);
  for (const run::Descriptor& row : run.descriptors()) EXPECT_EQ(row.read_bytes, 2500);
}

// What a hostile or torn target might write: nothing of it may be booked, crash, or grow memory.
TEST_F(DrainTest, NonsenseIsCountedNotBelieved) {
  ring_.write(~std::uint64_t{0}, RecordKind::kAlloc, 0, 1, 0, shm::AllocPayload{1, 1, 1, 1});  // the far future
  ring_.write(1, RecordKind::kCpu, 0, 1, 0, shm::CpuPayload{1, 1, 1, 1, 1});                   // before the region
  ring_.write(base_ + kMs, RecordKind::kAlloc, 0, 0xfffffff0, ~std::uint64_t{0},
              shm::AllocPayload{1, ~std::uint64_t{0}, 1, ~std::uint64_t{0}});
  ring_.write(base_ + kMs, RecordKind::kFree, 0xffff, 0xfffffff0, 0,
              shm::FreePayload{~std::uint64_t{0}, 2, 1, ~std::uint64_t{0}});
  ring_.write(base_ + kMs, RecordKind::kSpan, 0, 0, 5,
              shm::SpanPayload{0, ~std::uint64_t{0}, 0xfffffff0, 1, 1, 0xffffffff});
  ring_.write(base_ + kMs, RecordKind::kSpanAttributes, 0, 0, 5,
              shm::AttributesPayload{{{0xfffffff0, static_cast<shm::AttributeType>(99), 7},
                                      {1, shm::AttributeType::kText, ~std::uint64_t{0}}}});
  ring_.write(base_ + kMs, RecordKind::kOpen, 0, 0, 0,
              shm::OpenPayload{-5, 1, {}, static_cast<shm::DescriptorKind>(200), 0, 65535});
  ring_.write(base_ + kMs, RecordKind::kClose, 0, 0, 0, shm::ClosePayload{1 << 30, 9, 1, 1, 1, 1});
  ring_.write(base_ + kMs, RecordKind::kMark, 0, 0, 0, shm::MarkPayload{0xfffffff0, {}});
  ring_.write(base_ + kMs, RecordKind::kSetting, 0, 0, 0,
              shm::SettingPayload{static_cast<shm::Setting>(77), 0, 1, 0, 0});
  for (int round = 0; round < 3; ++round) {
    drain_->drain();
    drain_->end_second(round);
  }
  drain_->finish(0);
  run::Reader run = read();
  EXPECT_TRUE(run.cpu().empty());
  std::int64_t torn = 0;
  for (const run::Lost& lost : run.lost()) torn += lost.kind == "torn" ? lost.records : 0;
  EXPECT_EQ(torn, 2);
  for (const run::StackWeight& row : run.alloc()) EXPECT_TRUE(std::isfinite(row.weight));
  EXPECT_FALSE(run.error());
}

TEST_F(DrainTest, NothingEndsBeforeItBeginsOrBeginsInTheFuture) {
  const std::uint64_t ahead = shm::monotonic_ns() - base_ + 900 * kMs;  // as far as a record's time is believed
  const shm::Peer none{};
  ring_.write(base_ + ahead, RecordKind::kOpen, 0, 0, 0,
              shm::OpenPayload{5, 1, none, shm::DescriptorKind::kFile, 0, 1});
  ring_.write(base_ + ahead, RecordKind::kMap, 0, 0, 0, shm::MapPayload{0x7f0000000000, 1 << 20, 5, 0});
  ring_.write(base_ + kMs, RecordKind::kUnmap, 0, 0, 0, shm::MapPayload{0x7f0000000000, 1 << 20, 5, 0});
  ring_.write(base_ + kMs, RecordKind::kFree, 0, 0, 0, shm::FreePayload{64, 9, 4096, ~std::uint64_t{0}});
  ring_.write(base_ + kMs, RecordKind::kSpan, 0, 0, 1 << 16 | 1, shm::SpanPayload{0, 0, name("old"), 1, 1, 0});
  region_->lane(lane_)->tid = 77;
  region_->lane(lane_)->began_ns = ~std::uint64_t{0};
  shm::ModuleEntry* module = region_->claim_module();
  module->opened_ns = ~std::uint64_t{0};
  module->closed_ns = 1;
  module->state = 2;
  for (std::int64_t second = 0; second < 4; ++second) {
    drain_->drain();
    drain_->end_second(second);
  }
  const auto end_ns = static_cast<std::int64_t>(drain_->finish(0) - base_);
  run::Reader run = read();
  const auto latest = std::max<std::int64_t>(end_ns, static_cast<std::int64_t>(ahead + kMs));
  for (const run::Thread& thread : run.threads()) {
    EXPECT_LE(thread.began_ns, latest);
    EXPECT_LE(thread.began_ns, thread.ended_ns.value_or(run::kEver));
  }
  ASSERT_EQ(run.modules().size(), 1u);
  EXPECT_LE(run.modules()[0].opened_ns, latest);
  EXPECT_LE(run.modules()[0].opened_ns, run.modules()[0].closed_ns.value_or(0));
  for (const run::Descriptor& descriptor : run.descriptors())
    EXPECT_LE(descriptor.opened_ns, descriptor.closed_ns.value_or(run::kEver));
  ASSERT_EQ(run.mappings().size(), 1u);
  EXPECT_LE(run.mappings()[0].mapped_ns, run.mappings()[0].unmapped_ns.value_or(run::kEver));
  for (const run::HeapObject& object : run.heap_objects())
    EXPECT_LE(object.born_ns, object.died_ns.value_or(run::kEver));
  ASSERT_EQ(run.spans().size(), 1u);
  EXPECT_GE(run.spans()[0].began_ns, 0) << "no span is older than its region";
}

TEST_F(DrainTest, CountsAndDurationsBeyondAllMeasureDoNotStopTheRecording) {
  const shm::NameId key = name("cost"), span = name("call");
  for (const double value : {1.7e308, 1.7e308, -1.7e308, -1.7e308, -1.7e308}) {
    ring_.write(base_ + kMs, RecordKind::kSpan, 0, 0, 1 << 16 | 1, shm::SpanPayload{0, base_, span, 1, 1, 1});
    ring_.write(base_ + kMs, RecordKind::kSpanAttributes, 0, 0, 1 << 16 | 1,
                shm::AttributesPayload{{{key, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(value)}, {}}});
  }
  for (std::uint64_t round = 1; round < 6; ++round) {
    for (shm::IoCounter& io : region_->lane(lane_)->io) io = {round << 61, round << 61, round << 61, round << 61};
    region_->header()->lost[0] = round << 61;
    drain_->drain();
    drain_->end_second(1);
    ASSERT_TRUE(writer_->flush());
  }
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_FALSE(run.io().empty());
  for (const run::IoRow& row : run.io()) EXPECT_GT(row.bytes, 0);
  for (const run::Lost& lost : run.lost()) EXPECT_GT(lost.records, 0);
  EXPECT_EQ(run.span_stats().size(), 1u);
  EXPECT_FALSE(run.error());
}

}  // namespace
}  // namespace camprobe::drain
