// probe/descriptor.h
//
// What the probe knows of the program's descriptors: who opened each (stack), where it leads (peer), what went through
// it (exact operations, bytes, errors, time). The socket, file and wait hooks are thin lines over these few bodies.
//
// The truth lies in the region's descriptor table; kOpen and kClose records are its history. An entry's generation is
// odd while the descriptor is open. `opened` is called after the real call gave the number, `closing` before the real
// close gives it back: afterwards another thread may hold the same number already.
//
// Called from hooks only, never from signal context. Each body shuts the probe's door and keeps errno (ProbeScope);
// none of them may be on the stack during a real call, because a cancelled thread unwinds without running destructors.
// `hook_frame` is __builtin_dwarf_cfa() of the hook: stacks begin with its caller.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>

#include "sampler/thread_lane.h"
#include "shm/layout.h"

namespace camprobe::probe {

enum class Direction : std::uint8_t { kRead, kWrite };

// Whether descriptors are followed at all now; one load.
inline bool follows_descriptors() {
  return (sampler::g_families.load(std::memory_order_relaxed) &
          (static_cast<std::uint32_t>(shm::Family::kSocket) | static_cast<std::uint32_t>(shm::Family::kFile))) != 0;
}

// Closings are followed while both families are off, too: an entry from before that nobody closed would look like a
// descriptor that is open for ever, and its number like the old one when it is used again.
inline bool follows_closings() {
  return sampler::region().is_mapped();
}

// A descriptor came into being by a call of the program's.
[[gnu::noinline]] void opened(int fd, shm::DescriptorKind kind, const shm::Peer& peer, void* hook_frame);
// A known descriptor learned what it is for: listen, connect. Its opening stack stays.
[[gnu::noinline]] void becomes(int fd, shm::DescriptorKind kind, const shm::Peer& peer);
// A descriptor is about to go.
[[gnu::noinline]] void closing(int fd);
// Every known descriptor in [low, high] is about to go (close_range, closefrom).
[[gnu::noinline]] void closing_range(unsigned low, unsigned high);
// `to` now refers to what `from` refers to (dup and its kin succeeded). Wherever closings are followed.
[[gnu::noinline]] void duplicated(int from, int to, void* hook_frame);

// Counts one transfer that has returned: `result` is the call's, bytes or -1 with errno set.
[[gnu::noinline]] void transferred(int fd, Direction direction, ssize_t result, sampler::CallStart began,
                                   const char* call, void* hook_frame);
// Counts an accept, connect or wait that has returned.
[[gnu::noinline]] void finished(shm::IoKind kind, int fd, bool failed, sampler::CallStart began, const char* call,
                                void* hook_frame);

// The other end as the program named it, or none.
shm::Peer peer_of(const sockaddr* address, socklen_t length);
shm::Peer no_peer();
// Asks the kernel (getpeername).
shm::Peer peer_of_descriptor(int fd);

}  // namespace camprobe::probe
