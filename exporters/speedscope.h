// exporters/speedscope.h
//
// A slice in speedscope's own format (www.speedscope.app/file-format-schema.json), several profiles in one file:
// everything together, then each thread (or process, where threads are not recorded). Samples are in the order of time,
// so that its "Time Order" view shows when what was done. Spans are evented profiles: one for each track of a thread,
// in which spans open and close at their own times.
#pragma once

#include <string>
#include <vector>

#include "exporters/output.h"
#include "exporters/samples.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `notes` gains what a reader should know. Throws SliceError as read_samples() does.
void to_speedscope(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes, Output& out);

}  // namespace camprobe::exporters
