// Which programs are refused before they are started, and what a target's environment holds.
#include "collector/attach/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "collector/attach/launch.h"
#include "collector/attach/regions.h"
#include "tests/run/scratch.h"

namespace camprobe::attach {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class ProgramTest : public ::testing::Test {
 protected:
  std::string why_not(const std::string& name) {
    const auto program = find_program(name);
    return program ? "it can be preloaded" : program.error();
  }
  std::string file(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = scratch_ / name;
    std::ofstream(path, std::ios::binary) << content;
    chmod(path.c_str(), mode);
    return path;
  }
  run::Scratch scratch_;
};

TEST_F(ProgramTest, IsFoundInPath) {
  const auto program = find_program("sh");
  ASSERT_TRUE(program) << program.error();
  EXPECT_TRUE(std::filesystem::path(program->path).is_absolute());
  EXPECT_THAT(program->loader, HasSubstr("ld-linux"));
}

TEST_F(ProgramTest, WhatIsNoProgramIsSaidInOneLine) {
  EXPECT_THAT(why_not("no-such-program-anywhere"), HasSubstr("no such program in PATH"));
  EXPECT_THAT(why_not("/nowhere/at/all"), HasSubstr("no such program"));
  EXPECT_THAT(why_not("/tmp"), HasSubstr("is a directory"));
  EXPECT_THAT(why_not(file("plain", "echo hi", 0644)), HasSubstr("is not executable"));
  EXPECT_THAT(why_not(file("no-magic", "echo hi")), HasSubstr("neither a program nor a script"));
  EXPECT_THAT(why_not(file("lost", "#!/no/such/interpreter\n")), HasSubstr("/no/such/interpreter is not there"));
  EXPECT_THAT(why_not(file("cut", "\177ELF")), HasSubstr("another kind of machine"));
}

TEST_F(ProgramTest, ScriptsAreJudgedByTheirInterpreter) {
  const auto direct = find_program(file("direct", "#!/bin/sh -e\nexit 0\n"));
  ASSERT_TRUE(direct) << direct.error();
  EXPECT_TRUE(direct->is_script);
  EXPECT_EQ(direct->executable, "/bin/sh");
  const auto through_env = find_program(file("env", "#!/usr/bin/env sh\nexit 0\n"));
  ASSERT_TRUE(through_env) << through_env.error();
  EXPECT_THAT(through_env->executable, HasSubstr("/sh"));
}

TEST_F(ProgramTest, StaticBinariesAreRefused) {
  const std::string source = file("static.c", "int main(void) { return 0; }\n", 0644);
  const std::string binary = scratch_ / "static";
  ASSERT_EQ(std::system(("cc -static -o " + binary + " " + source).c_str()), 0);
  EXPECT_THAT(why_not(binary), HasSubstr("statically linked"));
}

TEST(TargetEnvironment, KeepsAnExistingPreloadBehindTheProbe) {
  const auto environment =
      target_environment({"A=b", "LD_PRELOAD=/usr/lib/libjemalloc.so.2", "NODE_OPTIONS=--max-old-space-size=512"},
                         "/opt/lib/libcamprobe.so", "00ff", 77);
  EXPECT_THAT(environment, Contains("A=b"));
  EXPECT_THAT(environment, Contains("LD_PRELOAD=/opt/lib/libcamprobe.so:/usr/lib/libjemalloc.so.2"));
  EXPECT_THAT(environment,
              Contains("NODE_OPTIONS=--max-old-space-size=512 --perf-basic-prof --interpreted-frames-native-stack"));
  EXPECT_THAT(environment, Contains("CAMPROBE_RUN=00ff:77"));
}

TEST(TargetEnvironment, DoesNotRepeatItself) {
  const auto environment =
      target_environment({"NODE_OPTIONS=--perf-basic-prof", "CAMPROBE_RUN=old:1"}, "/l.so", "new", 2);
  EXPECT_THAT(environment, Contains("NODE_OPTIONS=--perf-basic-prof --interpreted-frames-native-stack"));
  EXPECT_THAT(environment, Contains("CAMPROBE_RUN=new:2"));
  EXPECT_THAT(environment, ::testing::Not(Contains("CAMPROBE_RUN=old:1")));
}

TEST(Regions, AreOnlyFilesOfTheirOwner) {
  run::Scratch scratch;
  const std::string mine = scratch / ("camprobe." + std::to_string(geteuid()) + ".99999999.5");
  std::ofstream(mine) << "x";
  std::ofstream(scratch / "camprobe.99.1.5") << "somebody else's name";
  std::ofstream(scratch / "camprobe.x") << "no region's name";
  std::filesystem::create_symlink("/etc/passwd", scratch / ("camprobe." + std::to_string(geteuid()) + ".1.5"));
  const auto found = find_regions(geteuid(), scratch.path());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, mine);
  EXPECT_EQ(found[0].name.pid, 99999999u);
  EXPECT_FALSE(found[0].is_alive);
}

}  // namespace
}  // namespace camprobe::attach
