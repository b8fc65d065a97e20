// exporters/folded.h
//
// Folded stacks: "root;caller;leaf 1234", one stack a line, as flamegraph.pl, inferno, speedscope and many others read.
#pragma once

#include <string>

#include "exporters/slice.h"

namespace camprobe::exporters {

// Whole numbers whose sum is the slice's total rounded: what rounding takes from one stack it gives to another, so that
// sums over this file and over the run agree. Semicolons in names become colons; stacks that come to 0 are left out.
std::string to_folded(const Slice& slice);

}  // namespace camprobe::exporters
