// tests/probe/law_test.cc
//
// The probe's first law: it never changes what the program does, whatever the program does.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

const std::map<std::string, std::string> kDensest = {{"CAMPROBE_HEAP_INTERVAL", "64"}, {"CAMPROBE_CPU_HZ", "4000"}};

TEST(Law, EveryRefusalIsTheSameAsWithout) {
  Probed without({.arguments = {CAMPROBE_ANSWERS}, .preload = ""});
  EXPECT_EQ(without.status, 23) << without.signal;
  for (const auto& environment : {std::map<std::string, std::string>{}, kDensest}) {
    Probed with({.arguments = {CAMPROBE_ANSWERS}, .environment = environment});
    EXPECT_EQ(with.status, 23) << with.signal;
    EXPECT_EQ(with.out, without.out);
    EXPECT_EQ(with.err, without.err);
    // Children that shared its memory and ended, or became other programs, did not end its recording.
    EXPECT_EQ(with.region().status()->state, shm::RegionState::kExited);
    EXPECT_EQ(with.region().status()->exit_status, 23);
  }
}

void expect_success(const std::string& what, const std::string& follow_fork = "1") {
  auto environment = kDensest;
  environment["CAMPROBE_FOLLOW_FORK"] = follow_fork;
  Probed with({.arguments = {CAMPROBE_RUDE, what}, .environment = environment, .run = Run::kNamed, .seconds = 60});
  EXPECT_EQ(with.status, 0) << what << " was ended by signal " << with.signal << "; " << with.err;
}

TEST(Law, AnotherAllocatorMayComeFirst) {
  int allocators = 0;
  for (const char* name : {"libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libmimalloc.so.2"}) {
    const std::string path = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/" + name;
    if (!std::filesystem::exists(path)) continue;
    ++allocators;
    Probed without({.arguments = {CAMPROBE_ANSWERS}, .preload = path});
    Probed with({.arguments = {CAMPROBE_ANSWERS}, .environment = kDensest, .preload = path + ":@"});
    EXPECT_EQ(with.status, 23) << name << ", signal " << with.signal;
    EXPECT_EQ(with.out, without.out) << name;
    Probed plain({.arguments = {CAMPROBE_PLAIN}, .environment = kDensest, .preload = path + ":@"});
    EXPECT_EQ(plain.status, 6) << name << ", signal " << plain.signal;
  }
  if (allocators == 0) GTEST_SKIP() << "no other allocator is installed";
}

TEST(Law, AForkInASignalHandlerGoesOnInTheChild) {
  expect_success("fork-in-handler");
  expect_success("fork-in-handler", "0");
}
TEST(Law, HandlersThatJumpOutOfTheProbeBlockNobody) {
  expect_success("jumps");
}
TEST(Law, LibrariesThatGoWithoutDlcloseDoNotHurtForks) {
  expect_success("converters");
}
TEST(Law, AnAlternateStackIsNotOverrun) {
  expect_success("alternate-stack");
}

}  // namespace
}  // namespace camprobe::tests
