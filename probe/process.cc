// probe/process.cc
//
// Processes: forks, execs and the end. Nothing is recorded between a fork's two sides; the child begins a session of
// its own; a vfork child writes nothing, since it writes into its parent's memory.
//
// What a fork needs is done by pthread_atfork handlers, which also see the forks inside libc (forkpty); the hook of
// fork() adds only the child's number to the record. system(), popen() and posix_spawn() use vfork's way inside libc
// and call nothing of ours in the child.
#include "probe/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/real.h"
#include "sampler/allocator_watch.h"
#include "sampler/session.h"
#include "sampler/thread_lane.h"

// What only glibc has, weakly (see probe/start.cc): behind pthread_atfork() and at_quick_exit(), which are linked into
// us and would ask for these.
extern "C" [[gnu::weak]] int __register_atfork(void (*)(), void (*)(), void (*)(), void*);
extern "C" [[gnu::weak]] int __cxa_at_quick_exit(void (*)(void*), void*);
extern "C" [[gnu::weak]] int on_exit(void (*)(int, void*), void*) noexcept;
extern "C" void* __dso_handle;

namespace camprobe::probe {
namespace {

using sampler::ThreadLane;

constexpr std::uint32_t kMostVforks = 4;

void note_process(shm::ProcessEvent event, std::uint32_t pid, std::int64_t status, void* hook_frame) {
  if (!sampler::enabled(shm::Family::kProcess)) return;
  sampler::ProbeScope scope;
  if (!scope) return;
  shm::ProcessPayload payload = {};
  payload.event = event;
  payload.pid = pid;
  payload.status = status;
  sampler::write_record(*scope, shm::RecordKind::kProcess, sampler::capture_above(*scope, hook_frame), payload);
}

void at_exit(int status, void*) {
  sampler::note_exit_status(status);
}
void at_quick_exit(void*) {
  sampler::end_session();
}

[[gnu::destructor]] void end_probe() {
  sampler::end_session();
}

template <typename Exec>
int exec(Exec call) {
  sampler::before_exec();
  const int result = call();
  const sampler::ErrnoSaver keep_errno;
  sampler::after_failed_exec();
  return result;
}

// A child in our memory that has us wait for it is as vfork's: it writes nothing, and should it be killed amid a slow
// path, none of ours is left half done. One that runs beside us is a thread with storage of its own, or touches none.
int clone_in_our_memory(int (*run)(void*), void* stack, int flags, void* argument, pid_t* parent_tid, void* tls,
                        pid_t* child_tid) {
  sampler::expect_threads();
  ThreadLane& thread = sampler::t_lane;
  const bool waits =
      (flags & CLONE_VFORK) != 0 && (flags & (CLONE_THREAD | CLONE_SETTLS)) == 0 && thread.vfork_depth < kMostVforks;
  if (!waits) return real().clone(run, stack, flags, argument, parent_tid, tls, child_tid);
  if (thread.vfork_depth == 0) sampler::detach_thread(thread);
  thread.vfork_depth += 1;
  const int pid = real().clone(run, stack, flags, argument, parent_tid, tls, child_tid);
  const sampler::ErrnoSaver keep_errno;
  thread.vfork_depth -= 1;
  if (thread.vfork_depth == 0) {
    sampler::attach_thread_dropping(thread);
    if (pid > 0) note_process(shm::ProcessEvent::kVforked, static_cast<std::uint32_t>(pid), 0, __builtin_dwarf_cfa());
  }
  return pid;
}

// What clone() runs in a child that has its own copy of the memory.
struct CloneBegin {
  int (*run)(void*);
  void* argument;
};
int run_clone(void* raw) {
  const CloneBegin begin = *static_cast<CloneBegin*>(raw);
  sampler::never_ask_allocator_again();
  sampler::after_fork_in_child();
  return begin.run(begin.argument);
}

}  // namespace

void start_process_hooks() {
  // First of all programs' handlers: so before_fork() runs last of them, and after_fork_in_child() first.
  __register_atfork(sampler::before_fork, sampler::after_fork_in_parent, sampler::after_fork_in_child, __dso_handle);
  on_exit(at_exit, nullptr);
  __cxa_at_quick_exit(at_quick_exit, __dso_handle);
}

}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

