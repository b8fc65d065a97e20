// cli/summary.cc: see summary.h.
#include "cli/summary.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/terminal.h"
#include "collector/analysis/from_run.h"
#include "exporters/report_text.h"
#include "run/reader.h"

namespace camprobe::cli {

void print_summary(const std::string& run) {
  auto reader = run::Reader::open(run);
  if (!reader) {
    fmt::print(stderr, "camprobe: {}\n", reader.error());
    return;
  }
  fmt::print(stderr, "{}", exporters::report_text(analysis::analyse(*reader), style_of_terminal(STDERR_FILENO)));
}

}  // namespace camprobe::cli
