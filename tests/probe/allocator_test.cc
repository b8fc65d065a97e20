// tests/probe/allocator_test.cc
//
// What the probe has of the allocator's own figures, against a heap known by construction; and that asking for them
// blocks nobody: in handlers, in forks, in copies of the process, under each allocator.
//
// How long each of the hammers goes on: CAMPROBE_HAMMER_MS (the long test; 150 by default).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

using shm::AllocatorKind;
using shm::kUnknownBytes;

struct Allocator {
  const char* name;
  const char* file;  // empty: the C library's
  AllocatorKind kind;
};

class Allocators : public testing::TestWithParam<Allocator> {
 protected:
  void SetUp() override {
    if (*GetParam().file == '\0') return;
    const std::string path = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/" + GetParam().file;
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not installed";
    preload_ = "@:" + path;
  }
  // Kept from giving freed memory back on their own account, so that it is known where it is.
  Program program(const std::string& what, const std::string& ms = "0") const {
    return {.arguments = {CAMPROBE_ALLOCATING, what, ms},
            .environment = {{"TCMALLOC_RELEASE_RATE", "0"},
                            {"MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1"},
                            {"CAMPROBE_HEAP_INTERVAL", "4096"},
                            {"CAMPROBE_CPU_HZ", "997"}},
            .preload = preload_,
            .seconds = 40};
  }
  static std::string hammer_ms() {
    const char* asked = std::getenv("CAMPROBE_HAMMER_MS");
    return asked != nullptr ? asked : "150";
  }
  std::string preload_ = "@";
};

constexpr double kMiB = 1 << 20;

TEST_P(Allocators, SayWhatTheyKeep) {
  const Probed probed(program("retain"));
  ASSERT_EQ(probed.status, 0) << probed.err;
  const auto status = probed.region().status();
  ASSERT_TRUE(status && status->allocator);
  const shm::ReadAllocator& allocator = *status->allocator;
  EXPECT_EQ(allocator.kind, GetParam().kind);
  EXPECT_FALSE(allocator.is_too_dear);
  EXPECT_GT(allocator.read_ns, probed.region().info().created_ns);
  EXPECT_GT(allocator.cost_ns, 0u);
  const double live = probed.printed("live"), freed = probed.printed("freed"), resident = probed.printed("resident");
  const shm::AllocatorFigures& bytes = allocator.figures;
  // Headers, sizes rounded up (4,000 to 4,096) and half-empty slabs: an eighth at most; and half a MiB of everything
  // else.
  EXPECT_NEAR(static_cast<double>(bytes.held), live + freed, (live + freed) / 8 + kMiB);
  EXPECT_LT(static_cast<double>(bytes.held), 1.1 * resident + 4 * kMiB);
  if (GetParam().kind == AllocatorKind::kMimalloc) {
    EXPECT_EQ(bytes.in_use, kUnknownBytes);
    return;
  }
  EXPECT_NEAR(static_cast<double>(bytes.in_use), live, live / 8 + kMiB);
  const double cached = bytes.cached == kUnknownBytes ? 0 : static_cast<double>(bytes.cached);
  EXPECT_NEAR(static_cast<double>(bytes.free) + cached, freed, freed / 8 + kMiB);
}

TEST_P(Allocators, AreNotAskedInHandlersThatInterruptThem) {
  Program interrupted = program("interrupted", hammer_ms());
  interrupted.environment["CAMPROBE_HEAP_INTERVAL"] = "0";  // what allocates passes no slow path
  const Probed probed(interrupted);
  ASSERT_EQ(probed.status, 0) << "signal " << probed.signal << "; " << probed.err;
  EXPECT_GT(probed.printed("children"), 3);
  EXPECT_EQ(probed.printed("failed"), 0);
  EXPECT_TRUE(probed.region().status()->allocator) << "where it does nothing else the program is asked";
}

TEST_P(Allocators, AreNotLeftLockedByHandlersThatJump) {
  const Probed probed(program("jumps", hammer_ms()));
  ASSERT_EQ(probed.status, 0) << "signal " << probed.signal << "; " << probed.err;
  EXPECT_GE(probed.printed("handled"), 20);
  EXPECT_TRUE(probed.region().status()->allocator);
}

TEST_P(Allocators, AreAskedInForkedChildrenButNeverInOtherCopies) {
  const Probed probed(program("forks", hammer_ms()));
  ASSERT_EQ(probed.status, 0) << "signal " << probed.signal << "; " << probed.err;
  EXPECT_GE(probed.printed("children"), 4);
  EXPECT_EQ(probed.printed("failed"), 0);
  int asked = 0, not_asked = 0;
  for (const std::string& path : probed.regions()) {
    std::string error;
    auto region = shm::RegionReader::open(path, &error);
    ASSERT_TRUE(region) << error;
    if (region->info().pid == static_cast<std::uint32_t>(probed.pid)) continue;
    (region->status()->allocator ? asked : not_asked) += 1;
  }
  EXPECT_GT(asked, 0);
  EXPECT_GT(not_asked, 0);
}

INSTANTIATE_TEST_SUITE_P(Of, Allocators,
                         testing::Values(Allocator{"Glibc", "", AllocatorKind::kGlibc},
                                         Allocator{"Tcmalloc", "libtcmalloc_minimal.so.4", AllocatorKind::kTcmalloc},
                                         Allocator{"Jemalloc", "libjemalloc.so.2", AllocatorKind::kJemalloc},
                                         Allocator{"Mimalloc", "libmimalloc.so.2", AllocatorKind::kMimalloc}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace camprobe::tests
