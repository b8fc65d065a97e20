// probe/real.h
//
// The functions that our hooks stand in front of: what dlsym(RTLD_NEXT) gives, found once at start-up. No hook looks up
// a name later. To add a hook, add its name to the list below.
//
// A name that the C library at hand does not have stays null; its hook then fails with ENOSYS, as the kernel would.
#pragma once

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

// The checked names that _FORTIFY_SOURCE makes of read(), poll(), ...: no public header declares them.
extern "C" {
ssize_t __read_chk(int, void*, size_t, size_t);
ssize_t __pread_chk(int, void*, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void*, size_t, off64_t, size_t);
ssize_t __recv_chk(int, void*, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void*, size_t, size_t, int, sockaddr*, socklen_t*);
int __poll_chk(pollfd*, nfds_t, int, size_t);
int __ppoll_chk(pollfd*, nfds_t, const timespec*, const __sigset_t*, size_t);
int __open_2(const char*, int);
int __open64_2(const char*, int);
int __openat_2(int, const char*, int);
int __openat64_2(int, const char*, int);
}

// clang-format off
#define CAMPROBE_REAL_HEAP(X) \
  X(malloc) X(free) X(calloc) X(realloc) X(reallocarray) X(memalign) X(posix_memalign) X(aligned_alloc) \
  X(valloc) X(pvalloc) X(malloc_usable_size)
// In the order in which an allocator needs them that comes before us and starts while we look.
#define CAMPROBE_REAL_OTHERS(X) \
  /* mappings */ \
  X(mmap) X(mmap64) X(munmap) X(mremap) X(mprotect) \
  /* seccomp */ \
  X(syscall) X(prctl) \
  /* transfer */ \
  X(read) X(write) X(readv) X(writev) X(pread) X(pread64) X(pwrite) X(pwrite64) X(preadv) X(preadv64) \
  X(pwritev) X(pwritev64) X(preadv2) X(preadv64v2) X(pwritev2) X(pwritev64v2) X(__read_chk) X(__pread_chk) \
  X(__pread64_chk) X(sendfile) X(sendfile64) X(splice) X(tee) X(vmsplice) X(copy_file_range) \
  /* file */ \
  X(open) X(open64) X(openat) X(openat64) X(creat) X(creat64) X(__open_2) X(__open64_2) X(__openat_2) \
  X(__openat64_2) X(fsync) X(fdatasync) X(sync_file_range) X(mkstemp) X(mkstemp64) X(mkostemp) X(mkostemp64) \
  X(fopen) X(fopen64) X(fdopen) X(freopen) X(freopen64) X(tmpfile) X(tmpfile64) X(opendir) X(closedir) \
  X(memfd_create) X(inotify_init) X(inotify_init1) \
  /* descriptor */ \
  X(close) X(close_range) X(closefrom) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(epoll_create) \
  X(epoll_create1) X(eventfd) X(timerfd_create) X(pipe) X(pipe2) X(fclose) \
  /* socket */ \
  X(socket) X(socketpair) X(connect) X(accept) X(accept4) X(bind) X(listen) X(shutdown) X(send) X(sendto) \
  X(sendmsg) X(sendmmsg) X(recv) X(recvfrom) X(recvmsg) X(recvmmsg) X(__recv_chk) X(__recvfrom_chk) \
  X(getaddrinfo) \
  /* wait */ \
  X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) X(poll) X(ppoll) X(select) X(pselect) X(__poll_chk) \
  X(__ppoll_chk) \
  /* thread */ \
  X(pthread_create) \
  /* process */ \
  X(fork) X(_Fork) X(vfork) X(clone) X(posix_spawn) X(posix_spawnp) X(execve) X(execv) X(execvp) X(execvpe) \
  X(fexecve) X(execveat) X(_exit) X(_Exit) X(quick_exit) \
  /* loader */ \
  X(dlclose) \
  /* signals */ \
  X(sigaction) X(signal) X(sigwait) X(sigwaitinfo) X(sigtimedwait) X(signalfd) X(sigsuspend) X(pause) \
  /* calls that the kernel never restarts */ \
  X(nanosleep) X(clock_nanosleep) X(sem_timedwait) X(sem_clockwait) X(semop) X(semtimedop) X(msgrcv) X(msgsnd)
#define CAMPROBE_REAL_FUNCTIONS(X) CAMPROBE_REAL_HEAP(X) CAMPROBE_REAL_OTHERS(X)
// clang-format on

namespace camprobe::probe {

struct RealFunctions {
#define CAMPROBE_DECLARE(name) decltype(&::name) name;
  CAMPROBE_REAL_FUNCTIONS(CAMPROBE_DECLARE)
#undef CAMPROBE_DECLARE
};

// Constant-initialized: the malloc family points to functions that resolve first, everything else is null.
[[gnu::visibility("hidden")]] extern constinit RealFunctions g_real;
[[gnu::visibility("hidden")]] extern constinit bool g_real_is_resolved;

// Finds them all. Called by the constructor, or by whichever hook runs before it.
void resolve_real();

// For every hook but the heap's fast paths (which call through g_real directly).
inline const RealFunctions& real() {
  if (__builtin_expect(!g_real_is_resolved, 0)) resolve_real();
  return g_real;
}

}  // namespace camprobe::probe

// In front of a hook's definition: `CAMPROBE_HOOK ssize_t read(int fd, void* out, size_t bytes) { ... }`. Its name must
// also stand in probe/exports.map.
#define CAMPROBE_HOOK extern "C" __attribute__((visibility("default")))
// The same for those that servers call all the time, which lie side by side (shm/placement.h).
#define CAMPROBE_HOT_HOOK extern "C" __attribute__((visibility("default"), hot))
