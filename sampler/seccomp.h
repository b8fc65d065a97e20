// sampler/seccomp.h
//
// Staying alive under seccomp. A filter may answer a system call by killing the process, and a filter is written for
// what the program itself calls. So the probe learns which of its own calls each filter would let pass, and never again
// makes the others (shm/raw_syscall.h).
//
// - A filter that the program installs comes by a hook of prctl() or syscall() (probe/seccomp.cc). It is a program for
//   a small virtual machine; we run it on each of our calls, with the arguments that we would pass, before the kernel
//   gets it. Only a plain "allow" counts: an errno would do no harm but is of no use, a trap reaches a handler of the
//   program, a trace or a notification somebody outside.
// - A filter that was there before the program began (containers have one) cannot be looked at. A child of ours, a
//   plain copy of the process, makes each call once, in turn; where it is killed, that call is out, and another child
//   goes on behind it. In a process without a filter none of this happens: /proc/self/status tells.
//
// Not seen: a filter that is installed by a system call instruction of the program's own.
#pragma once

#include <linux/filter.h>

#include <cstdint>

namespace camprobe::sampler {

// What /proc/self/status says of this process, read by calls that the loader has just made itself.
struct ProcessStatus {
  bool is_known = false;
  bool is_filtered = false;
  std::uint32_t tracer_pid = 0;  // a debugger, strace, ...; 0: none
};
ProcessStatus read_process_status();

// Bits (shm::bit_of_call) of our calls that this filter would not plainly allow.
std::uint64_t calls_forbidden_by(const sock_filter* code, std::uint32_t length);
// The same for SECCOMP_MODE_STRICT.
std::uint64_t calls_forbidden_by_strict_mode();
// The same for whatever filters hold already: tries it out, in children.
std::uint64_t find_calls_forbidden_by_now();

// From here on these calls are not made; before that, what rests on them is wound down while it still can be. Returns
// what was forbidden before. Undone by allow_again() where the kernel refused the filter.
std::uint64_t forbid_calls(std::uint64_t calls);
void allow_again(std::uint64_t forbidden_before);

}  // namespace camprobe::sampler
