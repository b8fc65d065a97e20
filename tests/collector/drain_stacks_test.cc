// tests/collector/drain_stacks_test.cc
//
// A region's ids of stacks become the run's: the same stack one row, though the region forgets it and gives it another
// id; the same id two rows, where another module was loaded in between.
#include <algorithm>

#include "tests/collector/drain_fixture.h"

namespace camprobe::drain {
namespace {

constexpr std::uint64_t kMinute = 60'000 * kMs;
constexpr std::uint64_t kInstruction = 0x401004;

class DrainStacks : public DrainTest {
 protected:
  shm::StackId callers(std::uint64_t now_ns) {
    std::uintptr_t frames[] = {0x401200, 0x401300, 0};
    return region_->intern_sample_in_place(frames, 2, true, now_ns);
  }
  void sample(shm::StackId callers, std::uint64_t at_ms) {
    ring_.write(base_ + at_ms * kMs, shm::RecordKind::kCpu, 0, callers, 0, shm::CpuPayload{10, 10, kInstruction, 0, 0});
    let_time_pass();
    drain_->drain();
  }
  void alloc_and_drain(shm::StackId stack, std::uint64_t at_ms, std::uint64_t number) {
    alloc(at_ms, number, 64, 4096, stack);
    let_time_pass();
    drain_->drain();
  }
  void load(const char* path, std::uint64_t at_ms) {
    shm::ModuleEntry* module = region_->claim_module();
    module->path = name(path);
    module->base = 0x400000;
    module->low = 0x401000;
    module->high = 0x402000;
    module->opened_ns = base_ + at_ms * kMs;
    module->state = 1;
    module_ = module;
  }
  void unload(std::uint64_t at_ms) {
    module_->closed_ns = base_ + at_ms * kMs;
    module_->state = 2;
  }

  shm::ModuleEntry* module_ = nullptr;
};

TEST_F(DrainStacks, AStackThatTheRegionForgotIsTheSameOneInTheRun) {
  const shm::StackId first = callers(kMinute);
  sample(first, 1);
  const shm::StackId second = callers(20 * kMinute);
  ASSERT_NE(first, second);
  sample(second, 2);
  sample(first, 3);  // written late, by a thread that was stopped
  sample(callers(40 * kMinute), 4);
  drain_->finish(0);
  run::Reader run = read();
  const auto cpu = run.cpu();
  ASSERT_EQ(cpu.size(), 1u);
  EXPECT_EQ(cpu[0].samples, 4);
}

TEST_F(DrainStacks, OneThatCannotBeReadAnyMoreIsUnknownAndNotAnother) {
  const shm::StackId first = callers(kMinute);
  callers(20 * kMinute);
  callers(40 * kMinute);  // in the first one's table
  sample(first, 1);
  drain_->finish(0);
  run::Reader run = read();
  const auto cpu = run.cpu();
  ASSERT_EQ(cpu.size(), 1u);
  EXPECT_EQ(cpu[0].samples, 1);
  EXPECT_EQ(cpu[0].stack, run::kUnknownStack);
}

TEST_F(DrainStacks, AddressesOfAModuleThatWentAreNotThoseOfTheNextOne) {
  const std::uintptr_t frames[] = {0x401100, 0x401200};
  const shm::StackId stack = region_->intern_stack(frames, 2, true);
  load("/nowhere/first.so", 0);
  const shm::StackId of_sample = callers(kMinute);
  sample(of_sample, 1);
  alloc_and_drain(stack, 1, 1);
  unload(5);
  load("/nowhere/second.so", 10);
  sample(of_sample, 20);
  alloc_and_drain(stack, 20, 2);
  alloc_and_drain(stack, 4, 3);  // told late: still the first one's
  sample(of_sample, 21);
  drain_->finish(0);
  run::Reader run = read();
  EXPECT_EQ(run.cpu().size(), 2u);
  const auto allocated = run.alloc();
  ASSERT_EQ(allocated.size(), 2u);
  EXPECT_EQ(allocated[0].samples + allocated[1].samples, 3);
  EXPECT_EQ(std::max(allocated[0].samples, allocated[1].samples), 2) << "by weight: the first module's";
}

TEST_F(DrainStacks, AModuleThatComesBackToItsPlaceKeepsItsStacks) {
  const shm::StackId of_sample = callers(kMinute);
  load("/nowhere/plugin.so", 0);
  sample(of_sample, 1);
  unload(5);
  load("/nowhere/plugin.so", 10);
  sample(of_sample, 20);
  drain_->finish(0);
  run::Reader run = read();
  EXPECT_EQ(run.cpu().size(), 1u);
}

}  // namespace
}  // namespace camprobe::drain
