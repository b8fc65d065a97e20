// collector/analysis/populations_of_run.h
//
// What was born and died in a recorded run, stack by stack: sampled heap objects, descriptors, threads, mappings.
#pragma once

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

// Fills populations, origins, heap_interval and heap_lost_share; needs the stretch and `own`.
void read_populations(run::Reader& reader, RunInput& input);

}  // namespace camprobe::analysis
