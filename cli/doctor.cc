// cli/doctor.cc: `camprobe doctor [PROGRAM]`: what works here and what does not.
#include "collector/doctor.h"

#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"

namespace camprobe::cli {
namespace {

int print_findings(const std::string& program) {
  bool all_good = true;
  const auto findings = examine(program);
  if (!findings) {
    fmt::print(stderr, "camprobe doctor: {}\n", findings.error());
    return 2;
  }
  for (const Finding& finding : *findings) {
    const char* sign = finding.grade == Finding::Grade::kGood   ? "ok  "
                       : finding.grade == Finding::Grade::kNote ? "note"
                                                                : "BAD ";
    fmt::print("{}  {}\n", sign, finding.what);
    if (!finding.advice.empty()) fmt::print("      {}\n", finding.advice);
    all_good &= finding.grade != Finding::Grade::kBad;
  }
  return all_good ? 0 : 1;
}

}  // namespace

void add_doctor_command(CLI::App& app, int& exit_code) {
  auto program = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("doctor", "Say what works here, for one program or in general");
  command->footer(
      "Ends with 1 where something that recording needs does not work, with 2 where there is no such program.\n\n  "
      "camprobe doctor ./server");
  command->add_option("PROGRAM", *program, "A program to look at: can it be preloaded?")->type_name("");
  command->callback([program, &exit_code] { exit_code = print_findings(*program); });
}

}  // namespace camprobe::cli
