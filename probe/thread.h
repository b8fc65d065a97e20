// probe/thread.h
//
// Seeing threads end.
#pragma once

namespace camprobe::probe {

// Start-up, before the first thread is armed.
void start_thread_hooks();

}  // namespace camprobe::probe
