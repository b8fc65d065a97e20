// probe/process.h
//
// Seeing forks and the end of the process.
#pragma once

namespace camprobe::probe {

// Start-up, before anything else that registers handlers.
void start_process_hooks();

}  // namespace camprobe::probe
