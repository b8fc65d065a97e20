// cli/one_state.h: a command reads one state of a run that is being recorded, however often it asks.
#pragma once

#include "run/reader.h"

namespace camprobe::cli {

// What is folded meanwhile would otherwise have another width than was read at first. A run that is not being recorded
// stays as it is, and is not held: whoever goes on with it would have to wait.
inline void hold_one_state(run::Reader& run) {
  if (run.meta().state == run::kRecording) run.pin();
}

}  // namespace camprobe::cli
