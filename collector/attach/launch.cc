#include "collector/attach/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace camprobe::attach {

run::Result<pid_t> launch(const Launch& what) {
  std::vector<char*> arguments, environment;
  for (const std::string& argument : what.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& entry : what.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);

  // exec closes the pipe; what comes through it before is the errno of an exec that failed.
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    return run::Error{fmt::format("cannot start {}: {}", what.path, std::strerror(errno))};
  const pid_t child = ::fork();
  if (child < 0) {
    const int why = errno;
    ::close(report[0]);
    ::close(report[1]);
    return run::Error{fmt::format("cannot start {}: {}", what.path, std::strerror(why))};
  }
  if (child == 0) {
    if (what.own_group) ::setpgid(0, 0);
    if (what.standard_output >= 0) ::dup2(what.standard_output, STDOUT_FILENO);
    if (what.before_exec) what.before_exec();
    ::sigprocmask(SIG_SETMASK, &what.signal_mask, nullptr);
    ::execve(what.path.c_str(), arguments.data(), environment.data());
    const int why = errno;
    [[maybe_unused]] const ssize_t written = ::write(report[1], &why, sizeof why);
    ::_exit(127);
  }
  ::close(report[1]);
  int why = 0;
  ssize_t got = 0;
  do {
    got = ::read(report[0], &why, sizeof why);
  } while (got < 0 && errno == EINTR);
  ::close(report[0]);
  if (got == 0) return child;
  ::waitpid(child, nullptr, 0);
  return run::Error{fmt::format("cannot start {}: {}", what.path, std::strerror(why))};
}

}  // namespace camprobe::attach
