// exporters/pprof.h
//
// A slice as a pprof profile (profile.proto, gzip): `go tool pprof`, Pyroscope, Parca, Polar Signals, Datadog and
// speedscope read it. Inlined calls are lines of one location, modules are mappings with their build-ids, and each
// sample has the labels `process`, `thread`, `span`, `provider`, `peer`, `kind` and `window` as far as the run knows
// them.
//
// Several sample types: time and samples; of the heap alloc_objects, alloc_space, inuse_objects and inuse_space, as
// Go's own heap profile has them. The slice's own is the default.
#pragma once

#include <string>

#include "exporters/samples.h"
#include "run/reader.h"

namespace camprobe::exporters {

// Values are whole numbers whose sum over all samples is the slice's total, rounded. `notes` gains what a reader
// should know. Throws SliceError as read_samples() does.
std::string to_pprof(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes);

// The same with `span` as the only label, for stores that make a series of each combination of labels.
std::string to_pprof_by_span(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes);

}  // namespace camprobe::exporters
