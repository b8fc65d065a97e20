// probe/socket.cc
//
// The socket family, and the calls that sockets share with other descriptors (read, write, close, dup, ...). One line
// of real work a hook: call, then count (probe/descriptor.h).
//
// Law: the result and errno are the real call's. Nothing is held across the real call, because many of these are
// cancellation points.
#include <fcntl.h>
#include <stdarg.h>

#include <sys/un.h>

#include "probe/io_hooks.h"
#include "probe/program_memory.h"

namespace {

using namespace camprobe;
using probe::Direction;
using probe::open_by;
using probe::real;
using probe::transfer;
using shm::DescriptorKind;
using shm::IoKind;

template <typename Call>
[[gnu::always_inline]] inline int duplicate_by(int from, Call call) {
  const int to = call();
  if (to >= 0 && probe::follows_closings()) probe::duplicated(from, to, __builtin_dwarf_cfa());
  return to;
}

template <typename Call>
[[gnu::always_inline]] inline int accept_by(int listener, const char* name, Call call) {
  if (!probe::follows_descriptors()) {
    const int fd = call();
    sampler::look_at_control();
    return fd;
  }
  const sampler::CallStart began;
  const int fd = call();
  const bool nothing_there = fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  if (!nothing_there) probe::finished(IoKind::kAccept, listener, fd < 0, began, name, __builtin_dwarf_cfa());
  if (fd >= 0) probe::opened(fd, DescriptorKind::kAccept, probe::peer_of_descriptor(fd), __builtin_dwarf_cfa());
  return fd;
}

// Messages of sendmmsg/recvmmsg: their bytes stand in msg_len.
ssize_t bytes_of(const mmsghdr* messages, int count) {
  if (count < 0) return count;
  ssize_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += messages[i].msg_len;
  return bytes;
}

// A copy inside the kernel reads from one descriptor and writes to another.
template <typename Call>
[[gnu::always_inline]] inline ssize_t move_by(int from, int to, const char* name, Call call) {
  if (!probe::follows_descriptors()) return call();
  const sampler::CallStart began;
  const ssize_t result = call();
  probe::transferred(from, Direction::kRead, result, sampler::CallStart(), name, __builtin_dwarf_cfa());
  probe::transferred(to, Direction::kWrite, result, began, name, __builtin_dwarf_cfa());
  return result;
}

// dup through fcntl; other commands pass through. The argument is an int or a pointer: a register either way.
int control(int (*real)(int, int, ...), int fd, int command, void* argument) {
  if (command != F_DUPFD && command != F_DUPFD_CLOEXEC) return real(fd, command, argument);
  return duplicate_by(fd, [&] { return real(fd, command, argument); });
}

}  // namespace

CAMPROBE_HOOK int socket(int domain, int type, int protocol) noexcept {
  return open_by(DescriptorKind::kSocket, [&] { return real().socket(domain, type, protocol); });
}

CAMPROBE_HOOK int socketpair(int domain, int type, int protocol, int* pair) noexcept {
  const int result = real().socketpair(domain, type, protocol, pair);
  if (result == 0 && probe::follows_descriptors()) {
    probe::opened(pair[0], DescriptorKind::kSocket, probe::peer_of_descriptor(pair[0]), __builtin_dwarf_cfa());
    probe::opened(pair[1], DescriptorKind::kSocket, probe::peer_of_descriptor(pair[1]), __builtin_dwarf_cfa());
  }
  return result;
}

CAMPROBE_HOOK int connect(int fd, const sockaddr* address, socklen_t length) {
  if (!probe::follows_descriptors()) return real().connect(fd, address, length);
  // What cannot be read, or is no address, the kernel refuses.
  if (length > sizeof(sockaddr_storage) ||
      !probe::can_be_read(address, length < sizeof(sockaddr_un) ? length : sizeof(sockaddr_un)))
    return real().connect(fd, address, length);
  // Before the call: a connection that another thread uses at once must already know its peer.
  probe::becomes(fd, DescriptorKind::kConnect, probe::peer_of(address, length));
  const sampler::CallStart began;
  const int result = real().connect(fd, address, length);
  const bool failed = result != 0 && errno != EINPROGRESS && errno != EINTR;
  probe::finished(IoKind::kConnect, fd, failed, began, "connect", __builtin_dwarf_cfa());
  return result;
}

