// tests/probe/heap_test.cc
//
// The heap family on a real program: exact counters, unbiased estimates, and what is live.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

using shm::RecordKind;

struct HeapTotals {
  std::uint64_t allocs = 0, frees = 0, bytes = 0;
};
HeapTotals totals_of(const shm::RegionReader& region) {
  HeapTotals totals;
  for (const auto& lane : region.lanes()) {
    totals.allocs += lane.heap_allocs;
    totals.frees += lane.heap_frees;
    totals.bytes += lane.heap_bytes;
  }
  const auto status = region.status();
  totals.allocs += status->stray_allocs;
  totals.frees += status->stray_frees;
  totals.bytes += status->stray_bytes;
  return totals;
}

std::set<std::uint64_t> live_addresses(const shm::RegionReader& region) {
  std::set<std::uint64_t> found;
  for (const auto& live : region.live_samples())
    if (!live.is_mapping) found.insert(live.address);
  return found;
}

std::uint64_t address_printed(const Probed& probed, const std::string& name) {
  return static_cast<std::uint64_t>(probed.printed(name));
}

// At this interval an allocation of 40,000 bytes is sampled always (probability 1 - e^-625).
const std::map<std::string, std::string> kSampleAll = {{"CAMPROBE_HEAP_INTERVAL", "64"}};

void expect_exact(const std::string& interval, const std::string& preload = "@") {
  const std::uint64_t threads = 8, count = 2000;
  const auto run = [&](std::uint64_t each) {
    Probed probed({.arguments = {target(), "exact", std::to_string(threads), std::to_string(each)},
                   .environment = {{"CAMPROBE_HEAP_INTERVAL", interval}},
                   .preload = preload});
    EXPECT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    return totals_of(probed.region());
  };
  const HeapTotals none = run(0), some = run(count);
  // malloc, realloc, calloc, posix_memalign, new[]: five allocations and five frees a round. The vectors that hold the
  // blocks are empty in the first run.
  const std::uint64_t vectors = threads;
  EXPECT_EQ(some.allocs - none.allocs, threads * count * 5 + vectors) << "interval " << interval;
  EXPECT_EQ(some.frees - none.frees, threads * count * 5 + vectors) << "interval " << interval;
  const std::uint64_t malloc_bytes = threads * (count / 8) * (24 + 25 + 26 + 27 + 28 + 29 + 30 + 31);
  EXPECT_EQ(some.bytes - none.bytes, malloc_bytes + threads * count * (100 + 100 + 256 + 77) + vectors * count * 8)
      << "interval " << interval;
}

TEST(Heap, CountersEqualTheTruthOnManyThreads) {
  expect_exact("0");
  expect_exact("64");
  expect_exact("auto");
}

TEST(Heap, CountersEqualTheTruthOverOtherAllocators) {
  int allocators = 0;
  for (const char* name : {"libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"}) {
    const std::string path = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/" + name;
    if (!std::filesystem::exists(path)) continue;
    ++allocators;
    SCOPED_TRACE(name);
    expect_exact("4KiB", "@:" + path);
  }
  if (allocators == 0) GTEST_SKIP() << "no other allocator is installed";
}

TEST(Heap, ThreadsBeyondTheLastLaneAreCountedToo) {
  const auto run = [](const char* threads) {
    Probed probed({.arguments = {target(), "many-threads", threads}});
    EXPECT_EQ(probed.signal, SIGKILL) << probed.err;
    return totals_of(probed.region());
  };
  const HeapTotals fewer = run("1100"), more = run("1150");
  // Between the two every thread adds the same, whether it has a lane or not.
  EXPECT_EQ((more.allocs - fewer.allocs) % 50, 0u);
  EXPECT_GE(more.bytes - fewer.bytes, 50u * 50 * 1000);
  EXPECT_LT(more.bytes - fewer.bytes, 50u * 50 * 1000 + 50 * 1000);
}

