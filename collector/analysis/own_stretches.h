// collector/analysis/own_stretches.h
//
// Processes that are judged within their own life. What a process held goes with it: within the run's stretch every
// object of a server that was restarted half way counts as dead at its end, and a start-up half way looks like a step.
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"
#include "collector/analysis/thresholds.h"
#include "run/rows.h"

namespace camprobe::analysis {

struct OwnStretch {
  std::vector<run::ProcessId> processes;  // a server's workers, which began and ended with each other
  Stretch stretch;
};

// Of the processes that began after the warm-up of the run's stretch or ended before its end, those that lived long
// enough, and did enough, to be judged by themselves, longest first. All others are judged in the run's stretch.
std::vector<OwnStretch> own_stretches(const std::vector<run::Process>& processes, const Stretch& whole,
                                      const WorkClock& clock, const Thresholds& thresholds);

}  // namespace camprobe::analysis
