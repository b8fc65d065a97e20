// tests/sampler/settings_test.cc
#include "sampler/settings.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "shm/setting_text.h"

namespace camprobe::sampler {
namespace {

struct ReadBack {
  Settings settings;
  std::string complaint;
};
ReadBack read(std::vector<std::string> entries) {
  std::vector<const char*> environment;
  for (const auto& entry : entries) environment.push_back(entry.c_str());
  environment.push_back(nullptr);
  char complaint[512];
  ReadBack result;
  read_environment(environment.data(), &result.settings, complaint, sizeof complaint);
  result.complaint = complaint;
  return result;
}

TEST(Settings, DefaultsAreTheTables) {
  const ReadBack none = read({"PATH=/bin", "CAMPROBES=1"});
  EXPECT_EQ(none.complaint, "");
  EXPECT_EQ(none.settings.families, shm::kAllFamilies);
  EXPECT_TRUE(none.settings.heap_interval_is_auto);
  EXPECT_EQ(none.settings.heap_interval, 32u << 10);
  EXPECT_EQ(none.settings.cpu_hz, 99u);
  EXPECT_EQ(none.settings.wait_interval_ns, 10'000'000u);
  EXPECT_EQ(none.settings.budget_ppm, 10'000u);
  EXPECT_EQ(none.settings.cpu_hz, shm::kDefaultCpuHz);
  EXPECT_EQ(none.settings.wait_interval_ns, shm::kDefaultWaitInterval);
  EXPECT_TRUE(none.settings.follow_fork);
  EXPECT_FALSE(none.settings.verbose);
}

TEST(Settings, ValuesWithUnits) {
  const auto interval = [](const char* text) { return read({std::string("CAMPROBE_HEAP_INTERVAL=") + text}); };
  EXPECT_EQ(interval("524288").settings.heap_interval, 524288u);
  EXPECT_FALSE(interval("524288").settings.heap_interval_is_auto);
  EXPECT_EQ(interval("512KiB").settings.heap_interval, 524288u);
  EXPECT_EQ(interval("0.5MiB").settings.heap_interval, 524288u);
  EXPECT_EQ(interval("1024GiB").settings.heap_interval, std::uint64_t{1} << 40);
  EXPECT_EQ(interval("0").settings.heap_interval, 0u);
  EXPECT_EQ(read({"CAMPROBE_WAIT_INTERVAL=250us"}).settings.wait_interval_ns, 250'000u);
  EXPECT_EQ(read({"CAMPROBE_WAIT_INTERVAL=1.5s"}).settings.wait_interval_ns, 1'500'000'000u);
  EXPECT_EQ(read({"CAMPROBE_WAIT_INTERVAL=0"}).settings.wait_interval_ns, 0u);
  EXPECT_EQ(read({"CAMPROBE_BUDGET=0.25%"}).settings.budget_ppm, 2'500u);
  EXPECT_EQ(read({"CAMPROBE_FAMILIES=heap,cpu"}).settings.families, 3u);
  EXPECT_EQ(read({"CAMPROBE_FAMILIES=none"}).settings.families, 0u);
  const Settings run = read({"CAMPROBE_RUN=nightly:7:4242"}).settings;
  EXPECT_STREQ(run.run_id, "nightly:7");
  EXPECT_EQ(run.collector_pid, 4242u);
}

TEST(Settings, WhatIsWrongIsNamedAndIgnored) {
  for (const char* wrong :
       {"CAMPROBE_HEAP_INTERVAL=63", "CAMPROBE_HEAP_INTERVAL=1KB", "CAMPROBE_HEAP_INTERVAL=-1",
        "CAMPROBE_HEAP_INTERVAL=99999999999999999999", "CAMPROBE_HEAP_INTERVAL=1.", "CAMPROBE_CPU_HZ=10001",
        "CAMPROBE_CPU_HZ=99hz", "CAMPROBE_WAIT_INTERVAL=10", "CAMPROBE_WAIT_INTERVAL=5000s", "CAMPROBE_BUDGET=101%",
        "CAMPROBE_BUDGET=0", "CAMPROBE_FAMILIES=heap,,cpu", "CAMPROBE_FAMILIES=Heap", "CAMPROBE_RUN=:1",
        "CAMPROBE_RUN=x:y", "CAMPROBE_FOLLOW_FORK=yes", "CAMPROBE_VERBOSE=2"}) {
    const ReadBack result = read({wrong});
    EXPECT_NE(result.complaint.find(wrong), std::string::npos) << wrong << ": " << result.complaint;
    EXPECT_EQ(result.settings.heap_interval, default_settings().heap_interval) << wrong;
    EXPECT_EQ(result.settings.cpu_hz, 99u) << wrong;
    EXPECT_EQ(result.settings.families, shm::kAllFamilies) << wrong;
    EXPECT_EQ(result.settings.run_id[0], '\0') << wrong;
  }
  EXPECT_EQ(read({"CAMPROBE_HZ=5"}).complaint, "camprobe: ignored CAMPROBE_HZ (no such variable)\n");
  EXPECT_EQ(read({"CAMPROBE_CPU_HZ="}).complaint, "") << "empty is unset";
  const std::string both = read({"CAMPROBE_HZ=5", "CAMPROBE_CPU_HZ=\x1b[1m" + std::string(600, 'x')}).complaint;
  EXPECT_EQ(both.find('\x1b'), std::string::npos) << "control characters stay out of terminals";
  EXPECT_EQ(both.back(), '\n');
  EXPECT_LT(both.size(), 512u);
}

TEST(Settings, TheValuesThatTheTableNamesAreTheOnesThatAreTaken) {
  const auto is_taken = [](const std::string& entry) { return read({entry}).complaint.empty(); };
  for (std::size_t i = 0; i < kEnvironmentSize; ++i) {
    const EnvironmentVariable& variable = kEnvironment[i];
    const std::string begin = std::string(variable.name) + "=";
    EXPECT_TRUE(is_taken(begin + variable.default_value)) << variable.name;
    const std::string values = variable.values;
    const auto names = [&](const std::string& text) { return values.find(text) != std::string::npos; };
    if (begin == "CAMPROBE_CPU_HZ=") {
      EXPECT_TRUE(names("`" + std::to_string(shm::kMostCpuHz) + "`") &&
                  is_taken(begin + std::to_string(shm::kMostCpuHz)));
      EXPECT_FALSE(is_taken(begin + std::to_string(shm::kMostCpuHz + 1)));
    } else if (begin == "CAMPROBE_HEAP_INTERVAL=") {
      EXPECT_TRUE(names(std::to_string(shm::kSmallestHeapInterval) + " bytes"));
      EXPECT_TRUE(is_taken(begin + std::to_string(shm::kSmallestHeapInterval)));
      EXPECT_FALSE(is_taken(begin + std::to_string(shm::kSmallestHeapInterval - 1)));
      EXPECT_TRUE(names(std::to_string(shm::kLargestHeapInterval >> 30) + " GiB"));
      EXPECT_TRUE(is_taken(begin + std::to_string(shm::kLargestHeapInterval)));
      EXPECT_FALSE(is_taken(begin + std::to_string(shm::kLargestHeapInterval + 1)));
    } else if (begin == "CAMPROBE_WAIT_INTERVAL=") {
      const std::uint64_t most = shm::kLongestWaitInterval / 1'000'000'000;
      EXPECT_TRUE(names("`" + std::to_string(most) + "s`") && is_taken(begin + std::to_string(most) + "s"));
      EXPECT_FALSE(is_taken(begin + std::to_string(most + 1) + "s"));
    } else if (begin == "CAMPROBE_BUDGET=") {
      EXPECT_TRUE(is_taken(begin + "0.001%") && is_taken(begin + "100%") && names("`0.001%` to `100%`"));
      EXPECT_FALSE(is_taken(begin + "0.0009%") || is_taken(begin + "100.1%"));
    } else if (begin == "CAMPROBE_FAMILIES=") {
      for (const shm::FamilyName& family : shm::kFamilyNames)
        EXPECT_TRUE(names("`" + std::string(family.name) + "`") && is_taken(begin + family.name)) << family.name;
    }
  }
}

TEST(Settings, TheDocumentShowsTheTable) {
  std::ifstream file(std::string(CAMPROBE_SOURCE_DIR) + "/docs/environment.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string document = text.str();
  // The other direction, and what the command reads: tests/layers/check_environment.py.
  for (std::size_t i = 0; i < kEnvironmentSize; ++i) {
    const EnvironmentVariable& variable = kEnvironment[i];
    const std::string value = *variable.default_value == '\0' ? "" : "`" + std::string(variable.default_value) + "`";
    const std::string row =
        "| `" + std::string(variable.name) + "` | " + value + " | " + variable.values + " | " + variable.meaning + " |";
    EXPECT_NE(document.find(row), std::string::npos) << "docs/environment.md wants the row\n" << row;
  }
}

}  // namespace
}  // namespace camprobe::sampler
