// tests/probe/unload_test.cc
//
// A program that loads and unloads modules at one address while it is sampled as densely as can be: no sample crashes
// it, and no stack holds a return address of a module that was not loaded then, or a frame stepped over by the rules of
// the module that was there before.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

TEST(Unload, NoStackHoldsAFrameOfTheModuleThatWasThereBefore) {
  Probed probed({.arguments = {CAMPROBE_UNLOAD_TARGET, CAMPROBE_UNLOAD_MODULE_0, CAMPROBE_UNLOAD_MODULE_1, "6"},
                 .environment = {{"CAMPROBE_CPU_HZ", "4000"}, {"CAMPROBE_HEAP_INTERVAL", "4KiB"}},
                 .seconds = 60});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.err << probed.out;  // its own
  const auto which = probed.all_printed("which"), opened = probed.all_printed("opened"),
             closed = probed.all_printed("closed"), returns = probed.all_printed("return");
  ASSERT_GT(which.size(), 20u);
  ASSERT_EQ(returns.size(), which.size());
  // Else nothing was tested: the modules have to take each other's place, and to differ.
  const std::set<double> distinct(returns.begin(), returns.end());
  ASSERT_EQ(distinct.size(), 2u) << "the loader did not reuse the address";
  // The code of the C run-time's start files before it has no call frame information.
  const auto function = static_cast<std::uintptr_t>(probed.printed("function"));
  constexpr std::uintptr_t kModuleSize = 4 << 10, kFunctionSize = 31;
  const auto low = static_cast<std::uintptr_t>(*distinct.begin()) & ~(kModuleSize - 1);
  const auto is_in_module = [&](std::uintptr_t pc) { return pc >= low && pc < low + kModuleSize; };

  auto region = probed.region();
  // The frame behind the module's is the call in call_module_0 or call_module_1.
  std::set<std::uintptr_t> callers[2];
  unsigned in_module[2] = {}, from_timer = 0, outside = 0, misled = 0, cut = 0;
  for (const auto& event : events_of(region)) {
    const bool is_timer = event.record.kind == shm::RecordKind::kCpu;
    if (!is_timer && event.record.kind != shm::RecordKind::kAlloc) continue;
    const auto stack = region.stack_of(event.record);
    ASSERT_TRUE(stack);
    const auto& frames = stack->frames;
    const auto found = std::find_if(frames.begin(), frames.end(), is_in_module);
    if (event.lane.name == "misleading") {
      misled += found != frames.end();
      continue;
    }
    if (found == frames.end()) {
      ++outside;
      continue;
    }
    ASSERT_EQ(static_cast<double>(event.lane.tid), probed.printed("main")) << "another thread's stack cannot hold it";
    // The visit that this moment belongs to.
    const auto time = static_cast<double>(event.record.time_ns);
    const auto visit =
        static_cast<std::size_t>(std::upper_bound(opened.begin(), opened.end(), time) - opened.begin()) - 1;
    ASSERT_LT(visit, which.size());
    ASSERT_LE(time, closed[visit]) << "no module was loaded then";
    const int module = static_cast<int>(which[visit]);
    // A stack from the start files' code says that it was cut.
    if (found + 1 == frames.end()) {
      EXPECT_FALSE(stack->complete);
      EXPECT_TRUE(*found < function || *found > function + kFunctionSize) << *found - low;
      ++cut;
      continue;
    }
    const bool is_leaf = is_timer && found == frames.begin();
    if (!is_leaf && *found >= function) {
      EXPECT_EQ(static_cast<double>(*found), returns[visit]) << "a return address of the other module";
    }
    if (!is_in_module(found[1])) {  // an initializer of the module is no visit
      callers[module].insert(found[1]);
    }
    EXPECT_TRUE(stack->complete);
    ++in_module[module];
    from_timer += is_timer;
  }
  std::printf("%zu loads; %u + %u stacks in the modules, %u of them from the timer; %u elsewhere, %u misled, %u cut\n",
              which.size(), in_module[0], in_module[1], from_timer, outside, misled, cut);
  EXPECT_GT(in_module[0], 50u);
  EXPECT_GT(in_module[1], 50u);
  EXPECT_GT(from_timer, 10u);
  EXPECT_GT(misled, 0u) << "the misleading thread misled nobody: the race was not run";
  EXPECT_EQ(callers[0].size(), 1u);
  EXPECT_EQ(callers[1].size(), 1u);
  EXPECT_NE(callers[0], callers[1]);
}

}  // namespace
}  // namespace camprobe::tests
