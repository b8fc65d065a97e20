// exporters/chrome_trace.h
//
// A timeline as Chrome's Trace Event JSON (the "Trace Event Format" document): chrome://tracing, ui.perfetto.dev,
// speedscope and many more open it. Spans are complete events ("X"), flows "s" and "f", series counters ("C"), load
// windows complete events of a process called "load", marks instants ("i"). Times are microseconds since the run began.
#pragma once

#include "exporters/filter.h"
#include "exporters/output.h"
#include "exporters/timeline.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `timeline` is that of the filter.
void to_chrome_trace(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out);

}  // namespace camprobe::exporters
