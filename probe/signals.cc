// probe/signals.cc
//
// Our timer's signal does not exist for the program: it may reset all signals to their defaults, wait for all of them,
// or ask who handles which, and sees what it would see without us. If it wants a handler for our signal, it gets it,
// and CPU sampling ends.
#include <errno.h>
#include <signal.h>

#include <cstring>

#include "probe/program_memory.h"
#include "probe/real.h"
#include "probe/signals.h"
#include "sampler/cpu_sampler.h"

namespace camprobe::probe {
namespace {

bool is_ours(int signal) {
  return signal != 0 && signal == sampler::cpu_signal();
}

}  // namespace

const sigset_t* without_our_signal(const sigset_t* set, sigset_t* copy) {
  const int ours = sampler::cpu_signal();
  if (ours == 0 || !can_be_read(set, sizeof *set)) return set;
  *copy = *set;
  sigdelset(copy, ours);
  return copy;
}

}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK int sigaction(int signal, const struct sigaction* action, struct sigaction* old) noexcept {
  if (!is_ours(signal)) return real().sigaction(signal, action, old);
  const bool is_plain = action == nullptr || ((action->sa_flags & SA_SIGINFO) == 0 &&
                                              (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN));
  if (!is_plain) sampler::give_signal_away();
  if (old != nullptr) {
    std::memset(old, 0, sizeof *old);
    old->sa_handler = sampler::signal_is_ignored() ? SIG_IGN : SIG_DFL;
  }
  if (!is_plain) return real().sigaction(signal, action, nullptr);
  if (action != nullptr) sampler::ignore_signal(action->sa_handler == SIG_IGN);
  return 0;
}

CAMPROBE_HOOK sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (!is_ours(number)) return real().signal(number, handler);
  const sighandler_t before = sampler::signal_is_ignored() ? SIG_IGN : SIG_DFL;
  if (handler != SIG_DFL && handler != SIG_IGN) {
    sampler::give_signal_away();
    return real().signal(number, handler) == SIG_ERR ? SIG_ERR : before;
  }
  sampler::ignore_signal(handler == SIG_IGN);
  return before;
}
