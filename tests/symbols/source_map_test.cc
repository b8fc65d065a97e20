// tests/symbols/source_map_test.cc
#include "collector/symbols/source_map.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace camprobe::symbols;

namespace {

std::optional<std::int64_t> vlq(std::string_view text) {
  const auto value = take_vlq(text);
  return text.empty() ? value : std::nullopt;
}

std::unique_ptr<SourceMap> parse(const std::string& json, const std::string& directory = "/srv/dist") {
  std::string error;
  return SourceMap::parse(json, directory, error);
}

// What tsc makes of
//   interface Provider { price: number }
//
//   export function cost(p: Provider): number {
//     return p.price * 2;
//   }
constexpr char kTsc[] =
    R"({"version":3,"file":"cost.js","sourceRoot":"","sources":["../src/cost.ts"],"names":[],)"
    R"("mappings":";;AAEA,oBAEC;AAFD,SAAgB,IAAI,CAAC,CAAW;IAC9B,OAAO,CAAC,CAAC,KAAK,GAAG,CAAC,CAAC;AACrB,CAAC"})";

}  // namespace

TEST(SourceMapVlq, ReadsNumbers) {
  EXPECT_EQ(vlq("A"), 0);
  EXPECT_EQ(vlq("C"), 1);
  EXPECT_EQ(vlq("D"), -1);
  EXPECT_EQ(vlq("gB"), 16);
  EXPECT_EQ(vlq("hB"), -16);
  EXPECT_EQ(vlq("2H"), 123);
  EXPECT_EQ(vlq("gkxH"), 123456);
}

TEST(SourceMapVlq, RefusesWhatIsNone) {
  for (const char* text : {"", "g", "gggggggggggggA", "!", " "}) EXPECT_EQ(vlq(text), std::nullopt) << text;
}

TEST(SourceMap, FindsTheLineInTypeScript) {
  const auto map = parse(kTsc);
  ASSERT_TRUE(map);
  // "function cost(p)" on line 4 of the JavaScript; V8 points at the parenthesis.
  EXPECT_EQ(map->find(4, 14), (OriginalPosition{"/srv/src/cost.ts", 3}));
  EXPECT_EQ(map->find(5, 5), (OriginalPosition{"/srv/src/cost.ts", 4}));
  EXPECT_EQ(map->find(1, 1), std::nullopt);
  EXPECT_EQ(map->find(2, 1), std::nullopt);
  EXPECT_EQ(map->find(99, 1), std::nullopt);
  EXPECT_EQ(map->find(0, 0), std::nullopt);
}

TEST(SourceMap, WithoutAColumnFindsALineThatComesFromOneLine) {
  const auto map = parse(kTsc);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->find(4, 0), (OriginalPosition{"/srv/src/cost.ts", 3}));
  EXPECT_EQ(map->find(5, 0), (OriginalPosition{"/srv/src/cost.ts", 4}));
  EXPECT_EQ(map->find(1, 0), std::nullopt);
  EXPECT_EQ(map->find(99, 0), std::nullopt);
}

TEST(SourceMap, WithoutAColumnDoesNotGuessWithinAMinifiedLine) {
  // Two positions on the one generated line: from line 1, and from line 2.
  const auto map = parse(R"({"version":3,"sources":["a.ts"],"mappings":"AAAA,UACA"})");
  ASSERT_TRUE(map);
  EXPECT_EQ(map->find(1, 1), (OriginalPosition{"/srv/dist/a.ts", 1}));
  EXPECT_EQ(map->find(1, 11), (OriginalPosition{"/srv/dist/a.ts", 2}));
  EXPECT_EQ(map->find(1, 0), std::nullopt);
}

TEST(SourceMap, JoinsRootDirectoryAndSource) {
  const auto source = [](const std::string& root, const std::string& name) {
    const auto map =
        parse(R"({"version":3,"sourceRoot":")" + root + R"(","sources":[")" + name + R"("],"mappings":"AAAA"})");
    return map && map->find(1, 1) ? map->find(1, 1)->file : "";
  };
  EXPECT_EQ(source("", "a.ts"), "/srv/dist/a.ts");
  EXPECT_EQ(source("../src", "a.ts"), "/srv/src/a.ts");
  EXPECT_EQ(source("/opt/app/", "a.ts"), "/opt/app/a.ts");
  EXPECT_EQ(source("", "/opt/a.ts"), "/opt/a.ts");
  EXPECT_EQ(source("", "file:///opt/my%20app/a.ts"), "/opt/my app/a.ts");
  EXPECT_EQ(source("", "webpack://app/./src/a.ts"), "webpack://app/./src/a.ts");
}

TEST(SourceMap, LeavesPositionsWithoutSourceAlone) {
  const auto map = parse(R"({"version":3,"sources":["a.ts"],"mappings":"AAAA,I"})");
  ASSERT_TRUE(map);
  EXPECT_EQ(map->find(1, 4), (OriginalPosition{"/srv/dist/a.ts", 1}));
  EXPECT_EQ(map->find(1, 5), std::nullopt);
}

