// cli/terminal.cc: see terminal.h.
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace camprobe::cli {

exporters::TextStyle style_of_terminal(int descriptor) {
  exporters::TextStyle style;
  if (::isatty(descriptor) == 0) return style;
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    style.width = std::min<std::size_t>(size.ws_col, 120);
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  style.colour =
      (no_colour == nullptr || *no_colour == '\0') && terminal != nullptr && std::string_view(terminal) != "dumb";
  return style;
}

exporters::TextStyle style_of_output(const std::string& output) {
  return output.empty() || output == "-" ? style_of_terminal(STDOUT_FILENO) : exporters::TextStyle{};
}

}  // namespace camprobe::cli