TEST(Heap, OperatorsAreCountedOnceWhoeverImplementsThem) {
  for (const char* name : {"", "libjemalloc.so.2", "libtcmalloc_minimal.so.4"}) {
    const std::string path = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/" + name;
    if (*name != '\0' && !std::filesystem::exists(path)) continue;
    const auto run = [&](const char* count) {
      return totals_of(
          Probed({.arguments = {target(), "new", count}, .preload = *name == '\0' ? "@" : "@:" + path}).region());
    };
    const HeapTotals none = run("0"), some = run("5000");
    EXPECT_EQ(some.allocs - none.allocs, 5000u) << name;
    EXPECT_EQ(some.frees - none.frees, 5000u) << name;
    EXPECT_EQ(some.bytes - none.bytes, 5000u * 64) << name;
  }
}

// Horvitz-Thompson: each sample stands for 1 / (1 - e^(-size / T)) allocations.
TEST(Heap, EstimatesLieWithinSixSigmaOfTheTruth) {
  const std::map<std::uint64_t, double> truth = {{16, 60'000}, {1000, 20'000}, {100'000, 200}};
  std::map<std::uint64_t, double> z_sum;
  const int runs = 8;
  for (int run = 0; run < runs; ++run) {
    Probed probed({.arguments = {target(), "keep", "60000", "20000", "200"},
                   .environment = {{"CAMPROBE_HEAP_INTERVAL", "8KiB"}}});
    std::map<std::uint64_t, double> estimate;
    const auto region = probed.region();
    EXPECT_EQ(region.status()->lost[static_cast<int>(shm::Loss::kLiveFull)], 0u);
    for (const auto& live : region.live_samples()) {
      ASSERT_EQ(live.sample.interval, 8192u);
      estimate[live.sample.size] += 1 / -std::expm1(-static_cast<double>(live.sample.size) / 8192);
    }
    for (const auto& [size, count] : truth) {
      const double p = -std::expm1(-static_cast<double>(size) / 8192);
      const double sigma = std::sqrt(count * (1 - p) / p) + 1e-9;
      // Blocks of these sizes that the C library makes for itself, a handful, count as error.
      const double z = (estimate[size] - count) / std::max(sigma, 5.0);
      EXPECT_LT(std::fabs(z), 6) << size << " bytes: " << estimate[size] << " for " << count;
      z_sum[size] += z;
    }
  }
  // No bias either: the mean over the runs lies as close as a mean must.
  for (const auto& [size, z] : z_sum) EXPECT_LT(std::fabs(z) / std::sqrt(runs), 4) << size;
}

TEST(Heap, ReallocThatFailsKeepsTheBlockLive) {
  Probed probed({.arguments = {target(), "realloc"}, .environment = kSampleAll});
  EXPECT_EQ(probed.printed("failed"), 1);
  EXPECT_EQ(probed.printed("overflow_failed"), 1);
  const auto region = probed.region();
  const auto live = live_addresses(region);
  EXPECT_TRUE(live.count(address_printed(probed, "kept")));
  EXPECT_TRUE(live.count(address_printed(probed, "moved")));
  EXPECT_FALSE(live.count(address_printed(probed, "gone")));
  for (const auto& sample : region.live_samples()) {
    if (sample.address == address_printed(probed, "moved")) {
      EXPECT_EQ(sample.sample.size, 90'000u);
    }
  }
}

TEST(Heap, EveryFormOfNewAndDeleteIsSeen) {
  Probed probed({.arguments = {target(), "operators"}, .environment = kSampleAll});
  EXPECT_EQ(probed.printed("threw"), 1);
  const auto live = live_addresses(probed.region());
  const auto kept = probed.all_printed("kept");
  ASSERT_EQ(kept.size(), 2u);
  std::set<std::uint64_t> kept_addresses;
  for (const double address : kept) {
    kept_addresses.insert(static_cast<std::uint64_t>(address));
    EXPECT_TRUE(live.count(static_cast<std::uint64_t>(address)));
  }
  const auto freed = probed.all_printed("freed");
  ASSERT_EQ(freed.size(), 4u);
  for (const double address : freed) {
    if (!kept_addresses.count(static_cast<std::uint64_t>(address))) {
      EXPECT_FALSE(live.count(static_cast<std::uint64_t>(address)));
    }
  }
}

TEST(Heap, AFreeByAnotherThreadIsMarkedAndOneRightAfterIsTemporary) {
  Probed probed({.arguments = {target(), "cross"}, .environment = kSampleAll});
  auto region = probed.region();
  int by_other = 0, temporary = 0;
  for (const auto& event : events_of(region, RecordKind::kFree)) {
    if (event.record.free.size != 50'000) continue;
    by_other += (event.record.flags & shm::kFlagOtherThread) != 0;
    temporary += (event.record.flags & shm::kFlagTemporary) != 0;
    EXPECT_NE(event.record.stack, 0u);
    EXPECT_GT(event.record.time_ns, event.record.free.born_ns);
  }
  EXPECT_EQ(by_other, 1);
  EXPECT_EQ(temporary, 1);
}

TEST(Heap, StacksBeginWithTheCallerOfMallocAndReachTheRoot) {
  Probed probed({.arguments = {target(), "keep", "0", "0", "50"}, .environment = kSampleAll});
  const auto region = probed.region();
  int checked = 0;
  for (const auto& live : region.live_samples()) {
    if (live.sample.size != 100'000) continue;
    const auto stack = region.stack(live.sample.stack);
    ASSERT_TRUE(stack);
    EXPECT_TRUE(stack->complete);
    ASSERT_FALSE(stack->frames.empty());
    bool is_in_program = false;
    for (const auto& module : region.modules()) {
      if (stack->frames[0] >= module.low && stack->frames[0] < module.high)
        is_in_program = region.name(module.path)->find("probe_target") != std::string::npos;
    }
    EXPECT_TRUE(is_in_program) << "the leaf is not the program's own code";
    ++checked;
  }
  EXPECT_EQ(checked, 50);
}

TEST(Heap, ABlockFreedBehindOurBackIsForgottenWhenItsAddressComesBack) {
  Probed probed({.arguments = {target(), "deep-binding", CAMPROBE_PLUGIN}, .environment = kSampleAll});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.err;
  if (probed.all_printed("same") != std::vector<double>{1, 1})
    GTEST_SKIP() << "the allocator did not reuse the address";
  int found = 0;
  for (const auto& live : probed.region().live_samples()) {
    EXPECT_NE(live.address, address_printed(probed, "gone"));
    found += live.address == address_printed(probed, "block");
  }
  EXPECT_EQ(found, 1);
}

TEST(Heap, LargeMappingsAreExactEvenInPart) {
  Probed probed({.arguments = {target(), "mappings"}});
  EXPECT_EQ(probed.printed("failed"), 1);
  const auto region = probed.region();
  std::map<std::uint64_t, std::uint64_t> mapped;
  for (const auto& live : region.live_samples()) {
    if (!live.is_mapping) continue;
    EXPECT_EQ(live.sample.interval, 0u);
    mapped[live.address & ~std::uint64_t{1}] = live.sample.size;
  }
  const auto at = [&](const char* name) { return address_printed(probed, name); };
  EXPECT_EQ(mapped[at("kept")], 1u << 20);
  // The kernel may put a later mapping where this one was, but it would have another size.
  EXPECT_TRUE(!mapped.count(at("gone")) || mapped[at("gone")] != 1u << 20 || at("gone") == at("holed") ||
              at("gone") == at("kept"));
  EXPECT_EQ(mapped[at("holed")], 16u * 4096);
  EXPECT_EQ(mapped[at("holed") + 48 * 4096], (1u << 20) - 48u * 4096);
  EXPECT_FALSE(mapped.count(at("reserved"))) << "reserved address space is not memory";
  EXPECT_EQ(mapped[at("reserved") + 64 * 4096], 128u * 4096);
  EXPECT_EQ(mapped[at("bigger")], 4u << 20);
}

TEST(Heap, AllocationsInTheLastDestructorsOfAThreadAreCounted) {
  const auto run = [](const char* threads) {
    return totals_of(Probed({.arguments = {target(), "late", threads}}).region());
  };
  const HeapTotals few = run("10"), many = run("60");
  const std::uint64_t allocs = many.allocs - few.allocs, frees = many.frees - few.frees;
  // Five blocks of 3,000 bytes a thread: one in the thread-local destructor, four in the key's rounds. Thread creation
  // itself allocates the same for each thread.
  EXPECT_EQ((many.bytes - few.bytes) / 50 / 3000, 5u);
  EXPECT_EQ(allocs % 50, 0u);
  EXPECT_EQ(frees % 50, 0u);
}

}  // namespace
}  // namespace camprobe::tests
