// cli/summary.cc: see summary.h.
#include "cli/summary.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

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
  exporters::TextStyle style;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = std::min<std::size_t>(size.ws_col, 120);
    const char* no_colour = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    style.colour =
        (no_colour == nullptr || *no_colour == '\0') && terminal != nullptr && std::string_view(terminal) != "dumb";
  }
  fmt::print(stderr, "{}", exporters::report_text(analysis::analyse(*reader), style));
}

}  // namespace camprobe::cli
