// tests/exporters/flamegraph_svg_test.cc: the text of the SVG; tests/viewer/browser.mjs opens it and uses it.
#include "exporters/flamegraph_svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace camprobe::exporters {
namespace {

using testing::HasSubstr;
using testing::Not;

Slice three_stacks() {
  Slice slice;
  slice.what = What::kAlloc;
  slice.range = {0, 60'000'000'000};
  slice.frames = {{"main", "m.cc", 1, "/bin/s", "native"},
                  {"parse<int>", "p.cc", 42, "/bin/s", "native"},
                  {"a & b", "", 0, "/lib/x.so", "native"}};
  slice.stacks = {{{0, 1}, 3 << 20}, {{0, 2}, 1 << 20}, {{0}, 1 << 19}};
  slice.total = (3 << 20) + (1 << 20) + (1 << 19);
  return slice;
}

std::size_t frames_in(const std::string& svg) {
  std::size_t frames = 0;
  for (std::size_t at = 0; (at = svg.find("<g class=\"f\" tabindex", at)) != std::string::npos; ++at) ++frames;
  return frames;
}

TEST(FlamegraphSvg, TellsTotalsSelfShareAndPlaceOfEachFrame) {
  const std::string svg = to_flamegraph_svg(three_stacks());
  EXPECT_THAT(svg, HasSubstr("alloc: 4.50 MiB, 0 s to 60 s"));
  EXPECT_THAT(svg, HasSubstr("<title>main\ntotal 4.50 MiB (100.00 %), self 512 KiB (11.11 %)\nm.cc:1\n/bin/s</title>"));
  EXPECT_THAT(
      svg,
      HasSubstr("<title>parse&lt;int&gt;\ntotal 3.00 MiB (66.67 %), self 3.00 MiB (66.67 %)\np.cc:42\n/bin/s</title>"));
  EXPECT_THAT(svg, HasSubstr("data-n=\"a &amp; b\""));
  EXPECT_EQ(frames_in(svg), 4u);  // with "all"
}

TEST(FlamegraphSvg, AsksNothingOfAnyNetwork) {
  std::string svg = to_flamegraph_svg(three_stacks());
  for (const std::string name : {"xmlns=\"http://www.w3.org/2000/svg\"", "xmlns=\"http://www.w3.org/1999/xhtml\""}) {
    ASSERT_NE(svg.find(name), std::string::npos);
    svg.erase(svg.find(name), name.size());
  }
  EXPECT_THAT(svg, Not(HasSubstr("http")));
  EXPECT_THAT(svg, Not(HasSubstr("href")));
}

TEST(FlamegraphSvg, LeavesOutTheLightestBeyondItsBoundAndSaysSo) {
  Slice slice = three_stacks();
  for (int i = 0; i < 500; ++i) {
    slice.frames.push_back({"light" + std::to_string(i), "", 0, "/bin/s", "native"});
    slice.stacks.push_back({{0, static_cast<FrameIndex>(slice.frames.size() - 1)}, 10.0 + i});
    slice.total += 10.0 + i;
  }
  const std::string svg = to_flamegraph_svg(slice, {.title = "", .most_frames = 100});
  EXPECT_LE(frames_in(svg), 100u);
  EXPECT_GE(frames_in(svg), 95u);
  EXPECT_THAT(svg, HasSubstr("lightest of 504 frames are not drawn"));
  EXPECT_THAT(svg, HasSubstr("light499"));
  EXPECT_THAT(svg, Not(HasSubstr("light0\"")));
}

}  // namespace
}  // namespace camprobe::exporters
