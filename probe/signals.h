// probe/signals.h
//
// Our timer's signal, hidden from the program.
#pragma once

#include <signal.h>

namespace camprobe::probe {

// The set without our signal: nobody may wait for it.
sigset_t without_our_signal(const sigset_t& set);

}  // namespace camprobe::probe
