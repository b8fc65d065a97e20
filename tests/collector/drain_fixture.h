// tests/collector/drain_fixture.h: a region that a test writes as the probe would, and the run that draining it makes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "collector/drain/region_drain.h"
#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"
#include "tests/shm/test_region.h"

namespace camprobe::drain {

using shm::RecordKind;

inline constexpr std::uint64_t kMs = 1'000'000;

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

}  // namespace camprobe::drain
