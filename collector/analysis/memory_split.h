// collector/analysis/memory_split.h
//
// What resident memory is made of: the live heap (from samples), what the allocator keeps for reuse (by its own
// figures, docs/memory.md), the program's own mappings, and the rest.
#pragma once

#include <map>

#include "collector/analysis/input.h"
#include "run/reader.h"
#include "run/report.h"

namespace camprobe::analysis {

// Of each process, when its resident memory was last read.
std::map<run::ProcessId, run::ReportMemory> memory_at_the_end(run::Reader& reader);

// What allocators keep for reuse, all processes together: what they say, or, of one that says only what it holds, that
// less the live heap.
std::vector<GaugePoint> retained_by_allocators(run::Reader& reader);

}  // namespace camprobe::analysis
