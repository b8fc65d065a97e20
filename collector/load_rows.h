// collector/load_rows.h
//
// What a load tool said, as rows of a run: wall-clock times onto the run's clock, buckets onto its whole seconds.
#pragma once

#include <optional>

#include "collector/load/timeline.h"
#include "run/reader.h"
#include "run/writer.h"

namespace camprobe {

// `file` is where it came from. `skew` is added to the tool's clock: 0 where it ran on this machine, nothing where it
// is not known. Gives how many buckets were written.
std::size_t write_load(run::Writer& writer, const load::LoadTimeline& timeline, const std::string& file,
                       std::int64_t started_realtime_ns, std::optional<load::Nanoseconds> skew);

// By how much the clock of a tool that ran elsewhere must be put forward: from the requests it says it sent and what
// the processes of the run read from sockets. Nothing where the load had no changes by which that can be told.
std::optional<load::Nanoseconds> find_skew(run::Reader& run, const load::LoadTimeline& timeline,
                                           std::int64_t started_realtime_ns);

}  // namespace camprobe
