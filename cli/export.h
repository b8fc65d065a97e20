// cli/export.h: `camprobe export RUN --what WHAT --format FORMAT`: a slice of a run in a format other tools read.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "exporters/formats.h"

namespace camprobe::cli {

struct ExportOptions {
  std::string run;
  exporters::ExportRequest request{};
  std::string base{};    // another run, for what changed from it
  std::string output{};  // "" or "-": standard output
};

// Returns the exit code: 0, or 2 where the run or the slice cannot be used, after one line on standard error.
int run_export(const ExportOptions& options);

// Adds the subcommand to `app`; when it is chosen, its exit code goes to `exit_code`.
void add_export_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
