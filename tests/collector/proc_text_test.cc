// The texts of /proc, odd ones included.
#include "collector/proc/proc_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace camprobe::proc {
namespace {

using ::testing::ElementsAre;

constexpr char kStatTail[] =
    " S 1 4100 4100 0 -1 4194560 5021 0 17 0 230 45 0 0 20 0 9 0 8812345 123456789 4321 18446744073709551615 1 1 0 0 0 "
    "0 0 "
    "4096 81987 0 0 0 17 1 0 0 0 0 0";

TEST(Stat, FieldsAreCountedFromTheLastParenthesis) {
  for (const std::string name : {"redis-server", "a b", "evil) R 1 (x", "()", ""}) {
    const auto stat = parse_stat("4100 (" + name + ")" + kStatTail);
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->name, name);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->parent_pid, 1);
    EXPECT_EQ(stat->minor_faults, 5021u);
    EXPECT_EQ(stat->major_faults, 17u);
    EXPECT_EQ(stat->user_ticks, 230u);
    EXPECT_EQ(stat->system_ticks, 45u);
    EXPECT_EQ(stat->threads, 9);
    EXPECT_EQ(stat->start_ticks, 8812345u);
  }
}

TEST(Status, ResidentMemoryByWhatItIsMadeOf) {
  const auto parts = parse_memory_parts(
      "Name:\tRssAnon: 7 kB\nVmSize:\t  9000 kB\nVmRSS:\t  600 kB\nRssAnon:\t     400 kB\nRssFile:\t     150 kB\n"
      "RssShmem:\t      50 kB\nVmSwap:\t      20 kB\n");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->anonymous, 400u * 1024);
  EXPECT_EQ(parts->file, 150u * 1024);
  EXPECT_EQ(parts->shared, 50u * 1024);
  EXPECT_EQ(parts->swap, 20u * 1024);
  EXPECT_EQ(parts->virtual_bytes, 9000u * 1024);
  EXPECT_FALSE(parse_memory_parts("Name:\tkthreadd\nThreads:\t1\n"));
}

// A thread's stack behind its guard page, the main thread's, and what only looks like one: an arena behind a large
// hole, code behind a guard, a mapping of a file.
TEST(Smaps, ResidentStacks) {
  const auto mapping = [](const char* head, int resident_kib) {
    return std::string(head) + "\nSize:               8192 kB\nRss:                  " + std::to_string(resident_kib) +
           " kB\nPss:                   4 kB\nVmFlags: rd wr mr mw me ac sd\n";
  };
  const std::string text =
      mapping("7f0000000000-7f0000001000 ---p 00000000 00:00 0 ", 0) +
      mapping("7f0000001000-7f0000801000 rw-p 00000000 00:00 0 ", 16) +
      mapping("7f0000801000-7f0000802000 ---p 00000000 00:00 0 ", 0) +
      mapping("7f0000802000-7f0001002000 rw-p 00000000 00:00 0 ", 8) +
      mapping("7f0001002000-7f0001100000 rw-p 00000000 00:00 0 ", 1000) +
      mapping("7f0004000000-7f0007000000 ---p 00000000 00:00 0 ", 0) +
      mapping("7f0007000000-7f0007100000 rw-p 00000000 00:00 0 ", 2000) +
      mapping("7f0008000000-7f0008001000 ---p 00000000 00:00 0 ", 0) +
      mapping("7f0008001000-7f0008041000 rwxp 00000000 00:00 0 ", 4000) +
      mapping("7f0009000000-7f0009001000 ---p 00001000 fe:00 77    /lib/libc.so.6", 0) +
      mapping("7f0009001000-7f0009002000 rw-p 00002000 fe:00 77    /lib/libc.so.6", 8000) +
      mapping("7f000a000000-7f000a800000 rw-p 00000000 00:00 0    [anon: glibc: pthread stack: 12]", 32) +
      mapping("7ffff7a0d000-7ffff7a2e000 rw-p 00000000 00:00 0    [stack]", 64);
  EXPECT_EQ(parse_stack_bytes(text), (16u + 8 + 32 + 64) * 1024);
  EXPECT_FALSE(parse_stack_bytes(text.substr(0, text.size() - 5)));
  EXPECT_FALSE(parse_stack_bytes(""));
  EXPECT_FALSE(parse_stack_bytes("no mapping at all\n"));
}

TEST(Limits, HowManyDescriptors) {
  EXPECT_EQ(parse_descriptor_limit("Limit  Soft Limit  Hard Limit  Units\nMax open files            1024      "
                                   "4096      files\n"),
            1024u);
  EXPECT_FALSE(parse_descriptor_limit("Max open files            unlimited      unlimited      files\n"));
  EXPECT_FALSE(parse_descriptor_limit("Max data size             unlimited      unlimited      bytes\n"));
}

