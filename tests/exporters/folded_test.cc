// tests/exporters/folded_test.cc
#include "exporters/folded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "exporters/safe_text.h"
#include "tests/exporters/synthetic_run.h"

namespace camprobe::exporters {
namespace {

Slice slice_of(const std::vector<std::pair<std::vector<std::string>, double>>& stacks) {
  Slice slice;
  for (const auto& [names, weight] : stacks) {
    WeightedStack stack;
    stack.weight = weight;
    for (const std::string& name : names) {
      stack.root_first.push_back(static_cast<FrameIndex>(slice.frames.size()));
      slice.frames.push_back({name, "", 0, "", "native"});
    }
    slice.total += weight;
    slice.stacks.push_back(stack);
  }
  return slice;
}

// What flamegraph.pl and its kin do with a line: the number after the last space is the weight.
std::int64_t sum_of(const std::string& text) {
  std::istringstream lines(text);
  std::int64_t sum = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.rfind(' ');
    if (space == std::string::npos || space == 0 ||
        line.find_first_not_of("0123456789", space + 1) != std::string::npos) {
      ADD_FAILURE() << "no folded stack: " << line;
      continue;
    }
    EXPECT_NE(line.front(), ';') << line;
    EXPECT_NE(line[space - 1], ';') << line;
    sum += std::stoll(line.substr(space + 1));
  }
  return sum;
}

TEST(Folded, IsRootFirstWithWholeNumbers) {
  EXPECT_EQ(to_folded(slice_of({{{"main", "loop", "read"}, 12}, {{"main", "idle"}, 3}})),
            "main;idle 3\nmain;loop;read 12\n");
}

TEST(Folded, SumsAreExactWhateverRoundingDoes) {
  std::vector<std::pair<std::vector<std::string>, double>> stacks;
  for (int i = 0; i < 1000; ++i) stacks.push_back({{"main", "f" + std::to_string(i)}, 0.4 + i % 3});
  const Slice slice = slice_of(stacks);
  EXPECT_EQ(sum_of(to_folded(slice)), std::llround(slice.total));
}

TEST(Folded, MakesNamesSafeAndAddsThoseThatBecomeEqual) {
  const std::string text = to_folded(slice_of({{{"a;b", " two\nlines ", "tab\there"}, 5},
                                               {{"a:b", "two lines", "tab here"}, 2},
                                               {{"", "   "}, 1},
                                               {{"operator new(unsigned long)"}, 4},
                                               {{"bad \xFF utf"}, 1}}));
  EXPECT_EQ(text,
            "[unknown];[unknown] 1\n"
            "a:b;two lines;tab here 7\n"
            "bad \xEF\xBF\xBD utf 1\n"
            "operator new(unsigned long) 4\n");
}

TEST(Folded, HostileRunStaysLineByLine) {
  const auto path =
      std::filesystem::temp_directory_path() / ("camprobe-folded-" + std::to_string(::getpid()) + ".camrun");
  tests::hostile_run(path);
  auto run = run::Reader::open(path.string());
  ASSERT_TRUE(run.ok());
  const Slice slice = read_slice(*run, What::kCpu, TimeRange{0, run->duration_ns()});
  const std::string text = to_folded(slice);
  EXPECT_EQ(sum_of(text), std::llround(slice.total));
  EXPECT_EQ(printable_utf8(text.substr(0, text.find('\n'))), text.substr(0, text.find('\n')));
  std::filesystem::remove(path);
}

TEST(SafeText, ReplacesWhatIsNoUtf8AndWhatPrintsNothing) {
  EXPECT_EQ(printable_utf8("plain \xC3\xA9 \xE6\xBC\xA2 \xF0\x9F\x8E\x89"),
            "plain \xC3\xA9 \xE6\xBC\xA2 \xF0\x9F\x8E\x89");
  EXPECT_EQ(printable_utf8("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // overlong
  EXPECT_EQ(printable_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  EXPECT_EQ(printable_utf8("\xF4\x90\x80\x80").size(), 12u);                          // beyond Unicode
  EXPECT_EQ(printable_utf8(std::string("a\0b\r\n\x7F\xC2\x85", 8)), "a b    ");
  EXPECT_EQ(printable_utf8("\xE2\x80\xA8"), " ");
  EXPECT_EQ(printable_utf8("\xEF\xBF\xBE"), "\xEF\xBF\xBD");
  EXPECT_EQ(printable_utf8("cut \xE6\xBC"), "cut \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(SafeText, ShortensByCharactersAndEscapesForXml) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "ab\xE2\x80\xA6");
  EXPECT_EQ(shortened("\xC3\xA9\xC3\xA9\xC3\xA9", 2), "\xC3\xA9\xE2\x80\xA6");
  EXPECT_EQ(xml_text("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
}

}  // namespace
}  // namespace camprobe::exporters
