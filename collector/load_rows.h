// collector/load_rows.h
//
// What a load tool said, as rows of a run: wall-clock times onto the run's clock, buckets onto its whole seconds.
#pragma once

#include "collector/load/timeline.h"
#include "run/writer.h"

namespace camprobe {

// `file` is where it came from; `skew` is added to the tool's clock. Gives how many buckets were written.
std::size_t write_load(run::Writer& writer, const load::LoadTimeline& timeline, const std::string& file,
                       std::int64_t started_realtime_ns, load::Nanoseconds skew);

}  // namespace camprobe
