// probe/signals.h
//
// Our timer's signal, hidden from the program.
#pragma once

#include <signal.h>

namespace camprobe::probe {

// The set without our signal, in `copy`: nobody may wait for it. A set that cannot be read comes back as it is, for the
// kernel to refuse.
const sigset_t* without_our_signal(const sigset_t* set, sigset_t* copy);

}  // namespace camprobe::probe
