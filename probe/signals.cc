// probe/signals.cc
//
// Our timer's signal does not exist for the program: it may reset all signals to their defaults, wait for all of them,
// or ask who handles which, and sees what it would see without us. If it wants a handler for our signal, it gets it,
// and CPU sampling ends.
#include <errno.h>
#include <signal.h>

#include <atomic>
#include <cstring>

#include "probe/real.h"
#include "probe/signals.h"
#include "sampler/cpu_sampler.h"

namespace camprobe::probe {
namespace {

// What the program set for the signal, SIG_DFL or SIG_IGN.
constinit std::atomic<bool> g_is_ignored{false};

bool is_ours(int signal) {
  return signal != 0 && signal == sampler::cpu_signal();
}

}  // namespace

sigset_t without_our_signal(const sigset_t& set) {
  sigset_t copy = set;
  if (const int ours = sampler::cpu_signal(); ours != 0) sigdelset(&copy, ours);
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
    old->sa_handler = g_is_ignored.load(std::memory_order_relaxed) ? SIG_IGN : SIG_DFL;
  }
  if (!is_plain) return real().sigaction(signal, action, nullptr);
  if (action != nullptr) g_is_ignored.store(action->sa_handler == SIG_IGN, std::memory_order_relaxed);
  return 0;
}

CAMPROBE_HOOK sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (!is_ours(number)) return real().signal(number, handler);
  const sighandler_t before = g_is_ignored.load(std::memory_order_relaxed) ? SIG_IGN : SIG_DFL;
  if (handler != SIG_DFL && handler != SIG_IGN) {
    sampler::give_signal_away();
    return real().signal(number, handler) == SIG_ERR ? SIG_ERR : before;
  }
  g_is_ignored.store(handler == SIG_IGN, std::memory_order_relaxed);
  return before;
}
