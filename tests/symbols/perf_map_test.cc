// tests/symbols/perf_map_test.cc
#include "collector/symbols/perf_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace camprobe::symbols;

namespace {
std::string name_at(const PerfMap& map, std::uint64_t address) {
  const JitCode* code = map.find(address);
  return code == nullptr ? "" : code->name;
}
}  // namespace

TEST(PerfMap, NamesExactlyTheAddressesOfALine) {
  PerfMap map;
  map.feed("1000 20 JS:*cost /srv/my app.js:1:2\n0x0000000000002000 0x0000000000000010 double W.cost(int)\n");
  EXPECT_EQ(name_at(map, 0xfff), "");
  EXPECT_EQ(name_at(map, 0x1000), "JS:*cost /srv/my app.js:1:2");
  EXPECT_EQ(name_at(map, 0x101f), "JS:*cost /srv/my app.js:1:2");
  EXPECT_EQ(name_at(map, 0x1020), "");
  EXPECT_EQ(name_at(map, 0x200f), "double W.cost(int)");
}

TEST(PerfMap, ReadsPiecesThatEndAnywhere) {
  const std::string text = "1000 20 first\n2000 20 second one\n3000 20 third\n";
  for (std::size_t step = 1; step < 20; ++step) {
    PerfMap map;
    for (std::size_t i = 0; i < text.size(); i += step) map.feed(std::string_view(text).substr(i, step));
    EXPECT_EQ(map.size(), 3u);
    EXPECT_EQ(name_at(map, 0x2001), "second one");
    EXPECT_EQ(map.malformed(), 0u);
  }
}

TEST(PerfMap, WaitsForTheEndOfTheLastLine) {
  PerfMap map;
  map.feed("1000 20 JS:*co");
  EXPECT_EQ(map.find(0x1000), nullptr);
  map.feed("st\n");
  EXPECT_EQ(name_at(map, 0x1000), "JS:*cost");
}

TEST(PerfMap, LaterLinesWinWhereRangesOverlap) {
  PerfMap map;
  map.feed("1000 100 old\n1040 20 new\n");
  EXPECT_EQ(name_at(map, 0x103f), "old");
  EXPECT_EQ(name_at(map, 0x1040), "new");
  EXPECT_EQ(name_at(map, 0x105f), "new");
  EXPECT_EQ(name_at(map, 0x1060), "old");
  map.feed("1000 100 newest\n");
  EXPECT_EQ(map.size(), 1u);
  EXPECT_EQ(name_at(map, 0x1050), "newest");
  map.feed("f00 140 left\n10c0 1000 right\n");
  EXPECT_EQ(name_at(map, 0x103f), "left");
  EXPECT_EQ(name_at(map, 0x1040), "newest");
  EXPECT_EQ(name_at(map, 0x10bf), "newest");
  EXPECT_EQ(name_at(map, 0x10c0), "right");
}

TEST(PerfMap, CountsMalformedLinesAndReadsOn) {
  PerfMap map;
  map.feed(
      "zz 10 no number\n1000\n1000 10\n1000 10 \n1000 0 empty\nffffffffffffffff 2 wraps\n\n-1 10 "
      "negative\n10000000000000000 1 long\n"
      "1000 10 good\r\n");
  EXPECT_EQ(map.malformed(), 9u);
  EXPECT_EQ(map.lines(), 10u);
  EXPECT_EQ(map.size(), 1u);
  EXPECT_EQ(name_at(map, 0x1000), "good");
}

TEST(PerfMap, SkipsALineWithoutEnd) {
  PerfMap map;
  map.feed("1000 10 ");
  for (int i = 0; i < 100; ++i) map.feed(std::string(4096, 'x'));
  map.feed("\n2000 10 next\n");
  EXPECT_EQ(map.malformed(), 1u);
  EXPECT_EQ(map.size(), 1u);
  EXPECT_EQ(name_at(map, 0x2000), "next");
}

