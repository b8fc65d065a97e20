// exporters/perfetto.h
//
// A timeline as a Perfetto trace (protobuf, native packets): ui.perfetto.dev and trace_processor open it. The same as
// Chrome's JSON holds, in about a quarter of the bytes: names are interned, and times are on the machine's monotonic
// clock with its wall clock beside it.
#pragma once

#include "exporters/filter.h"
#include "exporters/output.h"
#include "exporters/timeline.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `timeline` is that of the filter.
void to_perfetto(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out);

}  // namespace camprobe::exporters
