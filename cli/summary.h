// cli/summary.h: what a recording showed, said at its end.
#pragma once

#include <string>

namespace camprobe::cli {

// The text report of a run on standard error, which is ours: standard output is the recorded program's.
void print_summary(const std::string& run);

}  // namespace camprobe::cli
