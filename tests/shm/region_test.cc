// tests/shm/region_test.cc
//
// A region as its users meet it: made, read, lapped, read by many, refused where /dev/shm has no room, truncated under
// its reader.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "tests/shm/test_region.h"

namespace camprobe::shm {
namespace {

TEST(Region, NamesItsProcessAndItsRun) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const RegionReader reader = region.reader();
  EXPECT_EQ(reader.info().pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(reader.info().parent_pid, static_cast<std::uint32_t>(getppid()));
  EXPECT_EQ(reader.info().uid, geteuid());
  EXPECT_EQ(reader.info().run_id, "test-run");
  EXPECT_GT(reader.info().start_ticks, 0u);
}

TEST(Region, IsPrivateToItsOwnerWhateverTheUmask) {
  const mode_t before = umask(0777);
  TestRegion region;
  umask(before);
  ASSERT_TRUE(region.created()) << region.error();
  struct stat facts;
  ASSERT_EQ(stat(region->path(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
}

TEST(Region, OfAnotherImageOfTheSameProcessGetsItsOwnName) {
  TestRegion first, second;
  ASSERT_TRUE(first.created()) << first.error();
  ASSERT_TRUE(second.created()) << second.error();
  EXPECT_EQ(first.reader().info().image + 1, second.reader().info().image);
}

TEST(Region, TakesPagesOnlyAsTheyAreUsed) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  struct stat facts;
  ASSERT_EQ(stat(region->path(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 64 << 10);
  ASSERT_EQ(region->acquire_lane(1, 1), 0);
  ASSERT_EQ(stat(region->path(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 64 << 10) << "a thread that says nothing takes no ring";
  RingWriter ring = region.ring(0);
  write_numbered(ring, 1);
  ASSERT_EQ(stat(region->path(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 96 << 10);
  for (std::uint64_t n = 2; n <= kLongRing * 2; ++n) write_numbered(ring, n);
  ASSERT_EQ(stat(region->path(), &facts), 0);
  EXPECT_GT(facts.st_blocks * 512, static_cast<blkcnt_t>(kLongRing * sizeof(Record)));
  EXPECT_LT(facts.st_blocks * 512, 1 << 20);
}

TEST(Region, DescriptorOfTheProbeIsNeverVisible) {
  const int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(before);
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(after);
  EXPECT_EQ(before, after);
}

TEST(Region, IsRefusedBelowTheFileSizeLimit) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    Region region;
    CreateFailure failure;
    _exit(region.create({}, &failure) ? 1 : failure.error == EFBIG ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// Runs `body` in a child whose /dev/shm is a tmpfs of its own of `bytes`. The child's exit status; -1: not allowed
// here.
template <typename Body>
int in_small_shm(std::size_t bytes, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(77);
    mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const std::string size = "size=" + std::to_string(bytes);
    if (mount("tmpfs", "/dev/shm", "tmpfs", 0, size.c_str()) != 0) _exit(77);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 77 ? -1 : WEXITSTATUS(status);
  return 128 + WTERMSIG(status);
}

TEST(Region, OnAFullShmIsRefusedAndLeavesNothing) {
  const int status = in_small_shm(8192, [] {
    const int filler = open("/dev/shm/filler", O_CREAT | O_WRONLY, 0600);
    char page[4096] = {};
    while (write(filler, page, sizeof page) > 0) {
    }
    Region region;
    CreateFailure failure;
    if (region.create({}, &failure)) return 1;
    if (failure.error != ENOSPC) return 2;
    return access("/dev/shm/filler", F_OK) == 0 && rmdir("/dev/shm/x") != 0 ? 0 : 3;
  });
  if (status == -1) GTEST_SKIP() << "no mount namespace allowed here";
  EXPECT_EQ(status, 0);
}

TEST(Region, ThatRunsOutOfShmCountsWhatItCouldNotKeepAndDoesNotDie) {
  const int status = in_small_shm(1 << 20, [] {
    Region region;
    CreateFailure failure;
    if (!region.create({}, &failure)) return 1;
    for (int lane = 0; lane < 8; ++lane) {
      if (region.acquire_lane(1, 1) < 0) break;
      RingWriter ring, signal_ring;
      region.attach_rings(lane, &ring, &signal_ring);
      for (std::uint64_t n = 1; n <= kLongRing * 2; ++n) {
        write_numbered(ring, n);
        write_numbered(signal_ring, n);
      }
    }
    if (region.header()->lost[static_cast<int>(Loss::kReserve)] == 0) return 4;
    std::uintptr_t frames[8] = {};
    for (std::uintptr_t i = 1; i < 200'000; ++i) {
      frames[0] = i;
      region.intern_stack(frames, 8, true);
      LiveSample sample{};
      sample.size = i;
      region.live().insert(i * 16, sample);
      region.descriptor(static_cast<int>(i % kDescriptors));
      SpanId span;
      region.claim_span(static_cast<std::uint32_t>(i), &span);
      region.claim_module();
    }
    return region.header()->lost[static_cast<int>(Loss::kReserve)] > 0 ? 0 : 3;
  });
  if (status == -1) GTEST_SKIP() << "no mount namespace allowed here";
  EXPECT_EQ(status, 0);
}

TEST(Ring, GivesEachRecordOnceAndInOrder) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter ring = region.ring(region->acquire_lane(42, 1));
  RegionReader reader = region.reader();
  std::uint64_t expected = 1;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i)
      write_numbered(ring, static_cast<std::uint64_t>(round) * 1000 + static_cast<std::uint64_t>(i) + 1);
    const DrainResult drained = reader.drain([&](const LaneOwner& lane, bool is_signal, const ReadRecord& record) {
      EXPECT_EQ(lane.tid, 42u);
      EXPECT_FALSE(is_signal);
      EXPECT_TRUE(is_whole(record));
      EXPECT_EQ(record.time_ns, expected++);
    });
    EXPECT_EQ(drained.records, 1000u);
    EXPECT_EQ(drained.lapped + drained.torn, 0u);
  }
}

// What a collector does ten times a second for every target: counted in system calls, which do not depend on the
// machine.
TEST(Reader, AQuietRoundCostsOneReadAThreadAndNewsThreeMore) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  constexpr int kThreads = 20;
  std::vector<RingWriter> rings;
  for (int i = 0; i < kThreads; ++i)
    rings.push_back(region.ring(region->acquire_lane(static_cast<std::uint32_t>(100 + i), 1)));
  RegionReader reader = region.reader();
  const auto reads_of_a_round = [&] {
    const std::uint64_t before = reader.reads();
    const auto status = reader.status();
    reader.drain(status->lanes_used, [](auto&&...) {});
    return reader.reads() - before;
  };
  EXPECT_EQ(reads_of_a_round(), 1u + kThreads);
  for (std::uint64_t n = 1; n <= 1000; ++n) write_numbered(rings[3], n);
  EXPECT_EQ(reads_of_a_round(), 1u + kThreads + 2) << "the records, and the head again";
  for (std::uint64_t n = 1001; n <= 1000 + kLongRing; ++n) write_numbered(rings[3], n);
  EXPECT_LE(reads_of_a_round(), 1u + kThreads + 3) << "the ring's end and its beginning";
}

TEST(Reader, TellsHowFullTheFullestRingWas) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter busy = region.ring(region->acquire_lane(1, 1)), calm = region.ring(region->acquire_lane(2, 1));
  RegionReader reader = region.reader();
  for (std::uint64_t n = 1; n <= kLongRing / 2; ++n) write_numbered(busy, n);
  write_numbered(calm, 1);
  EXPECT_EQ(reader.drain([](auto&&...) {}).fullest_per_1024, 512u);
  write_numbered(calm, 2);
  EXPECT_EQ(reader.drain([](auto&&...) {}).fullest_per_1024, 0u);
}

TEST(Reader, ReadsOnlyThosePartsOfTablesThatWereEverWritten) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RegionReader reader = region.reader();
  std::uint64_t before = reader.reads();
  EXPECT_TRUE(reader.descriptors().empty());
  EXPECT_TRUE(reader.live_samples().empty());
  EXPECT_TRUE(reader.open_spans().empty());
  EXPECT_LE(reader.reads() - before, 1u) << "there is nothing but holes";
  for (const int fd : {0, 5, 9000}) region->descriptor(fd)->generation = 1;
  before = reader.reads();
  EXPECT_EQ(reader.descriptors().size(), 3u);
  EXPECT_LE(reader.reads() - before, 2u);
  EXPECT_EQ(reader.descriptors().back().fd, 9000);
}

TEST(Ring, ALappedReaderCountsExactlyWhatItMissed) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter ring = region.ring(region->acquire_lane(42, 1));
  RegionReader reader = region.reader();
  write_numbered(ring, 1);
  EXPECT_EQ(reader.drain([](auto&&...) {}).records, 1u);
  const std::uint64_t written = kLongRing * 3 + 17;
  for (std::uint64_t n = 2; n < 2 + written; ++n) write_numbered(ring, n);
  std::uint64_t last = 0;
  const DrainResult drained = reader.drain([&](auto&&, bool, const ReadRecord& record) {
    EXPECT_TRUE(is_whole(record));
    EXPECT_GT(record.time_ns, last);
    last = record.time_ns;
  });
  EXPECT_EQ(drained.records + drained.lapped, written);
  EXPECT_EQ(last, written + 1);
  EXPECT_GE(drained.records, kLongRing - 1);
}

TEST(Ring, ALateReaderIsToldWhatWasThereBeforeIt) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter ring = region.ring(region->acquire_lane(42, 1));
  for (std::uint64_t n = 1; n <= kLongRing + 100; ++n) write_numbered(ring, n);
  const DrainResult drained = region.reader().drain([](auto&&...) {});
  EXPECT_EQ(drained.lapped, 0u);
  EXPECT_EQ(drained.records + drained.before, kLongRing + 100);
}

TEST(Ring, ManyReadersOfARunningWriterSeeWholeRecordsAndAccountForAll) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter ring = region.ring(region->acquire_lane(42, 1));
  constexpr std::uint64_t kRecords = 3'000'000;
  std::atomic<bool> done{false};
  std::vector<RegionReader> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(region.reader());
    readers.back().drain([](auto&&...) {});
  }
  std::thread writer([&] {
    for (std::uint64_t n = 1; n <= kRecords; ++n) write_numbered(ring, n);
    done = true;
  });
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> broken{0}, seen{0};
  for (RegionReader& reader : readers) {
    threads.emplace_back([&] {
      std::uint64_t records = 0, lapped = 0, torn = 0, last = 0;
      for (bool finished = false; !finished;) {
        finished = done;
        const DrainResult drained = reader.drain([&](auto&&, bool, const ReadRecord& record) {
          if (!is_whole(record) || record.time_ns <= last) ++broken;
          last = record.time_ns;
        });
        records += drained.records;
        lapped += drained.lapped;
        torn += drained.torn;
      }
      EXPECT_EQ(records + lapped + torn, kRecords);
      seen += records;
    });
  }
  writer.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(broken, 0u);
  EXPECT_GT(seen, 0u);
}

TEST(Lane, OfAThreadThatEndedPassesOnAndItsCountersStay) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const int first = region->acquire_lane(1, 1);
  region->lane(first)->heap_allocs = 7;
  region->lane(first)->heap_base = 1000;
  region->lane(first)->heap_countdown = 100;
  region->release_lane(first);
  const int second = region->acquire_lane(2, 2);
  EXPECT_EQ(first, second);
  const auto lanes = region.reader().lanes();
  ASSERT_EQ(lanes.size(), 1u);
  EXPECT_EQ(lanes[0].tid, 2u);
  EXPECT_EQ(lanes[0].generation, 2u);
  EXPECT_EQ(lanes[0].heap_allocs, 7u);
  EXPECT_EQ(lanes[0].heap_bytes, 900u);
}

