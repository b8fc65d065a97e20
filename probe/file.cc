// probe/file.cc
//
// The file family: what opens descriptors other than sockets, positioned reads and writes, and stdio's ways to a
// descriptor. read() and write() are in socket.cc, because sockets share them; what stdio reads and writes internally
// does not pass through any hook (glibc calls itself), so /proc's I/O figures are the whole of it.
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "probe/io_hooks.h"
#include "probe/program_memory.h"
#include "probe/signals.h"
#include "sampler/thread_lane.h"

namespace {

using namespace camprobe;
using probe::Direction;
using probe::open_by;
using probe::real;
using probe::transfer;
using shm::DescriptorKind;

// open's third argument exists only where the flags create a file.
bool takes_mode(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

// A FILE that was opened: its descriptor came into being.
[[gnu::always_inline]] inline FILE* opened_stream(FILE* stream) {
  if (stream != nullptr && probe::follows_descriptors())
    probe::opened(fileno(stream), DescriptorKind::kFile, probe::no_peer(), __builtin_dwarf_cfa());
  return stream;
}

[[gnu::always_inline]] inline void about_to_close(int fd) {
  if (probe::follows_closings()) probe::closing(fd);
}

// fileno() sets errno where a stream has no descriptor (fmemopen).
[[gnu::always_inline]] inline void about_to_close(FILE* stream) {
  const sampler::ErrnoSaver keep_errno;
  about_to_close(fileno(stream));
}

[[gnu::always_inline]] inline int announce_pipe(int result, const int* ends) {
  if (result == 0 && probe::follows_descriptors()) {
    probe::opened(ends[0], DescriptorKind::kPipe, probe::no_peer(), __builtin_dwarf_cfa());
    probe::opened(ends[1], DescriptorKind::kPipe, probe::no_peer(), __builtin_dwarf_cfa());
  }
  return result;
}

}  // namespace

#define CAMPROBE_MODE(last)                             \
  mode_t mode = 0;                                      \
  if (takes_mode(flags)) {                              \
    va_list arguments;                                  \
    va_start(arguments, last);                          \
    mode = static_cast<mode_t>(va_arg(arguments, int)); \
    va_end(arguments);                                  \
  }

CAMPROBE_HOT_HOOK int open(const char* path, int flags, ...) {
  CAMPROBE_MODE(flags)
  return open_by(DescriptorKind::kFile, [&] { return real().open(path, flags, mode); });
}
CAMPROBE_HOT_HOOK int open64(const char* path, int flags, ...) {
  CAMPROBE_MODE(flags)
  return open_by(DescriptorKind::kFile, [&] { return real().open64(path, flags, mode); });
}
CAMPROBE_HOT_HOOK int openat(int directory, const char* path, int flags, ...) {
  CAMPROBE_MODE(flags)
  return open_by(DescriptorKind::kFile, [&] { return real().openat(directory, path, flags, mode); });
}
CAMPROBE_HOT_HOOK int openat64(int directory, const char* path, int flags, ...) {
  CAMPROBE_MODE(flags)
  return open_by(DescriptorKind::kFile, [&] { return real().openat64(directory, path, flags, mode); });
}
CAMPROBE_HOOK int creat(const char* path, mode_t mode) {
  return open_by(DescriptorKind::kFile, [&] { return real().creat(path, mode); });
}
CAMPROBE_HOOK int creat64(const char* path, mode_t mode) {
  return open_by(DescriptorKind::kFile, [&] { return real().creat64(path, mode); });
}
CAMPROBE_HOOK int __open_2(const char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().__open_2(path, flags); });
}
CAMPROBE_HOOK int __open64_2(const char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().__open64_2(path, flags); });
}
CAMPROBE_HOOK int __openat_2(int directory, const char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().__openat_2(directory, path, flags); });
}
CAMPROBE_HOOK int __openat64_2(int directory, const char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().__openat64_2(directory, path, flags); });
}
CAMPROBE_HOOK int mkstemp(char* path) {
  return open_by(DescriptorKind::kFile, [&] { return real().mkstemp(path); });
}
CAMPROBE_HOOK int mkstemp64(char* path) {
  return open_by(DescriptorKind::kFile, [&] { return real().mkstemp64(path); });
}
CAMPROBE_HOOK int mkostemp(char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().mkostemp(path, flags); });
}
CAMPROBE_HOOK int mkostemp64(char* path, int flags) {
  return open_by(DescriptorKind::kFile, [&] { return real().mkostemp64(path, flags); });
}

CAMPROBE_HOOK FILE* fopen(const char* path, const char* mode) {
  return opened_stream(real().fopen(path, mode));
}
CAMPROBE_HOOK FILE* fopen64(const char* path, const char* mode) {
  return opened_stream(real().fopen64(path, mode));
}
CAMPROBE_HOOK FILE* tmpfile() {
  return opened_stream(real().tmpfile());
}
CAMPROBE_HOOK FILE* tmpfile64() {
  return opened_stream(real().tmpfile64());
}
CAMPROBE_HOOK FILE* freopen(const char* path, const char* mode, FILE* stream) {
  if (stream != nullptr) about_to_close(stream);
  return opened_stream(real().freopen(path, mode, stream));
}
CAMPROBE_HOOK FILE* freopen64(const char* path, const char* mode, FILE* stream) {
  if (stream != nullptr) about_to_close(stream);
  return opened_stream(real().freopen64(path, mode, stream));
}
CAMPROBE_HOOK int fclose(FILE* stream) {
  about_to_close(stream);
  return real().fclose(stream);
}
CAMPROBE_HOOK DIR* opendir(const char* path) {
  DIR* directory = real().opendir(path);
  if (directory != nullptr && probe::follows_descriptors())
    probe::opened(dirfd(directory), DescriptorKind::kFile, probe::no_peer(), __builtin_dwarf_cfa());
  return directory;
}
CAMPROBE_HOOK int closedir(DIR* directory) {
  DIR* given = probe::perhaps_null(directory);
  if (given != nullptr) about_to_close(dirfd(given));  // NULL is EINVAL
  return real().closedir(directory);
}

