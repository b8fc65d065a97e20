// What a hostile or torn target might write: nothing of it may be booked, crash, or grow memory.
#include <bit>
#include <cmath>

#include "tests/collector/drain_fixture.h"

namespace camprobe::drain {
namespace {

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
