// tests/probe/sealed.cc
//
// `sealed ACTION WAY [WITHOUT]`: allows itself the system calls that its work needs, by a seccomp filter whose ACTION
// (kill, kill-thread, trap, errno) answers all others, installed by prctl or seccomp (WAY), and then works. `WITHOUT`
// names calls that it does not allow either: clock, sigreturn. `sealed strict`, `sealed refused`, `sealed exec ...`
// (the filter, then another program, which may be `sealed work`) and `sealed fill` (a /dev/shm that is full) are other
// stories. Exits with 31 if everything went as it should.
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vector>

namespace {

void* volatile g_sink;

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// What the work below calls, and libc for it; nothing for the sake of a profiler.
const std::vector<long> kOwnCalls = {
    SYS_read,           SYS_write,      SYS_writev,          SYS_close,    SYS_openat, SYS_socketpair,
    SYS_mmap,           SYS_munmap,     SYS_mremap,          SYS_mprotect, SYS_brk,    SYS_futex,
    SYS_exit,           SYS_exit_group, SYS_clone,           SYS_clone3,   SYS_rseq,   SYS_set_robust_list,
    SYS_rt_sigprocmask, SYS_wait4,      SYS_clock_nanosleep, SYS_execve,   SYS_sendto, SYS_recvfrom,
    SYS_getrandom,
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_fork
    SYS_fork,
#endif
    SYS_ppoll,          SYS_newfstatat};
// For a program that is loaded behind the filter.
const std::vector<long> kLoaderCalls = {SYS_access,   SYS_arch_prctl,   SYS_set_tid_address, SYS_prlimit64,
                                        SYS_ioctl,    SYS_rt_sigaction, SYS_pread64,         SYS_fstat,
                                        SYS_readlink, SYS_uname};

bool install(uint32_t action, bool by_prctl, const std::vector<long>& allowed) {
  std::vector<sock_filter> code;
  const auto add = [&](uint16_t operation, uint32_t k, uint8_t jt, uint8_t jf) {
    code.push_back(sock_filter{operation, jt, jf, k});
  };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch), 0, 0);
  add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr), 0, 0);
  for (const long call : allowed) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  }
  // libc gives a thread's stack back with one of madvise()'s many advices; the others are not for us.
  add(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2]), 0, 0);
  add(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTNEED, 0, 1);
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  add(BPF_RET | BPF_K, action, 0, 0);
  sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  if (by_prctl) return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

// Another stack for each of the first 2^12 calls: what is recorded of them needs room that was not there before.
__attribute__((noinline)) void allocate_below(unsigned path, int depth) {
  if (depth == 0) {
    g_sink = malloc(700);
    free(g_sink);
  } else if ((path & 1) != 0) {
    allocate_below(path >> 1, depth - 1);
  } else {
    allocate_below(path >> 1, depth - 1);
    g_sink = nullptr;
  }
}