// ---------------------------------------------------------------------------------------------- called by vfork.S

extern "C" __attribute__((visibility("hidden"))) void* camprobe_vfork_begin(std::uint64_t return_address) {
  ThreadLane& thread = sampler::t_lane;
  const RealFunctions& functions = real();
  if (thread.vfork_depth == kMostVforks || functions.vfork == nullptr) return nullptr;
  if (thread.vfork_depth == 0) sampler::detach_thread(thread);
  thread.vfork_return[thread.vfork_depth++] = return_address;
  return reinterpret_cast<void*>(functions.vfork);
}

extern "C" __attribute__((visibility("hidden"))) std::uint64_t camprobe_vfork_child() {
  const ThreadLane& thread = sampler::t_lane;
  return thread.vfork_return[thread.vfork_depth - 1];
}

extern "C" __attribute__((visibility("hidden"))) std::uint64_t camprobe_vfork_end(int pid) {
  const sampler::ErrnoSaver keep_errno;
  ThreadLane& thread = sampler::t_lane;
  const std::uint64_t return_address = thread.vfork_return[--thread.vfork_depth];
  if (thread.vfork_depth == 0) {
    sampler::attach_thread_dropping(thread);
    if (pid > 0) note_process(shm::ProcessEvent::kVforked, static_cast<std::uint32_t>(pid), 0, __builtin_dwarf_cfa());
  }
  return return_address;
}

extern "C" __attribute__((visibility("hidden"))) int camprobe_vfork_as_fork() {
  return fork();
}

// ---------------------------------------------------------------------------------------------- forks

CAMPROBE_HOOK pid_t fork() noexcept {
  const pid_t pid = real().fork();
  if (pid > 0) note_process(shm::ProcessEvent::kForked, static_cast<std::uint32_t>(pid), 0, __builtin_dwarf_cfa());
  return pid;
}

// Runs no pthread_atfork handlers, so ours are called here.
CAMPROBE_HOOK pid_t _Fork() noexcept {
  if (real()._Fork == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  sampler::before_fork();
  const pid_t pid = real()._Fork();
  const sampler::ErrnoSaver keep_errno;
  if (pid == 0) {
    sampler::never_ask_allocator_again();
    sampler::after_fork_in_child();
  } else {
    sampler::after_fork_in_parent();
    if (pid > 0) note_process(shm::ProcessEvent::kForked, static_cast<std::uint32_t>(pid), 0, __builtin_dwarf_cfa());
  }
  return pid;
}

CAMPROBE_HOOK int clone(int (*run)(void*), void* stack, int flags, void* argument, ...) noexcept {
  va_list more;
  va_start(more, argument);
  auto* parent_tid = va_arg(more, pid_t*);
  auto* tls = va_arg(more, void*);
  auto* child_tid = va_arg(more, pid_t*);
  va_end(more);
  if ((flags & CLONE_VM) != 0) return clone_in_our_memory(run, stack, flags, argument, parent_tid, tls, child_tid);
  CloneBegin begin = {run, argument};
  sampler::before_fork();
  const int pid = real().clone(run != nullptr ? run_clone : nullptr, stack, flags, &begin, parent_tid, tls, child_tid);
  const sampler::ErrnoSaver keep_errno;
  sampler::after_fork_in_parent();
  if (pid > 0) note_process(shm::ProcessEvent::kForked, static_cast<std::uint32_t>(pid), 0, __builtin_dwarf_cfa());
  return pid;
}

CAMPROBE_HOOK int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                              const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  pid_t child = 0;
  const int result = real().posix_spawn(&child, path, actions, attributes, arguments, environment);
  if (result != 0) return result;
  if (pid != nullptr) *pid = child;
  note_process(shm::ProcessEvent::kSpawned, static_cast<std::uint32_t>(child), 0, __builtin_dwarf_cfa());
  return 0;
}

CAMPROBE_HOOK int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  pid_t child = 0;
  const int result = real().posix_spawnp(&child, file, actions, attributes, arguments, environment);
  if (result != 0) return result;
  if (pid != nullptr) *pid = child;
  note_process(shm::ProcessEvent::kSpawned, static_cast<std::uint32_t>(child), 0, __builtin_dwarf_cfa());
  return 0;
}

