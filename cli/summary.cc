// cli/summary.cc: see summary.h.
#include "cli/summary.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/terminal.h"
#include "collector/naming/stack_namer.h"
#include "exporters/report_text.h"
#include "run/reader.h"

namespace camprobe::cli {

bool print_summary(const std::string& run, const std::vector<gates::Gate>& gates) {
  auto reader = naming::open_named(run);
  if (!reader) {
    fmt::print(stderr, "camprobe: {}\n", reader.error());
    return gates.empty();
  }
  const run::Report report = gates::analyse_with_gates(*reader, gates);
  fmt::print(stderr, "{}", exporters::report_text(report, style_of_terminal(STDERR_FILENO)));
  return gates::all_passed(report);
}

bool keeps_to(const std::string& run, const std::vector<gates::Gate>& gates) {
  auto reader = naming::open_named(run);
  if (!reader) {
    fmt::print(stderr, "camprobe: {}\n", reader.error());
    return false;
  }
  const run::Report report = gates::analyse_with_gates(*reader, gates);
  for (const run::ReportGate& gate : report.gates) {
    if (!gate.passed) fmt::print(stderr, "camprobe: gate not passed: {}: {}\n", gate.name, gate.text);
  }
  return gates::all_passed(report);
}

}  // namespace camprobe::cli
