// cli/terminal_style.h: how text for a person is laid out where it goes: as wide as the terminal, and as lines are
// still read well; coloured on a terminal that wants it (NO_COLOR, TERM=dumb).
#pragma once

#include "exporters/report_text.h"

namespace camprobe::cli {

exporters::TextStyle terminal_style(int descriptor);

}  // namespace camprobe::cli