TEST(Lane, OfAThreadThatEndsPassesOnOnlyWhenTheThreadIsGone) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  // Given a thread that said that it ends, and still runs its last destructors
  std::atomic<bool> may_go{false};
  std::atomic<int> lane{-1};
  std::atomic<pid_t> tid{0};
  std::thread ending([&] {
    tid = gettid();
    const int mine = region->acquire_lane(static_cast<std::uint32_t>(gettid()), 1);
    region->end_lane(mine);
    lane = mine;
    while (!may_go) std::this_thread::yield();
  });
  while (lane < 0) std::this_thread::yield();
  // Then nobody else gets its lane, until there is no such thread
  const auto own = static_cast<std::uint32_t>(gettid());
  EXPECT_FALSE(region.reader().lanes()[0].active);
  EXPECT_NE(region->acquire_lane(own, 2), lane);
  may_go = true;
  ending.join();
  while (tgkill(getpid(), tid, 0) == 0) std::this_thread::yield();
  EXPECT_EQ(region->acquire_lane(own, 3), lane);
}

TEST(Lane, ThousandAndTwentyFourAreGivenThenTheLossIsCounted) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  for (std::uint32_t i = 0; i < kLanes; ++i) ASSERT_EQ(region->acquire_lane(i, 1), static_cast<int>(i));
  EXPECT_EQ(region->acquire_lane(9, 1), -1);
  EXPECT_EQ(region.reader().status()->lost[static_cast<int>(Loss::kNoLane)], 1u);
}