CAMPROBE_HOOK int listen(int fd, int backlog) noexcept {
  const int result = real().listen(fd, backlog);
  if (result == 0 && probe::follows_descriptors()) probe::becomes(fd, DescriptorKind::kListen, probe::no_peer());
  return result;
}

CAMPROBE_HOOK int accept(int fd, sockaddr* address, socklen_t* length) {
  return accept_by(fd, "accept", [&] { return real().accept(fd, address, length); });
}
CAMPROBE_HOOK int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return accept_by(fd, "accept4", [&] { return real().accept4(fd, address, length, flags); });
}

CAMPROBE_HOOK int shutdown(int fd, int how) noexcept {
  return real().shutdown(fd, how);
}

CAMPROBE_HOT_HOOK int close(int fd) {
  if (probe::follows_closings()) probe::closing(fd);
  return real().close(fd);
}
CAMPROBE_HOOK int close_range(unsigned low, unsigned high, int flags) noexcept {
  constexpr int kCloseOnExec = 4;  // CLOSE_RANGE_CLOEXEC: marks, does not close
  if ((flags & kCloseOnExec) == 0 && probe::follows_closings()) probe::closing_range(low, high);
  return probe::call_if_there(real().close_range, low, high, flags);
}
CAMPROBE_HOOK void closefrom(int low) noexcept {
  if (probe::follows_closings()) probe::closing_range(low < 0 ? 0 : static_cast<unsigned>(low), ~0u);
  if (real().closefrom != nullptr) real().closefrom(low);
}

CAMPROBE_HOOK int dup(int fd) noexcept {
  return duplicate_by(fd, [&] { return real().dup(fd); });
}
CAMPROBE_HOOK int dup2(int from, int to) noexcept {
  return duplicate_by(from, [&] { return real().dup2(from, to); });
}
CAMPROBE_HOOK int dup3(int from, int to, int flags) noexcept {
  return duplicate_by(from, [&] { return real().dup3(from, to, flags); });
}

CAMPROBE_HOOK int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(real().fcntl, fd, command, argument);
}
CAMPROBE_HOOK int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(real().fcntl64 != nullptr ? real().fcntl64 : real().fcntl, fd, command, argument);
}

CAMPROBE_HOT_HOOK ssize_t send(int fd, const void* data, size_t bytes, int flags) {
  return transfer(fd, Direction::kWrite, "send", [&] { return real().send(fd, data, bytes, flags); });
}
CAMPROBE_HOT_HOOK ssize_t sendto(int fd, const void* data, size_t bytes, int flags, const sockaddr* to,
                                 socklen_t length) {
  return transfer(fd, Direction::kWrite, "sendto", [&] { return real().sendto(fd, data, bytes, flags, to, length); });
}
CAMPROBE_HOT_HOOK ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return transfer(fd, Direction::kWrite, "sendmsg", [&] { return real().sendmsg(fd, message, flags); });
}
CAMPROBE_HOOK int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  int sent = 0;
  transfer(fd, Direction::kWrite, "sendmmsg",
           [&] { return bytes_of(messages, sent = real().sendmmsg(fd, messages, count, flags)); });
  return sent;
}

