// cli/export.h: `camprobe export RUN --what WHAT --format FORMAT`: a slice of a run in a format other tools read.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace camprobe::cli {

struct ExportOptions {
  std::string run;
  std::string what{};  // "": cpu, or everything for csv
  std::string format = "folded";
  std::optional<std::string> from{};
  std::optional<std::string> to{};
  std::optional<std::int64_t> pid{};
  std::string output{};  // "" or "-": standard output
};

// Returns the exit code: 0, or 2 where the run or the slice cannot be used, after one line on standard error.
int run_export(const ExportOptions& options);

// Adds the subcommand to `app`; when it is chosen, its exit code goes to `exit_code`.
void add_export_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