TEST(RegionReader, OfATruncatedRegionSaysSoAndSurvives) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  region->acquire_lane(1, 1);
  RegionReader reader = region.reader();
  // The mapping of the writer would die of SIGBUS after this, so nothing is written any more.
  ASSERT_EQ(truncate(region->path(), 8192), 0);
  EXPECT_EQ(reader.drain([](auto&&...) {}).records, 0u);
  EXPECT_TRUE(reader.live_samples().empty());
  std::string error;
  EXPECT_FALSE(RegionReader::open(region->path(), &error).has_value());
  EXPECT_NE(error.find("truncated"), std::string::npos) << error;
  ASSERT_EQ(truncate(region->path(), static_cast<off_t>(kRegionBytes)), 0);
}

TEST(RegionReader, RefusesWhatIsNoRegionInOneLine) {
  std::string error;
  for (const char* path : {"/dev/null", "/proc/self/exe", "/", "/nonexistent"}) {
    error.clear();
    EXPECT_FALSE(RegionReader::open(path, &error).has_value()) << path;
    EXPECT_NE(error.find(path), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
}

TEST(RegionReader, RefusesARegionThatSpeaksForAnotherProcess) {
  for (const bool lies_about_pid : {true, false}) {
    TestRegion region;
    ASSERT_TRUE(region.created()) << region.error();
    if (lies_about_pid)
      region->header()->pid = 1;
    else
      region->header()->start_ticks += 1;
    std::string error;
    EXPECT_FALSE(RegionReader::open(region->path(), &error).has_value());
    EXPECT_NE(error.find("is not the region of the process it is named after"), std::string::npos) << error;
  }
}

TEST(RegionReader, ControlBlockReachesTheProbe) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RegionReader reader = region.reader();
  std::string error;
  ControlBlock* control = reader.control(&error);
  ASSERT_NE(control, nullptr) << error;
  control->heap_interval.store(4096);
  control->version.store(1);
  EXPECT_EQ(region->control()->heap_interval.load(), 4096u);
  EXPECT_EQ(region->control()->version.load(), 1u);
}

TEST(RegionReader, StoresToTheControlBlockOfATruncatedRegionWithoutDyingOfIt) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RegionReader reader = region.reader();
  std::string error;
  ControlBlock* control = reader.control(&error);
  ASSERT_NE(control, nullptr) << error;
  ASSERT_EQ(::truncate(region->path(), 0), 0);
  control->reader_pid.store(4711);
  EXPECT_EQ(control->reader_pid.load(), 4711u) << "it went to memory of the reader's own";
  EXPECT_FALSE(reader.status().has_value());
}