// MSG_PEEK leaves the bytes where they are: counted as an operation when they are taken.
CAMPROBE_HOT_HOOK ssize_t recv(int fd, void* data, size_t bytes, int flags) {
  if ((flags & MSG_PEEK) != 0) return real().recv(fd, data, bytes, flags);
  return transfer(fd, Direction::kRead, "recv", [&] { return real().recv(fd, data, bytes, flags); });
}
CAMPROBE_HOT_HOOK ssize_t recvfrom(int fd, void* data, size_t bytes, int flags, sockaddr* from, socklen_t* length) {
  if ((flags & MSG_PEEK) != 0) return real().recvfrom(fd, data, bytes, flags, from, length);
  return transfer(fd, Direction::kRead, "recvfrom",
                  [&] { return real().recvfrom(fd, data, bytes, flags, from, length); });
}
CAMPROBE_HOT_HOOK ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if ((flags & MSG_PEEK) != 0) return real().recvmsg(fd, message, flags);
  return transfer(fd, Direction::kRead, "recvmsg", [&] { return real().recvmsg(fd, message, flags); });
}
CAMPROBE_HOOK int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  if ((flags & MSG_PEEK) != 0) return real().recvmmsg(fd, messages, count, flags, timeout);
  int received = 0;
  transfer(fd, Direction::kRead, "recvmmsg",
           [&] { return bytes_of(messages, received = real().recvmmsg(fd, messages, count, flags, timeout)); });
  return received;
}
CAMPROBE_HOOK ssize_t __recv_chk(int fd, void* data, size_t bytes, size_t room, int flags) {
  if ((flags & MSG_PEEK) != 0) return real().__recv_chk(fd, data, bytes, room, flags);
  return transfer(fd, Direction::kRead, "recv", [&] { return real().__recv_chk(fd, data, bytes, room, flags); });
}
CAMPROBE_HOOK ssize_t __recvfrom_chk(int fd, void* data, size_t bytes, size_t room, int flags, sockaddr* from,
                                     socklen_t* length) {
  if ((flags & MSG_PEEK) != 0) return real().__recvfrom_chk(fd, data, bytes, room, flags, from, length);
  return transfer(fd, Direction::kRead, "recvfrom",
                  [&] { return real().__recvfrom_chk(fd, data, bytes, room, flags, from, length); });
}

CAMPROBE_HOT_HOOK ssize_t sendfile(int to, int from, off_t* offset, size_t bytes) noexcept {
  return move_by(from, to, "sendfile", [&] { return real().sendfile(to, from, offset, bytes); });
}
CAMPROBE_HOT_HOOK ssize_t sendfile64(int to, int from, off64_t* offset, size_t bytes) noexcept {
  return move_by(from, to, "sendfile", [&] { return real().sendfile64(to, from, offset, bytes); });
}
CAMPROBE_HOOK ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t bytes, unsigned flags) {
  return move_by(from, to, "splice", [&] { return real().splice(from, from_offset, to, to_offset, bytes, flags); });
}
CAMPROBE_HOOK ssize_t copy_file_range(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t bytes,
                                      unsigned flags) {
  return move_by(from, to, "copy_file_range", [&] {
    return probe::call_if_there(real().copy_file_range, from, from_offset, to, to_offset, bytes, flags);
  });
}

CAMPROBE_HOT_HOOK ssize_t read(int fd, void* data, size_t bytes) {
  return transfer(fd, Direction::kRead, "read", [&] { return real().read(fd, data, bytes); });
}
CAMPROBE_HOOK ssize_t __read_chk(int fd, void* data, size_t bytes, size_t room) {
  return transfer(fd, Direction::kRead, "read", [&] { return real().__read_chk(fd, data, bytes, room); });
}
CAMPROBE_HOT_HOOK ssize_t write(int fd, const void* data, size_t bytes) {
  return transfer(fd, Direction::kWrite, "write", [&] { return real().write(fd, data, bytes); });
}
CAMPROBE_HOT_HOOK ssize_t readv(int fd, const iovec* parts, int count) {
  return transfer(fd, Direction::kRead, "readv", [&] { return real().readv(fd, parts, count); });
}
CAMPROBE_HOT_HOOK ssize_t writev(int fd, const iovec* parts, int count) {
  return transfer(fd, Direction::kWrite, "writev", [&] { return real().writev(fd, parts, count); });
}
