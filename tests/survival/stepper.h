// tests/survival/stepper.h
//
// Counting instructions: a program is single-stepped (ptrace) between two of its stops, and each visit to one range of
// its code is counted by itself. A cost that is counted does not depend on the machine or on who else is running.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/probe/probed.h"

namespace camprobe::tests {

// A program that stops itself (raise(SIGSTOP)) where its tracer has something to do. Killed at the end.
class Stepped {
 public:
  Stepped(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment);
  ~Stepped();
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  pid_t pid() const { return pid_; }
  // Lets it run to its next stop. False: it ended, or `seconds` went by (a failure then says so).
  bool run_to_stop(int seconds);
  // Steps to the next stop and gives, for each visit to the executable parts of `module` (the end of its path), how
  // many instructions it took. Real-time signals, and so the probe's own ticks, are held back meanwhile.
  std::vector<std::uint64_t> step_through_visits(const std::string& module);
  // Its region, of this moment.
  shm::RegionReader region() const;

 private:
  pid_t pid_ = -1;
  bool has_ended_ = false;
};

// Instructions that `act` takes in a forked child of ours, from one stop to another: a little more than its own, always
// the same.
std::uint64_t instructions_of(void (*act)(void*), void* argument);

}  // namespace camprobe::tests
