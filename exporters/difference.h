// exporters/difference.h
//
// What changed from one group of runs to another, as stacks: a slice whose every stack carries its weight before and
// after, brought to the same work. As folded stacks with two numbers ("root;leaf BEFORE AFTER", what difffolded.pl
// makes and flamegraph.pl and inferno read), or as a flame graph in SVG: a frame as wide as its mean of before and
// after, so that what is new and what vanished both show; red where it grew, blue where it fell.
#pragma once

#include <string>
#include <vector>

#include "exporters/slice.h"

namespace camprobe::exporters {

// `scale_before` brings the base's weights to the other side's work (requests after over requests before); 0: to the
// other side's total, so that only shares are compared. Both sides hold at least one slice of the same kind.
Slice difference_of(const std::vector<Slice>& before, const std::vector<Slice>& after, double scale_before);

std::string to_folded_difference(const Slice& difference);

}  // namespace camprobe::exporters
