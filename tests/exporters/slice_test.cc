// tests/exporters/slice_test.cc: which part of a run each --what is, to the last byte, on a run small enough to add up
// by hand.
#include "exporters/slice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "tests/exporters/synthetic_run.h"

namespace camprobe::exporters {
namespace {

using testing::HasSubstr;
using tests::kSecondNs;
using tests::RunBuilder;

class SliceTest : public testing::Test {
 protected:
  SliceTest()
      : path_(std::filesystem::temp_directory_path() / ("camprobe-slice-" + std::to_string(::getpid()) + ".camrun")) {}
  ~SliceTest() override { std::filesystem::remove(path_); }

  run::Reader open() {
    auto reader = run::Reader::open(path_.string());
    EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error());
    return std::move(reader).value();
  }

  static Filter filter(run::Reader& run, std::int64_t from_s, std::int64_t to_s, std::optional<std::int64_t> pid) {
    Filter filter(TimeRange{from_s * kSecondNs, to_s * kSecondNs});
    if (pid) filter.processes = filter_of(run, {.process = std::to_string(*pid)}).processes;
    return filter;
  }

  // "root;leaf" -> weight
  std::map<std::string, double> read(What what, std::int64_t from_s, std::int64_t to_s,
                                     std::optional<std::int64_t> pid = std::nullopt) {
    run::Reader run = open();
    const Slice slice = read_slice(run, what, filter(run, from_s, to_s, pid));
    std::map<std::string, double> stacks;
    double total = 0;
    for (const WeightedStack& stack : slice.stacks) {
      std::string path;
      for (const FrameIndex frame : stack.root_first) path += (path.empty() ? "" : ";") + slice.frames[frame].function;
      EXPECT_TRUE(stacks.emplace(path, stack.weight).second) << "two rows for " << path;
      total += stack.weight;
    }
    EXPECT_DOUBLE_EQ(total, slice.total);
    notes_ = slice.notes;
    return stacks;
  }

  std::string error_of(What what, std::int64_t from_s, std::int64_t to_s,
                       std::optional<std::int64_t> pid = std::nullopt) {
    run::Reader run = open();
    try {
      read_slice(run, what, filter(run, from_s, to_s, pid));
    } catch (const SliceError& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path path_;
  std::vector<std::string> notes_;
};

TEST_F(SliceTest, CpuIsWhatWasSampledInTheRangeByStack) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t a = run.stack(p, {{"main"}, {"parse"}});
    const std::int64_t same =
        run.stack(p, {{"main"}, {"parse", "/srv/bin/cam-server", "other.cc", 9}});  // another line
    const std::int64_t b = run.stack(p, {{"main"}, {"send"}});
    run.cpu(p, 1, a, 2, 20e6);
    run.cpu(p, 2, same, 1, 10e6);
    run.cpu(p, 4, b, 5, 50e6);
    run.cpu(p, 9, a, 7, 70e6);
    run.finish();
  }
  EXPECT_EQ(read(What::kCpu, 0, 5), (std::map<std::string, double>{{"main;parse", 30e6}, {"main;send", 50e6}}));
  EXPECT_EQ(read(What::kCpu, 2, 10), (std::map<std::string, double>{{"main;parse", 80e6}, {"main;send", 50e6}}));
}

TEST_F(SliceTest, LiveRetainedAndGrowthFollowBirthAndDeath) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t kept = run.stack(p, {{"main"}, {"keep"}});
    const std::int64_t freed = run.stack(p, {{"main"}, {"use"}});
    run.object(p, kept, 100, 1 * kSecondNs, std::nullopt);
    run.object(p, kept, 40, 6 * kSecondNs, std::nullopt);
    run.object(p, freed, 500, 2 * kSecondNs, 5 * kSecondNs);
    run.object(p, freed, 60, 4 * kSecondNs, 8 * kSecondNs);
    run.finish();
  }
  using Stacks = std::map<std::string, double>;
  EXPECT_EQ(read(What::kLive, 0, 3), (Stacks{{"main;keep", 100}, {"main;use", 500}}));
  EXPECT_EQ(read(What::kLive, 0, 7), (Stacks{{"main;keep", 140}, {"main;use", 60}}));
  EXPECT_EQ(read(What::kLive, 0, 10), (Stacks{{"main;keep", 140}}));
  EXPECT_EQ(read(What::kRetained, 2, 7), (Stacks{{"main;keep", 40}, {"main;use", 60}}));
  EXPECT_EQ(read(What::kGrowth, 3, 7), (Stacks{{"main;keep", 40}}));  // `use` shrank, so it is not growth
  EXPECT_THAT(error_of(What::kGrowth, 7, 10), HasSubstr("no stack held more at the end than at the beginning"));
}