// libc's own ends the parent by a way that passes no hook, and the parent's region would stay. The same steps, with
// ours.
CAMPROBE_HOOK int daemon(int keep_directory, int keep_descriptors) noexcept {
  const pid_t pid = fork();
  if (pid == -1) return -1;
  if (pid != 0) _exit(0);
  if (setsid() == -1) return -1;
  if (keep_directory == 0) (void)!chdir("/");
  if (keep_descriptors != 0) return 0;
  const int fd = real().open("/dev/null", O_RDWR);
  struct stat found;
  if (fd == -1 || fstat(fd, &found) != 0) return -1;
  if (!S_ISCHR(found.st_mode) || found.st_rdev != makedev(1, 3)) {
    real().close(fd);
    errno = ENODEV;
    return -1;
  }
  for (int standard = 0; standard <= 2; ++standard) real().dup2(fd, standard);
  if (fd > 2) real().close(fd);
  return 0;
}

// ---------------------------------------------------------------------------------------------- execs

CAMPROBE_HOOK int execve(const char* path, char* const* arguments, char* const* environment) noexcept {
  return exec([&] { return real().execve(path, arguments, environment); });
}
CAMPROBE_HOOK int execv(const char* path, char* const* arguments) noexcept {
  return exec([&] { return real().execv(path, arguments); });
}
CAMPROBE_HOOK int execvp(const char* file, char* const* arguments) noexcept {
  return exec([&] { return real().execvp(file, arguments); });
}
CAMPROBE_HOOK int execvpe(const char* file, char* const* arguments, char* const* environment) noexcept {
  return exec([&] { return real().execvpe(file, arguments, environment); });
}
CAMPROBE_HOOK int fexecve(int fd, char* const* arguments, char* const* environment) noexcept {
  return exec([&] { return real().fexecve(fd, arguments, environment); });
}
CAMPROBE_HOOK int execveat(int directory, const char* path, char* const* arguments, char* const* environment,
                           int flags) noexcept {
  if (real().execveat == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  return exec([&] { return real().execveat(directory, path, arguments, environment, flags); });
}

// The arguments of execl() and its kin as an array on the stack, as libc makes it; `environment` is read behind the
// NULL that ends them where the call has one.
#define CAMPROBE_COLLECT_ARGUMENTS(first)                                                \
  va_list counting;                                                                      \
  va_start(counting, first);                                                             \
  std::size_t count = 1;                                                                 \
  while (va_arg(counting, char*) != nullptr) ++count;                                    \
  va_end(counting);                                                                      \
  auto** arguments = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*))); \
  va_list taking;                                                                        \
  va_start(taking, first);                                                               \
  arguments[0] = const_cast<char*>(first);                                               \
  for (std::size_t i = 1; i <= count; ++i) arguments[i] = va_arg(taking, char*);

CAMPROBE_HOOK int execl(const char* path, const char* first, ...) noexcept {
  CAMPROBE_COLLECT_ARGUMENTS(first)
  va_end(taking);
  return execv(path, arguments);
}
CAMPROBE_HOOK int execlp(const char* file, const char* first, ...) noexcept {
  CAMPROBE_COLLECT_ARGUMENTS(first)
  va_end(taking);
  return execvp(file, arguments);
}
CAMPROBE_HOOK int execle(const char* path, const char* first, ...) noexcept {
  CAMPROBE_COLLECT_ARGUMENTS(first)
  char* const* environment = va_arg(taking, char* const*);
  va_end(taking);
  return execve(path, arguments, environment);
}

// ---------------------------------------------------------------------------------------------- the end

CAMPROBE_HOOK void _exit(int status) {
  sampler::note_exit_status(status);
  sampler::end_session();
  real()._exit(status);
  __builtin_unreachable();
}
CAMPROBE_HOOK void _Exit(int status) noexcept {
  sampler::note_exit_status(status);
  sampler::end_session();
  real()._Exit(status);
  __builtin_unreachable();
}
CAMPROBE_HOOK void quick_exit(int status) noexcept {
  sampler::note_exit_status(status);
  real().quick_exit(status);
  __builtin_unreachable();
}
