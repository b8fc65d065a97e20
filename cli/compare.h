// cli/compare.h: `camprobe compare BASE RUN [RUN...]` and `camprobe baseline`: runs against runs, and runs kept to be
// compared with.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace camprobe::cli {

struct CompareOptions {
  std::vector<std::string> base, runs;  // run files or baselines
  std::string format = "text";          // text | json | md
  std::string output{};                 // "" or "-": standard output
  std::string fail_on{};                // "" | worse | cannot-tell
  std::string flamegraph{};             // a file: .svg, else folded stacks with two numbers
  std::string what = "cpu";             // slice of the flame graph
};

// Returns the exit code: 0; 99 where `fail_on` is met; 2 where something cannot be read or written.
int run_compare(const CompareOptions& options);

void add_compare_command(CLI::App& app, int& exit_code);
void add_baseline_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
