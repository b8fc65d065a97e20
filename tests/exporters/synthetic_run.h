// tests/exporters/synthetic_run.h
//
// Runs made by hand, straight from run/schema.sql: a server with a leak whose every figure is known, an empty run, one
// with names nobody should trust, and one of three days with 20,000 stacks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/exporters/run_builder.h"

namespace camprobe::tests {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;

// What the tests expect of server_run(): one process, ten minutes, a leak from `onset_s` on.
struct ServerRun {
  std::int64_t duration_s = 600;
  std::int64_t onset_s = 240;
  double leaked_bytes = 0;
  std::string leaking_function = "cam::RequestLog::remember(cam::Request const&)";
};
ServerRun server_run(const std::filesystem::path& path);

void empty_run(const std::filesystem::path& path);

// Names that end scripts, open tags, quote, turn text around, break UTF-8 and never end.
std::vector<std::string> hostile_names();
void hostile_run(const std::filesystem::path& path);

// 72 hours, already folded to minutes, 20,000 stacks, `processes` processes.
void large_run(const std::filesystem::path& path, int stacks = 20000, int hours = 72);

}  // namespace camprobe::tests
