// exporters/callgrind.h
//
// A slice in callgrind's format (valgrind.org/docs/manual/cl-format.html): KCachegrind, QCachegrind and
// callgrind_annotate open it. Self cost by function and line, cost of calls by calling line; each figure the slice has
// is an event.
//
// A call's cost is that of all stacks it is on, counted once a stack, so recursion is not counted again at each depth;
// functions that call each other in a ring are a cycle, which KCachegrind finds by itself.
#pragma once

#include <string>

#include "exporters/slice.h"

namespace camprobe::exporters {

// `slice` was read with all columns and lines apart. `command`: the program, for the viewer's title.
std::string to_callgrind(const Slice& slice, const std::string& command);

}  // namespace camprobe::exporters
