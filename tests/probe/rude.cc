// tests/probe/rude.cc
//
// Things that no program should do and some do: `rude WHAT` does one of them for a while and exits with 0 if it went as
// it goes without the probe.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

void* volatile g_sink;

void handle_alarms(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
}
void alarm_in(long microseconds) {
  const itimerval once = {{0, 0}, {0, microseconds}};
  setitimer(ITIMER_REAL, &once, nullptr);
}

// Forks in a signal handler, wherever that comes, and goes on in the child too.
volatile int g_forks = 0, g_bad = 0;
pid_t g_parent;
int fork_in_handler() {
  g_parent = getpid();
  handle_alarms([](int) {
    const pid_t child = fork();
    if (child == 0) {
      g_forks = 1'000'000;
      return;
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) g_bad = g_bad + 1;
    g_forks = g_forks + 1;
    alarm_in(300);
  });
  alarm_in(300);
  while (g_forks < 300) {
    for (int i = 0; i < 20; ++i) {
      g_sink = malloc(5'000);
      free(g_sink);
    }
  }
  if (getpid() != g_parent) {
    for (int i = 0; i < 500; ++i) {
      g_sink = malloc(5'000);
      free(g_sink);
    }
    _exit(0);
  }
  return g_bad;
}

// Leaves signal handlers by siglongjmp(), wherever they come, while other threads map, unmap, open and close.
sigjmp_buf g_way_out;
volatile bool g_stop = false;
int jump_out_of_handlers() {
  pthread_t other;
  sigset_t alarms, before;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, &before);
  pthread_create(
      &other, nullptr,
      [](void*) -> void* {
        while (!g_stop) {
          void* block = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          munmap(block, 1 << 20);
        }
        return nullptr;
      },
      nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  handle_alarms([](int) { siglongjmp(g_way_out, 1); });
  volatile int jumps = 0;
  while (jumps < 2'000) {
    if (sigsetjmp(g_way_out, 1) != 0) {
      jumps = jumps + 1;
      continue;
    }
    alarm_in(100 + jumps % 50);
    for (;;) {
      void* block = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      munmap(block, 1 << 20);
    }
  }
  alarm_in(0);
  g_stop = true;
  return pthread_join(other, nullptr);
}

// The C library unloads converters by itself, through no dlclose() that others see; then the process forks.
int forget_converters() {
  const char* const names[] = {"ISO-2022-JP", "ISO-2022-KR", "EUC-JP", "BIG5", "KOI8-R", "GBK", "UTF-7", "SJIS"};
  int converted = 0;
  for (int round = 0; round < 4; ++round) {
    for (const char* name : names) {
      const iconv_t converter = iconv_open(name, "UTF-8");
      if (converter == reinterpret_cast<iconv_t>(-1)) continue;
      // Enough for the timer to come while the converter is at work.
      timespec began, now;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
      do {
        char from[4096], to[16384];
        memset(from, 'a', sizeof from);
        char *in = from, *out = to;
        size_t in_left = sizeof from, out_left = sizeof to;
        converted += iconv(converter, &in, &in_left, &out, &out_left) == 0;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
      } while ((now.tv_sec - began.tv_sec) * 1'000'000'000 + now.tv_nsec - began.tv_nsec < 5'000'000);
      iconv_close(converter);
    }
    const pid_t child = fork();
    if (child == 0) {
      free(malloc(100'000));
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) return 1;
  }
  return converted > 0 ? 0 : 2;
}

// Handlers run on an alternate stack that is just large enough for what the program itself does there; what lies below
// it is somebody else's.
int small_alternate_stack() {
  const size_t size = static_cast<size_t>(sysconf(_SC_MINSIGSTKSZ)) + 600;
  auto* pages = static_cast<char*>(mmap(nullptr, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(pages, 0x5a, 64 << 10);
  char* bottom = pages + (32 << 10);
  stack_t stack = {};
  stack.ss_sp = bottom;
  stack.ss_size = size;
  if (sigaltstack(&stack, nullptr) != 0) return 3;
  timespec now = {};
  while (now.tv_sec == 0 && now.tv_nsec < 400'000'000) {
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    g_sink = malloc(5'000);
    free(g_sink);
  }
  for (char* at = pages; at < bottom; ++at)
    if (*at != 0x5a) return 1;
  return 0;
}

// Opens descriptors until there is none left, and lives on like that.
int use_up_descriptors() {
  const rlimit limit = {64, 64};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
  int opened = 0, last = -1;
  for (int fd; (fd = open("/dev/null", O_RDWR)) >= 0; ++opened) last = fd;
  printf("opened %d, the last is %d, then %s\n", opened, last, strerror(errno));
  pthread_t thread;
  const int created = pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        for (int i = 0; i < 2'000; ++i) {
          g_sink = malloc(3'000);
          free(g_sink);
        }
        return nullptr;
      },
      nullptr);
  if (created != 0) return 4;
  pthread_join(thread, nullptr);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    g_sink = malloc(100'000);
    _exit(open("/dev/null", O_RDWR) == -1 && errno == EMFILE ? 5 : 6);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("child %d, socket %d, ", WEXITSTATUS(status), socket(AF_UNIX, SOCK_STREAM, 0));
  close(last);
  printf("the next is %d\n", dup(0) - last);
  return 0;
}

// Moves itself between processors, as if they came and went, while it works for so long that sampling could tell.
int flip_affinity() {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return 3;
  timespec now = {};
  int at = 0;
  for (unsigned rounds = 0; now.tv_sec == 0; ++rounds) {
    do at = (at + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(at, &all));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(at, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) return 4;
    for (int i = 0; i < 200; ++i) {
      g_sink = malloc(2'000);
      free(g_sink);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  }
  printf("used_ns %lld\n", static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  if (strcmp(what, "fork-in-handler") == 0) return fork_in_handler();
  if (strcmp(what, "jumps") == 0) return jump_out_of_handlers();
  if (strcmp(what, "converters") == 0) return forget_converters();
  if (strcmp(what, "alternate-stack") == 0) return small_alternate_stack();
  if (strcmp(what, "descriptors") == 0) return use_up_descriptors();
  if (strcmp(what, "affinity") == 0) return flip_affinity();
  return 99;
}
