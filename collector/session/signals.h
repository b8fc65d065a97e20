// collector/session/signals.h
//
// The signals a session waits for.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>

namespace camprobe {

// Blocked while it lives; programs that are started meanwhile get the mask as it was.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&waited_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) ::sigaddset(&waited_, signal);
    ::sigprocmask(SIG_BLOCK, &waited_, &before_);
    fd_ = ::signalfd(-1, &waited_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() {
    ::close(fd_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  const sigset_t& before() const { return before_; }

  // Waits for a signal, at most so long.
  std::optional<signalfd_siginfo> wait(std::chrono::milliseconds limit) {
    pollfd waiting{fd_, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(limit.count()));
    signalfd_siginfo signal{};
    if (::read(fd_, &signal, sizeof signal) != sizeof signal) return std::nullopt;
    return signal;
  }

 private:
  sigset_t waited_{}, before_{};
  int fd_ = -1;
};

// Somebody wants the session to end.
inline bool is_end_signal(std::uint32_t signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

}  // namespace camprobe
