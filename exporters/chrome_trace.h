// exporters/chrome_trace.h
//
// A timeline as Chrome's Trace Event JSON (the "Trace Event Format" document): chrome://tracing, ui.perfetto.dev,
// speedscope and many more open it. Spans are complete events ("X"), flows "s" and "f", series counters ("C"), load
// windows complete events of a process called "load", marks instants ("i"). Times are microseconds since the run began.
#pragma once

#include <string>
#include <vector>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `notes` gains what a reader should know. Throws SliceError as timeline_of() does.
std::string to_chrome_trace(run::Reader& run, const Filter& filter, std::vector<std::string>& notes);

}  // namespace camprobe::exporters
