// tests/survival/allocators_test.cc
//
// Group 4 of README.md, the allocator matrix: each allocator linked into the program, preloaded behind the probe and
// preloaded in front of it. The program gives the same output as without the probe and ends the same; every call is
// counted once; and where the probe cannot see the heap, it says so.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

enum class Way { kLinked, kPreloadedBehind, kPreloadedInFront };

struct Cell {
  const char* allocator;  // empty: glibc's
  Way way;
};
std::string name_of(const ::testing::TestParamInfo<Cell>& cell) {
  std::string name = *cell.param.allocator == '\0' ? "glibc" : cell.param.allocator;
  name = name.substr(0, name.find(".so"));
  for (char& letter : name)
    if (!isalnum(static_cast<unsigned char>(letter))) letter = '_';
  switch (cell.param.way) {
    case Way::kLinked:
      return name + "_linked";
    case Way::kPreloadedBehind:
      return name + "_behind";
    default:
      return name + "_in_front";
  }
}

class Survival04 : public ::testing::TestWithParam<Cell> {
 protected:
  void SetUp() override {
    if (*GetParam().allocator == '\0') return;
    library_ = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/" + GetParam().allocator;
    if (!std::filesystem::exists(library_)) GTEST_SKIP() << library_ << " is not installed";
  }
  // One run of `every-call`; with the probe, or as it is without.
  std::unique_ptr<Probed> run(const char* count, bool with_probe,
                              const std::map<std::string, std::string>& environment) {
    Program program{.arguments = {victim(), "every-call", count}, .environment = environment, .preload = ""};
    if (GetParam().way == Way::kLinked) {
      if (!library_.empty())
        program.arguments[0] = victim() + "_" + std::filesystem::path(library_).stem().stem().string();
      if (with_probe) program.preload = "@";
    } else {
      const bool is_behind = GetParam().way == Way::kPreloadedBehind;
      program.preload = !with_probe ? library_ : is_behind ? "@:" + library_ : library_ + ":@";
    }
    return std::make_unique<Probed>(program);
  }
  std::string library_;
};

TEST_P(Survival04, ProgramsRunTheSameAndEveryCallIsCountedOnce) {
  const auto without = run("300", false, {});
  ASSERT_EQ(without->signal, SIGKILL) << without->out << without->err;
  EXPECT_EQ(without->out, "bad 0\nelsewhere 1\n");
  for (const auto& environment : {std::map<std::string, std::string>{}, kDensest}) {
    const auto few = run("100", true, environment), many = run("300", true, environment);
    for (const auto* each : {&few, &many}) {
      ASSERT_EQ((*each)->signal, SIGKILL) << (*each)->out << (*each)->err;
      EXPECT_EQ((*each)->out, without->out);
      EXPECT_EQ((*each)->err, without->err);
    }
    const auto region = many->region();
    const Totals difference = totals_of(region) - totals_of(few->region());
    const std::uint64_t rounds = 200;
    if (GetParam().way == Way::kPreloadedInFront && !library_.empty()) {
      // No call reaches the probe, and the recording says why.
      EXPECT_EQ(difference.allocs, 0u);
      EXPECT_EQ(difference.frees, 0u);
      EXPECT_EQ(difference.bytes, 0u);
      EXPECT_NE(region.status()->message.find("heap is not seen"), std::string::npos) << region.status()->message;
    } else {
      EXPECT_EQ(difference.allocs, rounds * 22);
      EXPECT_EQ(difference.frees, rounds * 22);
      EXPECT_EQ(difference.bytes, rounds * 22'086);
      EXPECT_EQ(region.status()->message.find("heap is not seen"), std::string::npos) << region.status()->message;
      // All that was sampled was freed: nothing of these sizes is left.
      auto live = live_by_size(region);
      for (const std::uint64_t bytes : {100, 4'000, 8'000, 300, 700, 1'536, 2'048})
        EXPECT_EQ(live[bytes], 0u) << bytes << " bytes";
    }
  }
}

std::vector<Cell> all_cells() {
  std::vector<Cell> cells = {{"", Way::kLinked}};
  for (const char* allocator : {"libjemalloc.so.2", "libtcmalloc.so.4", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"})
    for (const Way way : {Way::kLinked, Way::kPreloadedBehind, Way::kPreloadedInFront})
      cells.push_back({allocator, way});
  return cells;
}
INSTANTIATE_TEST_SUITE_P(Matrix, Survival04, ::testing::ValuesIn(all_cells()), name_of);

}  // namespace
}  // namespace camprobe::tests
