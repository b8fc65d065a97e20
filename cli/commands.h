// cli/commands.h: what main() puts together. One file a subcommand; each function adds its own, and when it is chosen
// its exit code goes to `exit_code`: 0, 2 where the user can put it right, 1 for anything else.
#pragma once

#include <CLI/CLI.hpp>

namespace camprobe::cli {

void add_run_command(CLI::App& app, int& exit_code);
void add_attach_command(CLI::App& app, int& exit_code);
void add_list_command(CLI::App& app, int& exit_code);
void add_mark_command(CLI::App& app, int& exit_code);
void add_set_command(CLI::App& app, int& exit_code);
void add_snapshot_command(CLI::App& app, int& exit_code);
void add_doctor_command(CLI::App& app, int& exit_code);
void add_enable_command(CLI::App& app, int& exit_code);
void add_serve_command(CLI::App& app, int& exit_code);
void add_push_command(CLI::App& app, int& exit_code);
void add_suite_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