TEST(RegionReader, GuardsNoOtherPageAgainstTruncation) {
  const auto touch_another_page = [] {
    ::signal(SIGBUS, SIG_DFL);  // a sanitizer would report it and exit
    TestRegion region;
    RegionReader reader = region.reader();
    std::string error;
    reader.control(&error);
    if (::truncate(region->path(), 0) != 0) _exit(1);
    region->header()->pid = 1;
  };
  EXPECT_EXIT(touch_another_page(), ::testing::KilledBySignal(SIGBUS), "");
}

// A megabyte of samples that name a text or a stack of 64 KiB each would be gigabytes in the run.
TEST(RegionReader, TakesNoStackAndNoNameThatNoProbeWrites) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  constexpr std::uint32_t kId = 512;
  const auto forge = [&](std::uint64_t arena, std::uint32_t bytes) {
    auto* entry = reinterpret_cast<InternEntry*>(region->base() + arena + std::uint64_t{kId} * 8);
    std::memset(entry + 1, 'n', bytes);
    entry->bytes = bytes;
    entry->hash = intern_hash(entry + 1, bytes);
  };
  const RegionReader reader = region.reader();
  forge(kStackArenaOffset, kMaxFrames * 8);
  ASSERT_TRUE(reader.stack(kId).has_value());
  EXPECT_EQ(reader.stack(kId)->frames.size(), kMaxFrames);
  forge(kStackArenaOffset, (kMaxFrames + 1) * 8);
  EXPECT_FALSE(reader.stack(kId).has_value());
  forge(kNameArenaOffset, kMaxNameBytes);
  EXPECT_EQ(reader.name(kId), std::string(kMaxNameBytes, 'n'));
  forge(kNameArenaOffset, kMaxNameBytes + 1);
  EXPECT_FALSE(reader.name(kId).has_value());
}

}  // namespace
}  // namespace camprobe::shm
