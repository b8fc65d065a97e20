// tests/sampler/unwind_unloading_test.cc
//
// The walker while modules come and go: what it knew of one must not be used for another that takes its address, and a
// module that is being unloaded must not be read.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "sampler/unwind_modules.h"
#include "tests/sampler/unwind_fixture.h"
#include "tests/sampler/unwind_functions.h"

namespace camprobe::sampler {
namespace {

using Through = void (*)(Visit, void*);

TEST_F(UnwindTest, WalksWhatItKnowsWhileAModuleIsUnloaded) {
  void* plugin = dlopen(CAMPROBE_TEST_PLUGIN_LARGE, RTLD_NOW);
  ASSERT_NE(plugin, nullptr) << dlerror();
  const auto through = reinterpret_cast<Through>(dlsym(plugin, "camprobe_test_through"));
  EXPECT_TRUE(module_closing_begin());
  through(visit, nullptr);
  const Stack unknown = both.ours;
  module_closing_end();
  EXPECT_EQ(unknown.end, WalkEnd::closing) << "the plugin may be what goes, and its pc was not met before";
  EXPECT_GE(unknown.depth, 1u);
  through(visit, nullptr);
  EXPECT_AGREEMENT(both);
  EXPECT_TRUE(module_closing_begin());
  through(visit, nullptr);
  module_closing_end();
  EXPECT_AGREEMENT(both);
  dlclose(plugin);
}

TEST_F(UnwindTest, WalksWhatStaysWhileAModuleIsUnloaded) {
  if (CAMPROBE_TEST_INSTRUMENTED)
    GTEST_SKIP() << "the sanitizer's qsort() lies between, in a library that may be what goes";
  module_closing_begin();
  module_closing_end();  // forget every rule
  EXPECT_TRUE(module_closing_begin());
  from_qsort(visit, nullptr);  // through the program and the C library
  module_closing_end();
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, GivesUpWaitingForAReaderThatDoesNotMove) {
  {
    const ModuleReader stuck;
    EXPECT_TRUE(stuck.may_read());
    EXPECT_FALSE(module_closing_begin());
    const ModuleReader late;
    EXPECT_FALSE(late.may_read());
    module_closing_end();
  }
  EXPECT_TRUE(module_closing_begin());
  module_closing_end();
}

TEST_F(UnwindTest, ForgetsTheParentsWalkersInAForkedChild) {
  const ModuleReader of_the_parent;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    forget_walkers_after_fork();
    _exit(module_closing_begin() ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(UnwindTest, WalksAModuleThatTakesAnothersAddress) {
  // Two modules of one layout but other frames, loaded in turn where the other was: stale rules would go astray.
  const std::string paths[] = {CAMPROBE_TEST_PLUGIN_SMALL, CAMPROBE_TEST_PLUGIN_LARGE};
  std::uintptr_t addresses[2] = {};
  for (int i = 0; i < 40; ++i) {
    void* plugin = dlopen(paths[i % 2].c_str(), RTLD_NOW);
    ASSERT_NE(plugin, nullptr) << dlerror();
    void* symbol = dlsym(plugin, "camprobe_test_through");
    ASSERT_NE(symbol, nullptr);
    addresses[i % 2] = reinterpret_cast<std::uintptr_t>(symbol);
    reinterpret_cast<Through>(symbol)(visit, nullptr);
    EXPECT_EQ(both.ours.end, WalkEnd::root);
    EXPECT_EQ(both.ours.frames(), both.theirs.frames());
    module_closing_begin();
    dlclose(plugin);
    module_closing_end();
  }
  EXPECT_EQ(addresses[0], addresses[1]) << "the loader did not reuse the address: this test tested nothing";
}

TEST_F(UnwindTest, WalksWhileOthersLoadAndUnload) {
  std::atomic<bool> stop{false};
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> walks{0};
  std::vector<std::thread> walkers;
  for (int i = 0; i < 3; ++i) {
    walkers.emplace_back([&] {
      struct Mine {
        std::uintptr_t out[kMostFrames];
        StackBounds bounds = bounds_of_this_thread();
        Walk walk;
      } mine;
      while (!stop.load(std::memory_order_relaxed)) {
        recurse(
            20,
            [](void* argument) {
              Mine* mine = static_cast<Mine*>(argument);
              mine->walk = walk_here(mine->out, kMostFrames, mine->bounds, 0);
              asm volatile("" : : : "memory");
            },
            &mine);
        walks.fetch_add(1, std::memory_order_relaxed);
        if (mine.walk.end != WalkEnd::root && mine.walk.end != WalkEnd::closing) wrong.fetch_add(1);
      }
    });
  }
  int given_up = 0;
  // On a busy machine the walkers may not have begun before the first two hundred are over.
  for (int i = 0; i < 200 || (walks.load() <= 100 && i < 100'000); ++i) {
    void* plugin = dlopen(CAMPROBE_TEST_PLUGIN_LARGE, RTLD_NOW);
    ASSERT_NE(plugin, nullptr);
    reinterpret_cast<Through>(dlsym(plugin, "camprobe_test_through"))([](void*) {}, nullptr);
    given_up += !module_closing_begin();
    dlclose(plugin);
    module_closing_end();
  }
  stop = true;
  for (auto& walker : walkers) walker.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(walks.load(), 100u);
  EXPECT_LE(given_up, 2) << "a reader may lose the processor for a tenth of a second, but not often";
}

}  // namespace
}  // namespace camprobe::sampler