TEST(PerfMap, StaysWithinItsMemoryAndSaysWhatItDropped) {
  PerfMap map(10000);
  for (int i = 0; i < 1000; ++i)
    map.feed(std::to_string(10000 + i * 100) + " 10 a name that is longer than a short string\n");
  EXPECT_LE(map.bytes(), 10000u);
  EXPECT_GT(map.size(), 20u);
  EXPECT_EQ(map.size() + map.dropped(), 1000u);
  // Code that takes the place of older code costs nothing more.
  const std::size_t full = map.size();
  for (int i = 0; i < 1000; ++i) map.feed("10000 10 a name that is longer than a short string\n");
  EXPECT_EQ(map.size(), full);
  EXPECT_EQ(map.size() + map.dropped(), 1000u);
}

namespace {

// A process of ours that only waits, so that its perf map is ours to write.
class PerfMapFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    child_ = ::fork();
    if (child_ == 0) {
      ::pause();
      ::_exit(0);
    }
    path_ = "/tmp/perf-" + std::to_string(child_) + ".map";
    std::filesystem::remove(path_);
  }
  void TearDown() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + ".other");
  }
  void append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

  pid_t child_ = 0;
  std::string path_;
};

}  // namespace

TEST_F(PerfMapFileTest, ReadsWhatWasAddedSince) {
  const TargetFiles files(child_);
  PerfMapFile file(files, ::getuid());
  EXPECT_FALSE(file.refresh());
  append("1000 10 first\n2000 10 sec");
  EXPECT_TRUE(file.refresh());
  EXPECT_EQ(file.map().size(), 1u);
  append("ond\n");
  EXPECT_TRUE(file.refresh());
  EXPECT_EQ(name_at(file.map(), 0x2000), "second");
  EXPECT_EQ(file.map().lines(), 2u);
}

TEST_F(PerfMapFileTest, StartsAgainWhenTheFileWasReplacedOrCut) {
  const TargetFiles files(child_);
  PerfMapFile file(files, ::getuid());
  append("1000 10 before the exec\n");
  ASSERT_TRUE(file.refresh());
  std::ofstream(path_, std::ios::trunc) << "3000 10 after\n";
  ASSERT_TRUE(file.refresh());
  EXPECT_EQ(file.map().find(0x1000), nullptr);
  EXPECT_EQ(name_at(file.map(), 0x3000), "after");
}

TEST_F(PerfMapFileTest, DoesNotFollowASymbolicLink) {
  std::ofstream(path_ + ".other") << "1000 10 secret\n";
  std::filesystem::create_symlink(path_ + ".other", path_);
  const TargetFiles files(child_);
  PerfMapFile file(files, ::getuid());
  EXPECT_FALSE(file.refresh());
  EXPECT_EQ(file.map().size(), 0u);
}

TEST_F(PerfMapFileTest, DoesNotReadAFileWithAnotherName) {
  std::ofstream(path_ + ".other") << "1000 10 secret\n";
  std::filesystem::create_hard_link(path_ + ".other", path_);
  const TargetFiles files(child_);
  PerfMapFile file(files, ::getuid());
  EXPECT_FALSE(file.refresh());
  EXPECT_EQ(file.why_not(), path_ + " has other names");
}

TEST_F(PerfMapFileTest, DoesNotWaitForAPipe) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const TargetFiles files(child_);
  PerfMapFile file(files, ::getuid());
  EXPECT_FALSE(file.refresh());
}

TEST_F(PerfMapFileTest, BelievesOnlyTheTargetsUserAndRoot) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  append("1000 10 planted\n");
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  const TargetFiles files(child_);
  PerfMapFile of_someone_else(files, 1000);
  EXPECT_FALSE(of_someone_else.refresh());
  EXPECT_EQ(of_someone_else.why_not(), path_ + " belongs to user 65534, not to the target's");
  PerfMapFile of_its_owner(files, 65534);
  EXPECT_TRUE(of_its_owner.refresh());
}
