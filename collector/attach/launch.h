// collector/attach/launch.h
//
// Starts a program as a shell would have: our standard streams, the signal mask and dispositions we were started with.
// What goes wrong up to and including exec is an error here, and nothing was started.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "run/result.h"

namespace camprobe::attach {

struct Launch {
  std::string path;                      // what is executed
  std::vector<std::string> arguments;    // with argument 0
  std::vector<std::string> environment;  // "NAME=value"
  int standard_output = -1;              // a descriptor instead of ours; -1: ours
  sigset_t signal_mask{};                // as it was before we blocked anything
  std::function<void()> before_exec{};   // in the child: system calls only, such as limits
  bool own_group = false;  // a process group of its own, so that it and its children can be ended together
};

run::Result<pid_t> launch(const Launch& what);

}  // namespace camprobe::attach
