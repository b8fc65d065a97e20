// cli/load.h: `camprobe load FILE`: what a load tool's output holds, as camprobe understands it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace camprobe::cli {

struct LoadOptions {
  std::string file;
  std::string format = "text";
  std::string h2load_summary;  // a file with what h2load printed; empty: none
};

// Prints to standard output, errors to standard error. Returns the exit code: 0, or 2 where the file cannot be used.
int run_load(const LoadOptions& options);

// Adds the subcommand to `app`; when it is chosen, its exit code goes to `exit_code`.
void add_load_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
