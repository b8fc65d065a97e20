// tests/survival/watchdog_test.cc
//
// The watchdog that all of these tests stand under (tests/probe/probed.h).
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

TEST(Watchdog, EndsAProgramThatHangsAndSaysWhichAndWhere) {
  ::testing::TestPartResultArray failures;
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    const Probed probed({.arguments = {"sleep", "100"}, .seconds = 1});
    EXPECT_FALSE(probed.exited);
  }
  ASSERT_EQ(failures.size(), 1);
  const std::string said = failures.GetTestPartResult(0).message();
  EXPECT_NE(said.find("`sleep 100` did not end within 1 s"), std::string::npos) << said;
  EXPECT_NE(said.find("thread "), std::string::npos) << said;
  EXPECT_NE(said.find("nanosleep"), std::string::npos) << said;
}

}  // namespace
}  // namespace camprobe::tests