int work() {
  int bad = 0;
  for (unsigned path = 0; path < 4096; ++path) allocate_below(path, 12);
  std::vector<void*> kept;
  for (int i = 0; i < 3000; ++i) kept.push_back(malloc(static_cast<size_t>(100 + i)));
  for (void* block : kept) free(block);
  for (int i = 0; i < 20; ++i) {
    void* pages = mmap(nullptr, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bad += pages == MAP_FAILED;
    munmap(pages, 4 << 20);
  }
  int pair[2];
  char buffer[64] = {};
  bad += socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0;
  for (int i = 0; i < 100; ++i) {
    bad += write(pair[0], buffer, 10) != 10;
    bad += recv(pair[1], buffer, sizeof buffer, 0) != 10;
  }
  pollfd polled = {pair[1], POLLIN, 0};
  bad += poll(&polled, 1, 5) != 0;
  close(pair[0]);
  close(pair[1]);
  const int fd = open("/dev/null", O_RDWR);
  bad += fd < 0 || write(fd, buffer, 5) != 5;
  close(fd);
  usleep(2000);
  for (int i = 0; i < 8; ++i) {
    pthread_t thread;
    bad += pthread_create(
               &thread, nullptr,
               [](void*) -> void* {
                 volatile uint64_t sum = 0;
                 for (int n = 0; n < 3'000'000; ++n) sum = sum + static_cast<uint64_t>(n);
                 for (int n = 0; n < 500; ++n) {
                   g_sink = malloc(1000);
                   free(g_sink);
                 }
                 return nullptr;
               },
               nullptr) != 0;
    pthread_join(thread, nullptr);
  }
  const pid_t child = fork();
  if (child == 0) {
    g_sink = malloc(5000);
    _exit(7);
  }
  int status = 0;
  bad += waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7;
  return bad;
}

void say(const char* text) {
  if (write(1, text, strlen(text)) < 0) abort();
}

// A filter that the kernel refuses changes nothing.
int refused() {
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr, 0, 0) != -1 || errno != EFAULT) return 1;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) != -1 || errno != EFAULT) return 2;
  sock_filter nonsense[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 3}, {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};
  sock_fprog program = {2, nonsense};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != -1 || errno != EINVAL) return 3;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  printf("refused_ns %lld\n", static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
  fflush(stdout);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  const time_t end = now.tv_sec * 10 + now.tv_nsec / 100'000'000 + 3;
  do {
    g_sink = malloc(4000);
    free(g_sink);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  } while (now.tv_sec * 10 + now.tv_nsec / 100'000'000 < end);
  return 31;
}

int strict() {
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) != 0) return 1;
  for (int i = 0; i < 2000; ++i) {
    g_sink = malloc(500);
    free(g_sink);
  }
  // Long enough for any timer that still runs.
  volatile uint64_t sum = 0;
  for (int n = 0; n < 100'000'000; ++n) sum = sum + static_cast<uint64_t>(n);
  say("strict\n");
  syscall(SYS_exit, 31);  // _exit() would call exit_group
  return 2;
}

// Fills /dev/shm to the last byte, and works on.
int fill() {
  const int fd = open("/dev/shm/filler", O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) return 1;
  static char block[4096];
  size_t bytes = 0;
  while (write(fd, block, sizeof block) > 0) bytes += sizeof block;
  if (errno != ENOSPC) return 2;
  close(fd);
  printf("filled\n");
  fflush(stdout);
  return work() == 0 ? 31 : 3;
}

}  // namespace

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  if (strcmp(what, "refused") == 0) return refused();
  if (strcmp(what, "fill") == 0) return fill();
  // Something to be sampled before, and every name bound.
  if (work() != 0) return 1;
  if (strcmp(what, "work") == 0) return 31;
  if (strcmp(what, "strict") == 0) return strict();
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  if (strcmp(what, "kill-thread") == 0) action = SECCOMP_RET_KILL_THREAD;
  if (strcmp(what, "trap") == 0) action = SECCOMP_RET_TRAP;
  if (strcmp(what, "errno") == 0) action = SECCOMP_RET_ERRNO | EPERM;
  signal(SIGSYS, [](int) { _exit(98); });
  std::vector<long> allowed = kOwnCalls;
  bool with_clock = true, with_sigreturn = true;
  for (int i = 3; i < count; ++i) {
    with_clock = with_clock && strcmp(arguments[i], "clock") != 0;
    with_sigreturn = with_sigreturn && strcmp(arguments[i], "sigreturn") != 0;
  }
  if (with_clock) allowed.push_back(SYS_clock_gettime);
  if (with_sigreturn) allowed.push_back(SYS_rt_sigreturn);
  if (strcmp(what, "exec") == 0) allowed.insert(allowed.end(), kLoaderCalls.begin(), kLoaderCalls.end());
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  printf("sealed_ns %lld\n", static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
  fflush(stdout);
  if (!install(action, count > 2 && strcmp(arguments[2], "prctl") == 0, allowed)) return 2;
  if (strcmp(what, "exec") == 0) {
    execv(arguments[3], arguments + 3);
    return 3;
  }
  const int bad = work();
  say(bad == 0 ? "worked\n" : "worked badly\n");
  return bad == 0 ? 31 : 4;
}
