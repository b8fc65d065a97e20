// Names that come and go beside somebody who asks whether they did.
#include "collector/attach/directory_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "tests/run/scratch.h"

namespace camprobe::attach {
namespace {

// As if nothing had happened to the directory for an hour.
void make_old(const std::string& directory) {
  timespec times[2] = {};
  ::clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= 3600;
  times[1] = times[0];
  ASSERT_EQ(::utimensat(AT_FDCWD, directory.c_str(), times, 0), 0);
}

TEST(DirectoryWatch, IsQuietWhileNothingHappens) {
  run::Scratch scratch;
  make_old(scratch.path());
  DirectoryWatch watch(scratch.path());
  EXPECT_TRUE(watch.may_have_changed()) << "never listed yet";
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(watch.may_have_changed());
}

TEST(DirectoryWatch, SeesNamesComeAndGo) {
  run::Scratch scratch;
  make_old(scratch.path());
  DirectoryWatch watch(scratch.path());
  ASSERT_TRUE(watch.may_have_changed());
  ASSERT_FALSE(watch.may_have_changed());
  std::ofstream(scratch / "region") << "x";
  EXPECT_TRUE(watch.may_have_changed());
  make_old(scratch.path());
  ASSERT_TRUE(watch.may_have_changed());
  ASSERT_FALSE(watch.may_have_changed());
  ASSERT_EQ(::unlink((scratch / "region").c_str()), 0);
  EXPECT_TRUE(watch.may_have_changed());
}

// The time's grain is a tick: what comes in the tick of the last listing leaves it as it was.
TEST(DirectoryWatch, DoesNotTrustATimeThatIsYoung) {
  run::Scratch scratch;
  DirectoryWatch watch(scratch.path());
  std::ofstream(scratch / "first") << "x";
  EXPECT_TRUE(watch.may_have_changed());
  EXPECT_TRUE(watch.may_have_changed()) << "another may have come meanwhile";
  bool is_quiet = false;
  for (int i = 0; i < 100 && !is_quiet; ++i) {
    ::usleep(10'000);
    is_quiet = !watch.may_have_changed();
  }
  EXPECT_TRUE(is_quiet);
}

TEST(DirectoryWatch, ADirectoryThatIsNotThereMayAlwaysHaveChanged) {
  DirectoryWatch watch("/no/such/directory");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(watch.may_have_changed());
}

}  // namespace
}  // namespace camprobe::attach