TEST_F(SliceTest, AllocAndTemporaryCountBytesAndObjects) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t a = run.stack(p, {{"main"}, {"format"}});
    run.alloc(p, 1, a, 1000.5, 7);
    run.alloc(p, 2, a, 2000.25, 0);
    run.finish();
  }
  EXPECT_EQ(read(What::kAlloc, 0, 10), (std::map<std::string, double>{{"main;format", 3000.75}}));
  EXPECT_EQ(read(What::kTemporary, 0, 10), (std::map<std::string, double>{{"main;format", 7}}));
  EXPECT_EQ(unit_of(What::kTemporary), Unit::kObjects);
}

TEST_F(SliceTest, WaitEndsInTheCallUnlessTheStackDoes) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t loop = run.stack(p, {{"main"}, {"loop"}});
    const std::int64_t whole = run.stack(p, {{"main"}, {"poll"}});
    run.insert("wait", {p, std::int64_t{1}, std::int64_t{1}, loop, run.name("epoll_wait"), std::int64_t{3}, 3e9});
    run.insert("wait", {p, std::int64_t{1}, std::int64_t{1}, loop, run.name("recv"), std::int64_t{1}, 1e9});
    run.insert("wait", {p, std::int64_t{1}, std::int64_t{1}, whole, run.name("poll"), std::int64_t{1}, 2e9});
    run.finish();
  }
  EXPECT_EQ(read(What::kWait, 0, 10), (std::map<std::string, double>{
                                          {"main;loop;epoll_wait", 3e9}, {"main;loop;recv", 1e9}, {"main;poll", 2e9}}));
}

TEST_F(SliceTest, IoStandsUnderTheStackThatOpenedTheDescriptor) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t dial = run.stack(p, {{"main"}, {"dial"}});
    run.insert("descriptor", {std::int64_t{1}, p, std::int64_t{7}, std::int64_t{1}, "connect", "10.0.0.1:80", dial,
                              kSecondNs, nullptr, std::int64_t{1}, std::int64_t{300}, std::int64_t{1},
                              std::int64_t{200}, std::int64_t{1}, std::int64_t{1}});
    run.insert("descriptor_sum", {p, std::int64_t{4}, "connect", "10.0.0.1:80", dial, std::int64_t{1}, std::int64_t{1},
                                  std::int64_t{1}, std::int64_t{30}, std::int64_t{1}, std::int64_t{0}});
    run.insert("descriptor",
               {std::int64_t{2}, p, std::int64_t{8}, std::int64_t{1}, "file", nullptr, dial, 8 * kSecondNs, nullptr,
                std::int64_t{1}, std::int64_t{9}, std::int64_t{0}, std::int64_t{0}, std::int64_t{1}, std::int64_t{1}});
    run.finish();
  }
  using Stacks = std::map<std::string, double>;
  EXPECT_EQ(read(What::kIo, 0, 6),
            (Stacks{{"main;dial;connect 10.0.0.1:80;read", 330}, {"main;dial;connect 10.0.0.1:80;write", 200}}));
  EXPECT_EQ(read(What::kIo, 6, 10), (Stacks{{"main;dial;file;read", 9}}));
}

