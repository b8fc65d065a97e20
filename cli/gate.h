// cli/gate.h: `camprobe gate RUN`: does a run keep to its limits? Exit code 99 where not.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace camprobe::cli {

inline constexpr int kGateCrossed = 99;  // as k6 ends where a threshold is crossed

struct GateOptions {
  std::string run;
  std::string tier{};           // community | professional | enterprise
  std::string gates{};          // a file
  std::string format = "text";  // text | json | md | junit
  std::string output{};         // "" or "-": standard output
};

// Returns the exit code: 0; 99 where a gate was not passed; 2 where the run or the gates cannot be read, after one line
// on standard error; 1 where the run is damaged and no gate was crossed in what could be read.
int run_gate(const GateOptions& options);

void add_gate_command(CLI::App& app, int& exit_code);

// --tier and --gates, for the commands that take gates.
void add_gate_options(CLI::App& command, std::string& tier, std::string& gates);

}  // namespace camprobe::cli
