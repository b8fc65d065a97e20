// What becomes of heap, CPU, descriptor, counter and other records of a region.
#include <arpa/inet.h>

#include <cmath>
#include <map>
#include <set>

#include "tests/collector/drain_fixture.h"

namespace camprobe::drain {
namespace {

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

}  // namespace
}  // namespace camprobe::drain
