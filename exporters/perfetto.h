// exporters/perfetto.h
//
// A timeline as a Perfetto trace (protobuf, native packets): ui.perfetto.dev and trace_processor open it. The same as
// Chrome's JSON holds, in about a quarter of the bytes: names are interned, and times are on the machine's monotonic
// clock with its wall clock beside it.
#pragma once

#include <string>
#include <vector>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `notes` gains what a reader should know. Throws SliceError as timeline_of() does.
std::string to_perfetto(run::Reader& run, const Filter& filter, std::vector<std::string>& notes);

}  // namespace camprobe::exporters