TEST_F(SliceTest, SpansNestAndKeepOnlyTheirOwnTime) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    const auto span = [&](std::int64_t id, std::int64_t parent, const char* name, std::int64_t from,
                          std::optional<std::int64_t> to) {
      run.insert("span", {p, id, parent, run.name(name), from, to ? RunBuilder::Value(*to) : RunBuilder::Value(nullptr),
                          std::int64_t{1}, nullptr, "{}"});
    };
    span(1, 0, "request", 1000, 11000);
    span(2, 1, "arbitration", 2000, 4000);
    span(3, 1, "call", 4000, 9000);
    span(4, 3, "connect", 4500, 5500);
    span(5, 0, "request", 2 * kSecondNs, std::nullopt);  // never ended
    span(8, 9, "ring a", 100, 200);                      // parents that form a ring
    span(9, 8, "ring b", 100, 200);
    span(10, 10, "its own parent", 100, 107);
    run.insert("span_stat",
               {p, std::int64_t{0}, run.name("request"), std::int64_t{50}, std::int64_t{1}, std::int64_t{1}, "{}"});
    run.finish();
  }
  const auto stacks = read(What::kSpans, 0, 10);
  EXPECT_DOUBLE_EQ(stacks.at("request"), 3000);
  EXPECT_DOUBLE_EQ(stacks.at("request;arbitration"), 2000);
  EXPECT_DOUBLE_EQ(stacks.at("request;call"), 4000);
  EXPECT_DOUBLE_EQ(stacks.at("request;call;connect"), 1000);
  EXPECT_DOUBLE_EQ(stacks.at("its own parent"), 7);
  EXPECT_THAT(notes_, testing::ElementsAre(HasSubstr("7 of 50 spans were kept one by one")));
}

TEST_F(SliceTest, ProcessesStandAtTheRootOnlyWhereThereAreSeveral) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    for (const std::int64_t pid : {11, 12}) {
      const std::int64_t p = run.process(pid, "/usr/sbin/nginx");
      run.cpu(p, 1, run.stack(p, {{"main"}}), 1, 1e6 * static_cast<double>(pid));
    }
    run.process(13, "/usr/sbin/nginx");  // never sampled
    run.finish();
  }
  EXPECT_EQ(read(What::kCpu, 0, 10),
            (std::map<std::string, double>{{"nginx (pid 11);main", 11e6}, {"nginx (pid 12);main", 12e6}}));
  EXPECT_EQ(read(What::kCpu, 0, 10, 12), (std::map<std::string, double>{{"main", 12e6}}));
  EXPECT_THAT(error_of(What::kCpu, 0, 10, 99), HasSubstr("--process 99: no such process"));
  EXPECT_THAT(error_of(What::kCpu, 0, 10, 13), HasSubstr("nothing to export for cpu"));
}

TEST_F(SliceTest, UnknownAndTruncatedStacksSaySo) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "10000000000");
    const std::int64_t p = run.process(5, "/bin/server");
    run.cpu(p, 1, 0, 1, 1);
    run.cpu(p, 1, 777, 1, 2);
    run.cpu(p, 1, run.stack(p, {{"middle"}, {"leaf"}}, true), 1, 4);
    run.cpu(p, 1, run.stack(p, {{"main"}, {""}}), 1, 8);
    run.finish();
  }
  EXPECT_EQ(
      read(What::kCpu, 0, 10),
      (std::map<std::string, double>{{"[unknown stack]", 3}, {"[truncated];middle;leaf", 4}, {"main;[unknown]", 8}}));
}