TEST(SourceMap, ReadsMapsMadeOfSections) {
  const auto map = parse(R"({"version":3,"sections":[
    {"offset":{"line":0,"column":0},"map":{"version":3,"sources":["a.ts"],"mappings":"AAAA"}},
    {"offset":{"line":10,"column":4},"map":{"version":3,"sources":["b.ts"],"mappings":"AAEA;AACA"}}]})");
  ASSERT_TRUE(map);
  EXPECT_EQ(map->find(1, 1), (OriginalPosition{"/srv/dist/a.ts", 1}));
  EXPECT_EQ(map->find(11, 4), std::nullopt);
  EXPECT_EQ(map->find(11, 5), (OriginalPosition{"/srv/dist/b.ts", 3}));
  EXPECT_EQ(map->find(12, 1), (OriginalPosition{"/srv/dist/b.ts", 4}));
}

TEST(SourceMap, SaysWhyAMapIsNone) {
  const auto why = [](const char* json) {
    std::string error;
    EXPECT_EQ(SourceMap::parse(json, "/", error), nullptr) << json;
    return error;
  };
  EXPECT_EQ(why("<html>"), "not JSON");
  EXPECT_EQ(why("[]"), "not JSON");
  EXPECT_EQ(why(R"({"version":2,"sources":[],"mappings":""})"), "not version 3");
  EXPECT_EQ(why(R"({"version":3,"mappings":""})"), "no mappings or sources");
  EXPECT_EQ(why(R"({"version":3,"sources":["a"],"mappings":"A!"})"), "mappings are not VLQ");
  EXPECT_EQ(why(R"({"version":3,"sources":["a"],"mappings":"ACAA"})"), "mappings lead outside of the sources");
  EXPECT_EQ(why(R"({"version":3,"sources":["a"],"mappings":"DAAA"})"), "mappings lead outside of the sources");
  EXPECT_EQ(why(R"({"version":3,"sections":[{"offset":{"line":-1,"column":0},"map":{}}]})"),
            "a section without offset or map");
}

namespace {

class SourceMapsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(::testing::TempDir()) / ("source-maps-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_ / "dist");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  std::optional<OriginalPosition> find(const std::string& file, std::uint32_t line, std::uint32_t column) {
    return maps_.find(TargetFiles(0), file, line, column);
  }

  std::filesystem::path directory_;
  SourceMaps maps_;
};

}  // namespace

TEST_F(SourceMapsTest, FollowsTheCommentAtTheEnd) {
  write("dist/cost.js.map", kTsc);
  const std::string script = write(
      "dist/cost.js",
      "\"use strict\";\n//# sourceMappingURL=old.map\n//\nfunction cost(p) {\n}\n//# sourceMappingURL=cost.js.map\n");
  EXPECT_EQ(find(script, 4, 14), (OriginalPosition{(directory_ / "src/cost.ts").string(), 3}));
  EXPECT_EQ(find(script, 5, 5), (OriginalPosition{(directory_ / "src/cost.ts").string(), 4}));
}

TEST_F(SourceMapsTest, ReadsAMapInTheComment) {
  const std::string script = write("dist/inline.js",
                                   "f();\n//# sourceMappingURL=data:application/json;charset=utf-8;base64,"
                                   "eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImEudHMiXSwibWFwcGluZ3MiOiJBQU1BIn0=\n");
  EXPECT_EQ(find(script, 1, 1), (OriginalPosition{(directory_ / "dist/a.ts").string(), 7}));
}

TEST_F(SourceMapsTest, HasNothingToSayWithoutAMap) {
  EXPECT_EQ(find(write("dist/plain.js", "f();\n"), 1, 1), std::nullopt);
  EXPECT_EQ(find(write("dist/lost.js", "f();\n//# sourceMappingURL=nowhere.map\n"), 1, 1), std::nullopt);
  EXPECT_EQ(find(write("dist/broken.js", "f();\n//# sourceMappingURL=data:application/json;base64,e30=\n"), 1, 1),
            std::nullopt);
  EXPECT_EQ(find(write("dist/text.js", "const s = 'sourceMappingURL=cost.js.map';\n"), 1, 1), std::nullopt);
  EXPECT_EQ(find("node:internal/timers", 1, 1), std::nullopt);
  EXPECT_EQ(find("/no/such/file.js", 1, 1), std::nullopt);
}

TEST_F(SourceMapsTest, ForgetsTheLeastRecentlyUsed) {
  SourceMaps small(20000);
  const std::string many = R"({"version":3,"sources":["a.ts"],"mappings":")" + [] {
    std::string mappings = "AAAA";
    for (int i = 0; i < 300; ++i) mappings += ";AACA";
    return mappings;
  }() + "\"}";
  for (int i = 0; i < 20; ++i) {
    const std::string name = "dist/f" + std::to_string(i) + ".js";
    write(name + ".map", many);
    const std::string script = write(name, "//# sourceMappingURL=f" + std::to_string(i) + ".js.map\n");
    EXPECT_EQ(small.find(TargetFiles(0), script, 101, 1)->line, 101u);
    EXPECT_LE(small.bytes(), 20000u);
  }
}
