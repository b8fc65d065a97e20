// cli/terminal.h: how a text may look where it goes to.
#pragma once

#include <string>

#include "exporters/report_text.h"

namespace camprobe::cli {

// As wide as the terminal behind `descriptor`, and as lines are still read well; in colour there unless NO_COLOR or
// TERM forbid it. The plain style where it is no terminal.
exporters::TextStyle style_of_terminal(int descriptor);

// The same for a command's result: `output` is its -o, "" or "-" standard output, anything else a file.
exporters::TextStyle style_of_output(const std::string& output);

}  // namespace camprobe::cli
