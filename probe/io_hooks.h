// probe/io_hooks.h
//
// The three shapes that I/O hooks have: a call that moves bytes, a call that yields a descriptor, a call that waits.
// Every hook of socket.cc, file.cc and wait.cc is one of them around the real call.
//
// Law: result and errno are the real call's. Nothing is held across the real call, because many of these calls are
// cancellation points and a cancelled thread unwinds through the hook.
#pragma once

#include <errno.h>

#include "probe/descriptor.h"
#include "probe/real.h"
#include "sampler/control.h"

namespace camprobe::probe {

// A call that moves bytes through `fd`.
template <typename Call>
[[gnu::always_inline]] inline ssize_t transfer(int fd, Direction direction, const char* name, Call call) {
  if (!follows_descriptors()) {
    const ssize_t result = call();
    sampler::look_at_control();
    return result;
  }
  const sampler::CallStart began;
  const ssize_t result = call();
  transferred(fd, direction, result, began, name, __builtin_dwarf_cfa());
  return result;
}

// A call that yields a descriptor, -1 for none.
template <typename Call>
[[gnu::always_inline]] inline int open_by(shm::DescriptorKind kind, Call call) {
  const int fd = call();
  if (fd >= 0 && follows_descriptors()) opened(fd, kind, no_peer(), __builtin_dwarf_cfa());
  sampler::look_at_control();
  return fd;
}

// For the names that are younger than the oldest C library the probe loads on: fails as the kernel would.
template <typename Function, typename... Arguments>
[[gnu::always_inline]] inline auto call_if_there(Function function, Arguments... arguments) {
  if (function != nullptr) return function(arguments...);
  errno = ENOSYS;
  return decltype(function(arguments...))(-1);
}

}  // namespace camprobe::probe
