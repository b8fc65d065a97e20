// tests/shm/layout_test.cc
//
// The contract in numbers: a change here is a change of kAbiVersion.
#include <gtest/gtest.h>

#include <cstddef>

#include "shm/intern.h"
#include "shm/layout.h"
#include "shm/region_name.h"
#include "tests/shm/test_region.h"

namespace camprobe::shm {
namespace {

TEST(Layout, IsThatOfThisAbiVersion) {
  EXPECT_EQ(kAbiVersion, 7u);
  EXPECT_EQ(sizeof(RegionHeader), 712u);
  EXPECT_EQ(offsetof(RegionHeader, state), 68u);
  EXPECT_EQ(offsetof(RegionHeader, message), 136u);
  EXPECT_EQ(offsetof(RegionHeader, samples_taken), 400u);
  EXPECT_EQ(offsetof(RegionHeader, lost), 472u);
  EXPECT_EQ(offsetof(RegionHeader, allocator), 632u);
  EXPECT_EQ(sizeof(AllocatorBlock), 72u);
  EXPECT_EQ(sizeof(ControlBlock), 40u);
  EXPECT_EQ(sizeof(Record), 64u);
  EXPECT_EQ(sizeof(ModuleEntry), 80u);
  EXPECT_EQ(sizeof(LiveSample), 48u);
  EXPECT_EQ(sizeof(DescriptorEntry), 128u);
  EXPECT_EQ(sizeof(SpanSlot), 192u);
  EXPECT_EQ(sizeof(Lane), 512u);
  EXPECT_EQ(sizeof(InternHeader), 64u);
  EXPECT_EQ(kLanesOffset, 11788288u);
  EXPECT_EQ(kRegionBytes, 45473792u);
}

TEST(Layout, PartsFollowEachOtherWithoutOverlap) {
  const std::uint64_t starts[] = {0,
                                  kControlOffset,
                                  kNameIndexOffset,
                                  kNameArenaOffset,
                                  kModulesOffset,
                                  kStackIndexOffset,
                                  kStackArenaOffset,
                                  kSampleIndexOffset,
                                  kSampleArenaOffset,
                                  kLiveKeysOffset,
                                  kLiveSamplesOffset,
                                  kDescriptorsOffset,
                                  kSpansOffset,
                                  kLanesOffset};
  const std::uint64_t sizes[] = {sizeof(RegionHeader),
                                 sizeof(ControlBlock),
                                 sizeof(InternHeader) + kNameSlots * 4ull,
                                 kNameArenaBytes,
                                 kModules * sizeof(ModuleEntry),
                                 sizeof(InternHeader) + kStackSlots * 4ull,
                                 kStackArenaBytes,
                                 kSampleTables * (sizeof(InternHeader) + kSampleSlots * 4ull),
                                 kSampleTables * kSampleArenaBytes,
                                 kLiveSamples * 8ull,
                                 kLiveSamples * sizeof(LiveSample),
                                 kDescriptors * sizeof(DescriptorEntry),
                                 kSpans * sizeof(SpanSlot),
                                 0};
  for (std::size_t i = 0; i + 1 < std::size(starts); ++i) {
    EXPECT_EQ(starts[i] % kPage, 0u) << i;
    EXPECT_LE(starts[i] + sizes[i], starts[i + 1]) << i;
  }
}

TEST(Layout, LanesFollowEachOtherAndEndWithTheRegion) {
  for (std::uint32_t lane = 0; lane + 1 < kLanes; ++lane)
    ASSERT_EQ(lane_geometry(lane).offset + lane_geometry(lane).bytes(), lane_geometry(lane + 1).offset) << lane;
  EXPECT_EQ(lane_geometry(kLanes - 1).offset + lane_geometry(kLanes - 1).bytes(), kRegionBytes);
}

TEST(AllocatorBlock, IsBelievedOnlyWhereItIsWholeAndPossible) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const RegionReader reader = region.reader();
  EXPECT_FALSE(reader.status()->allocator) << "nobody has asked it yet";
  AllocatorBlock& block = region->header()->allocator;
  AllocatorFigures figures;
  figures.in_use = 3000;
  figures.free = 1000;
  figures.held = std::uint64_t{1} << 60;
  const auto put = [&](std::uint64_t read_ns) {
    block.read_ns = read_ns;
    block.cost_ns = 7;
    block.in_use = figures.in_use;
    block.cached = figures.cached;
    block.free = figures.free;
    block.held = figures.held;
    block.released = figures.released;
    block.check = check_of(figures, read_ns, 7);
    block.kind = static_cast<std::uint32_t>(AllocatorKind::kJemalloc);
    block.state = static_cast<std::uint32_t>(AllocatorState::kRead);
  };
  put(5);
  const auto allocator = reader.status()->allocator;
  ASSERT_TRUE(allocator);
  EXPECT_EQ(allocator->kind, AllocatorKind::kJemalloc);
  EXPECT_EQ(allocator->figures.in_use, 3000u);
  EXPECT_EQ(allocator->figures.free, 1000u);
  EXPECT_EQ(allocator->figures.cached, kUnknownBytes);
  EXPECT_EQ(allocator->figures.held, kUnknownBytes) << "no process has so much";
  block.in_use = 2000;  // the next answer, half written
  EXPECT_FALSE(reader.status()->allocator);
  figures.in_use = 2000;
  put(6);
  EXPECT_EQ(reader.status()->allocator->figures.in_use, 2000u);
  block.kind = 77;
  EXPECT_FALSE(reader.status()->allocator);
}

TEST(RegionName, IsReadBackAsItWasWritten) {
  char path[kRegionPathMax];
  for (const RegionName name : {RegionName{0, 1, 2, 0}, RegionName{4294967295u, 2147483647u, 123456789012345ull, 63}}) {
    format_region_path(name, path);
    RegionName read;
    ASSERT_TRUE(parse_region_name(path + sizeof kRegionDirectory, &read)) << path;
    EXPECT_EQ(read.uid, name.uid);
    EXPECT_EQ(read.pid, name.pid);
    EXPECT_EQ(read.start_ticks, name.start_ticks);
    EXPECT_EQ(read.image, name.image);
  }
}

TEST(RegionName, OtherFilesAreNotRegions) {
  RegionName read;
  for (const char* file : {"", "camprobe", "camprobe.", "camprobe.1.2", "camprobe.1.2.3.", "camprobe.1.2.3.0",
                           "camprobe.1.2.3.x", "camprobe.-1.2.3", "camprobe.99999999999.2.3", "sem.camprobe.1.2.3",
                           "camprobe.1.2.3.4.5", "camprobe.1.2.99999999999999999999999"})
    EXPECT_FALSE(parse_region_name(file, &read)) << file;
}

}  // namespace
}  // namespace camprobe::shm