TEST(Stat, CutShortIsNothing) {
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat("4100"));
  EXPECT_FALSE(parse_stat("4100 (redis"));
  EXPECT_FALSE(parse_stat("4100 (redis) S 1 2 3"));
  EXPECT_FALSE(parse_stat("4100 (redis) S one 4100 4100 0 -1 0 0 0 0 0 0 0 0 0 20 0 9 0 8812345"));
}

TEST(Statm, SecondAndThirdNumber) {
  const auto statm = parse_statm("12345 678 90 1 0 500 0\n");
  ASSERT_TRUE(statm);
  EXPECT_EQ(statm->resident_pages, 678u);
  EXPECT_EQ(statm->shared_pages, 90u);
  EXPECT_FALSE(parse_statm("12345"));
}

TEST(SmapsRollup, BytesFromKibibytes) {
  const auto rollup = parse_smaps_rollup(
      "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:   2000 kB\nPss:   1500 kB\nPss_Anon: 900 kB\n"
      "Shared_Clean: 400 kB\nShared_Dirty: 100 kB\nPrivate_Clean: 300 kB\nPrivate_Dirty: 1200 kB\nAnonymous: 1000 "
      "kB\nSwap: 8 kB\n");
  ASSERT_TRUE(rollup);
  EXPECT_EQ(rollup->pss, 1500u * 1024);
  EXPECT_EQ(rollup->private_bytes, 1500u * 1024);
  EXPECT_EQ(rollup->shared, 500u * 1024);
  EXPECT_EQ(rollup->anonymous, 1000u * 1024);
  EXPECT_EQ(rollup->swap, 8u * 1024);
  EXPECT_FALSE(parse_smaps_rollup("")) << "a kernel thread has none";
}

TEST(Io, FourCounters) {
  const auto io =
      parse_io("rchar: 11\nwchar: 22\nsyscr: 3\nsyscw: 4\nread_bytes: 55\nwrite_bytes: 66\ncancelled_write_bytes: 0\n");
  ASSERT_TRUE(io);
  EXPECT_EQ(io->read_chars, 11u);
  EXPECT_EQ(io->write_bytes, 66u);
  EXPECT_FALSE(parse_io("rchar: 11\n"));
}

TEST(Status, ContextSwitches) {
  const auto switches =
      parse_context_switches("Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n");
  ASSERT_TRUE(switches);
  EXPECT_EQ(switches->voluntary, 150u);
  EXPECT_EQ(switches->involuntary, 7u);
}

TEST(Limits, UnlimitedIsNone) {
  const auto limits = parse_limits(
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max data size             1073741824           unlimited            bytes     \n"
      "Max address space         unlimited            unlimited            bytes     \n");
  ASSERT_TRUE(limits);
  EXPECT_EQ(limits->data, 1073741824u);
  EXPECT_FALSE(limits->address_space);
}

TEST(Cgroup, BothVersionsAndPathsWithColons) {
  const CgroupPaths v2 = parse_cgroup("0::/user.slice/a:b.scope\n");
  EXPECT_EQ(v2.v2, "/user.slice/a:b.scope");
  EXPECT_FALSE(v2.v1_memory);
  const CgroupPaths v1 = parse_cgroup("12:cpu,cpuacct:/x\n5:hugetlb,memory:/docker/abc\n1:name=systemd:/y\n");
  EXPECT_EQ(v1.v1_memory, "/docker/abc");
  EXPECT_FALSE(v1.v2);
  EXPECT_FALSE(parse_cgroup("").v2);
}

TEST(Cgroup, NoLimitIsNone) {
  EXPECT_EQ(parse_cgroup_bytes("268435456\n"), 268435456u);
  EXPECT_FALSE(parse_cgroup_bytes("max\n"));
  EXPECT_FALSE(parse_cgroup_bytes("9223372036854771712\n")) << "v1's way to say so";
  EXPECT_FALSE(parse_cgroup_bytes(""));
}

TEST(Machine, StealIsTheEighthNumber) {
  const auto ticks = parse_machine_stat("cpu  100 5 50 1000 20 1 2 33 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
  ASSERT_TRUE(ticks);
  EXPECT_EQ(ticks->user, 105u);
  EXPECT_EQ(ticks->system, 53u);
  EXPECT_EQ(ticks->steal, 33u);
  EXPECT_FALSE(parse_machine_stat("intr 1 2 3\n"));
}

TEST(Machine, Pressure) {
  const auto pressure = parse_pressure(
      "some avg10=0.00 avg60=0.12 avg300=0.00 total=98765\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=43\n");
  ASSERT_TRUE(pressure);
  EXPECT_EQ(pressure->some_us, 98765u);
  EXPECT_EQ(pressure->full_us, 43u);
  EXPECT_FALSE(parse_pressure(""));
}

TEST(Listening, OnlyListenersHaveTheirInodesTold) {
  EXPECT_THAT(parse_listening_inodes(
                  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
                  "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 "
                  "0000 100 0 0 10 0\n"
                  "   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 27182 1 "
                  "0000 20 4 30 10 -1\n"),
              ElementsAre(31415u));
}

}  // namespace
}  // namespace camprobe::proc