CAMPROBE_HOOK int pipe(int* ends) noexcept {
  return announce_pipe(real().pipe(ends), ends);
}
CAMPROBE_HOOK int pipe2(int* ends, int flags) noexcept {
  return announce_pipe(real().pipe2(ends, flags), ends);
}
CAMPROBE_HOOK int memfd_create(const char* name, unsigned flags) noexcept {
  return open_by(DescriptorKind::kFile, [&] { return probe::call_if_there(real().memfd_create, name, flags); });
}
CAMPROBE_HOOK int eventfd(unsigned count, int flags) noexcept {
  return open_by(DescriptorKind::kEvent, [&] { return real().eventfd(count, flags); });
}
CAMPROBE_HOOK int timerfd_create(int clock, int flags) noexcept {
  return open_by(DescriptorKind::kEvent, [&] { return real().timerfd_create(clock, flags); });
}
CAMPROBE_HOOK int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  sigset_t copy;
  const sigset_t* wanted = probe::without_our_signal(mask, &copy);
  if (fd >= 0) return real().signalfd(fd, wanted, flags);  // changes an existing one
  return open_by(DescriptorKind::kEvent, [&] { return real().signalfd(fd, wanted, flags); });
}
CAMPROBE_HOOK int inotify_init() noexcept {
  return open_by(DescriptorKind::kEvent, [&] { return real().inotify_init(); });
}
CAMPROBE_HOOK int inotify_init1(int flags) noexcept {
  return open_by(DescriptorKind::kEvent, [&] { return real().inotify_init1(flags); });
}
CAMPROBE_HOOK int epoll_create(int size) noexcept {
  return open_by(DescriptorKind::kEpoll, [&] { return real().epoll_create(size); });
}
CAMPROBE_HOOK int epoll_create1(int flags) noexcept {
  return open_by(DescriptorKind::kEpoll, [&] { return real().epoll_create1(flags); });
}

CAMPROBE_HOT_HOOK ssize_t pread(int fd, void* data, size_t bytes, off_t at) {
  return transfer(fd, Direction::kRead, "pread", [&] { return real().pread(fd, data, bytes, at); });
}
CAMPROBE_HOT_HOOK ssize_t pread64(int fd, void* data, size_t bytes, off64_t at) {
  return transfer(fd, Direction::kRead, "pread", [&] { return real().pread64(fd, data, bytes, at); });
}
CAMPROBE_HOOK ssize_t __pread_chk(int fd, void* data, size_t bytes, off_t at, size_t room) {
  return transfer(fd, Direction::kRead, "pread", [&] { return real().__pread_chk(fd, data, bytes, at, room); });
}
CAMPROBE_HOOK ssize_t __pread64_chk(int fd, void* data, size_t bytes, off64_t at, size_t room) {
  return transfer(fd, Direction::kRead, "pread", [&] { return real().__pread64_chk(fd, data, bytes, at, room); });
}
CAMPROBE_HOOK ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  return transfer(fd, Direction::kWrite, "pwrite", [&] { return real().pwrite(fd, data, bytes, at); });
}
CAMPROBE_HOOK ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  return transfer(fd, Direction::kWrite, "pwrite", [&] { return real().pwrite64(fd, data, bytes, at); });
}
CAMPROBE_HOOK ssize_t preadv(int fd, const iovec* parts, int count, off_t at) {
  return transfer(fd, Direction::kRead, "preadv", [&] { return real().preadv(fd, parts, count, at); });
}
CAMPROBE_HOOK ssize_t preadv64(int fd, const iovec* parts, int count, off64_t at) {
  return transfer(fd, Direction::kRead, "preadv", [&] { return real().preadv64(fd, parts, count, at); });
}
CAMPROBE_HOOK ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  return transfer(fd, Direction::kWrite, "pwritev", [&] { return real().pwritev(fd, parts, count, at); });
}
CAMPROBE_HOOK ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t at) {
  return transfer(fd, Direction::kWrite, "pwritev", [&] { return real().pwritev64(fd, parts, count, at); });
}
CAMPROBE_HOOK ssize_t preadv2(int fd, const iovec* parts, int count, off_t at, int flags) {
  return transfer(fd, Direction::kRead, "preadv2",
                  [&] { return probe::call_if_there(real().preadv2, fd, parts, count, at, flags); });
}
CAMPROBE_HOOK ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t at, int flags) {
  return transfer(fd, Direction::kRead, "preadv2",
                  [&] { return probe::call_if_there(real().preadv64v2, fd, parts, count, at, flags); });
}
CAMPROBE_HOOK ssize_t pwritev2(int fd, const iovec* parts, int count, off_t at, int flags) {
  return transfer(fd, Direction::kWrite, "pwritev2",
                  [&] { return probe::call_if_there(real().pwritev2, fd, parts, count, at, flags); });
}
CAMPROBE_HOOK ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t at, int flags) {
  return transfer(fd, Direction::kWrite, "pwritev2",
                  [&] { return probe::call_if_there(real().pwritev64v2, fd, parts, count, at, flags); });
}