TEST_F(SliceTest, AnEmptySliceSaysWhatWhereAndWhy) {
  tests::empty_run(path_);
  for (const What what : {What::kCpu, What::kAlloc, What::kLive, What::kGrowth, What::kRetained, What::kTemporary,
                          What::kWait, What::kIo, What::kSpans}) {
    const std::string error = error_of(what, 0, 5);
    EXPECT_THAT(error, HasSubstr(path_.string()));
    EXPECT_THAT(error, HasSubstr("nothing to export for " + std::string(name_of(what)) + " between 0 s and 5 s"));
    EXPECT_THAT(error, testing::Not(HasSubstr("\n")));
  }
}

TEST_F(SliceTest, TheServersLeakIsTheSumOfWhatItLeaked) {
  const tests::ServerRun facts = tests::server_run(path_);
  const auto stacks = read(What::kRetained, facts.onset_s, facts.duration_s);
  double leaked = 0;
  for (const auto& [path, weight] : stacks) {
    if (path.find(facts.leaking_function) != std::string::npos) leaked += weight;
  }
  EXPECT_NEAR(leaked, facts.leaked_bytes, 1);
  for (const auto& [path, weight] : read(What::kLive, 0, facts.onset_s - 1))
    EXPECT_THAT(path, testing::Not(HasSubstr(facts.leaking_function)));
}

TEST(Instant, IsSecondsOrAShareOfTheRun) {
  constexpr std::int64_t kRun = 7200 * kSecondNs;
  EXPECT_EQ(instant_of("0", kRun, "--from"), 0);
  EXPECT_EQ(instant_of("90", kRun, "--from"), 90 * kSecondNs);
  EXPECT_EQ(instant_of("12.5", kRun, "--from"), 12'500'000'000);
  EXPECT_EQ(instant_of("90s", kRun, "--from"), 90 * kSecondNs);
  EXPECT_EQ(instant_of("250ms", kRun, "--from"), 250'000'000);
  EXPECT_EQ(instant_of("5m", kRun, "--from"), 300 * kSecondNs);
  EXPECT_EQ(instant_of("1m30s", kRun, "--from"), 90 * kSecondNs);
  EXPECT_EQ(instant_of("2h", kRun, "--from"), 7200 * kSecondNs);
  EXPECT_EQ(instant_of("50%", kRun, "--from"), 3600 * kSecondNs);
  EXPECT_EQ(instant_of("100%", kRun, "--to"), kRun);
  EXPECT_EQ(instant_of("7200.5", kRun, "--to"), kRun);  // the run's last, broken second
}

TEST(Instant, RefusesWhatIsNoneAndWhatLiesOutside) {
  constexpr std::int64_t kRun = 100 * kSecondNs;
  const auto error = [&](const char* text) -> std::string {
    try {
      instant_of(text, kRun, "--to");
    } catch (const SliceError& refused) {
      return refused.what();
    }
    return "accepted";
  };
  for (const char* text :
       {"", "x", "5x", "5 m", "m5", "nan", "inf", "1e9", "0x10", "50%%", "5%s", "1s5", "1s50%", "--", "5m-1s", " 5"}) {
    EXPECT_THAT(error(text), HasSubstr("--to")) << text;
    EXPECT_THAT(error(text), HasSubstr("write seconds since the start")) << text;
  }
  EXPECT_THAT(error("-1"), HasSubstr("before the run began"));
  EXPECT_THAT(error("102"), HasSubstr("beyond the end of the run, which lasted 100 s"));
  EXPECT_THAT(error("101%"), HasSubstr("beyond the end of the run"));
  EXPECT_THAT(error("99999999999999999999d"), HasSubstr("beyond the end of the run"));
  EXPECT_THROW(range_of("60", "30", kRun), SliceError);
  EXPECT_THROW(range_of("60", "60", kRun), SliceError);
  EXPECT_THROW(range_of("100%", std::nullopt, kRun), SliceError);
  EXPECT_EQ(range_of(std::nullopt, "30%", kRun).to_ns, 30 * kSecondNs);
}

}  // namespace
}  // namespace camprobe::exporters
