// cli/summary.h: what a recording showed, said at its end.
#pragma once

#include <string>
#include <vector>

#include "collector/gates/gate.h"

namespace camprobe::cli {

// The text report of a run on standard error, which is ours: standard output is the recorded program's.
// False where a gate was not passed.
bool print_summary(const std::string& run, const std::vector<gates::Gate>& gates = {});

// The same without a word, but for the gates that were not passed.
bool keeps_to(const std::string& run, const std::vector<gates::Gate>& gates);

}  // namespace camprobe::cli
