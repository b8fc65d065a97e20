// exporters/gperftools.h
//
// A slice as gperftools' own profilers write them, for google-pprof: what is on a CPU or waits as its CPU profile
// (binary words), the heap as its heap profile (text: "objects: bytes [allocated objects: allocated bytes] @
// addresses").
//
// Names come along in front ("--- symbol"), as `google-pprof --raw` writes them, so that neither the program nor its
// symbols are needed. Addresses are therefore made up: one for each function, so that google-pprof adds up by function.
#pragma once

#include <string>

#include "exporters/slice.h"

namespace camprobe::exporters {

// Whether the format has a place for it: cpu, wait, alloc, live, growth and retained.
bool gperftools_holds(What what);

// `slice` was read with all columns. `program`: its path, which google-pprof shows.
std::string to_gperftools(const Slice& slice, const std::string& program);

}  // namespace camprobe::exporters
