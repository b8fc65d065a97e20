// tests/probe/allocating.cc
//
// What the tests of the allocator's figures run: `probe_allocating WHAT [MILLISECONDS]`. One leaves a heap whose live
// and freed bytes are known by construction; the others wait and write, where hooks of the probe are, at the moments at
// which asking the allocator would end in a deadlock.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

double now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

void wait_ms(int ms) {
  poll(nullptr, 0, ms);
}

void say_resident() {
  char text[64] = {};
  const int fd = open("/proc/self/statm", O_RDONLY);
  if (read(fd, text, sizeof text - 1) > 0) {
    long size = 0, resident = 0;
    sscanf(text, "%ld %ld", &size, &resident);
    printf("resident %ld\n", resident * sysconf(_SC_PAGESIZE));
  }
  close(fd);
}

// 200 MiB in blocks of 4,000 bytes, all written to; three quarters are freed, but the last ones stay, so that no
// allocator can give the end of its heap back. Then it waits.
void retain(int ms) {
  constexpr size_t kBlock = 4000, kBlocks = (200u << 20) / kBlock;
  static char* blocks[kBlocks];
  for (char*& block : blocks) {
    block = static_cast<char*>(malloc(kBlock));
    memset(block, 1, kBlock);
  }
  for (size_t i = 0; i < kBlocks * 3 / 4; ++i) free(blocks[i]);
  for (int i = 0; i < 2; ++i) wait_ms(50 + ms / 2);
  printf("live %zu\nfreed %zu\n", kBlock * (kBlocks - kBlocks * 3 / 4), kBlock * (kBlocks * 3 / 4));
  say_resident();
}

std::atomic<bool> g_goes_on{true};
std::atomic<long> g_handled{0};
std::atomic<long> g_allocated{0};
int g_nowhere;

// All sizes, so that caches are passed by and locks taken.
void allocate(unsigned seed) {
  std::vector<void*> kept(512, nullptr);
  while (g_goes_on.load(std::memory_order_relaxed)) {
    void*& block = kept[rand_r(&seed) % kept.size()];
    free(block);
    const unsigned dice = static_cast<unsigned>(rand_r(&seed));
    block = malloc(dice % 8 == 0 ? 4096 + dice % 100'000 : 1 + dice % 3000);
    g_allocated.fetch_add(1, std::memory_order_relaxed);
  }
  for (void* block : kept) free(block);
}

struct Crew {
  explicit Crew(int count) {
    for (int i = 0; i < count; ++i) threads.emplace_back(allocate, static_cast<unsigned>(i + 1));
  }
  ~Crew() {
    g_goes_on = false;
    for (std::thread& thread : threads) thread.join();
  }
  std::vector<std::thread> threads;
};

void tick_every_us(int us) {
  const itimerval every = {{0, us}, {0, us}};
  setitimer(ITIMER_REAL, &every, nullptr);
}

void write_and_wait(int) {
  g_handled.fetch_add(1, std::memory_order_relaxed);
  (void)!write(g_nowhere, "x", 1);
  wait_ms(0);
}

// Allocates with a handler that writes and waits, whatever it interrupts: mostly malloc() and free(). A second thread
// is there, so that locks are taken, but passes no hook; so whoever asks the allocator is the handler.
[[noreturn]] void allocate_interrupted() {
  std::thread([] {
    for (;;) syscall(SYS_pause);
  }).detach();
  struct sigaction action = {};
  action.sa_handler = write_and_wait;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  tick_every_us(200);
  unsigned seed = static_cast<unsigned>(getpid());
  std::vector<void*> kept(64, nullptr);
  for (const double end = now_ms() + 50; now_ms() < end || g_handled.load() < 20;) {
    for (int i = 0; i < 200; ++i) {
      void*& block = kept[rand_r(&seed) % kept.size()];
      free(block);
      block = malloc(2000 + static_cast<size_t>(rand_r(&seed)) % 60'000);
    }
  }
  tick_every_us(0);
  _exit(0);
}

// Each child asks anew, soon after it began.
void interrupted(int ms) {
  long children = 0, failed = 0;
  for (const double end = now_ms() + ms; now_ms() < end;) {
    constexpr int kAtOnce = 4;
    for (int i = 0; i < kAtOnce; ++i)
      if (fork() == 0) allocate_interrupted();
    for (int i = 0; i < kAtOnce; ++i) {
      int status = -1;
      wait(&status);
      failed += status != 0;
    }
    children += kAtOnce;
    wait_ms(1);
  }
  printf("children %ld\nfailed %ld\n", children, failed);
}

sigjmp_buf g_out;
volatile sig_atomic_t g_waits = 0;
void jump_out(int) {
  g_handled.fetch_add(1, std::memory_order_relaxed);
  if (g_waits != 0) siglongjmp(g_out, 1);
}

// The old way to wait for a time at most: a handler jumps out of poll().
void jumps(int ms) {
  struct sigaction action = {};
  action.sa_handler = jump_out;
  sigaction(SIGALRM, &action, nullptr);
  sigset_t ticks;
  sigemptyset(&ticks);
  sigaddset(&ticks, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &ticks, nullptr);  // the crew has them blocked
  {
    const Crew crew(2);
    pthread_sigmask(SIG_UNBLOCK, &ticks, nullptr);
    tick_every_us(200);
    const double end = now_ms() + ms;
    std::vector<void*> kept;
    while (now_ms() < end || g_handled.load() < 20) {
      for (int i = 0; i < 64; ++i) kept.push_back(malloc(3000));
      for (void* block : kept) free(block);
      kept.clear();
      if (sigsetjmp(g_out, 1) == 0) {
        g_waits = 1;
        wait_ms(100);
      }
      g_waits = 0;
    }
    tick_every_us(0);
  }
  printf("handled %ld\n", g_handled.load());
}

void wait_a_moment() {
  wait_ms(0);
  (void)!write(g_nowhere, "x", 1);
}

// Forks of all kinds while threads are in the allocator, and handlers that wait in the middle of a fork.
void forks(int ms) {
  pthread_atfork(wait_a_moment, wait_a_moment, wait_a_moment);
  long children = 0, failed = 0;
  {
    const Crew crew(2);
    const double end = now_ms() + ms;
    while (now_ms() < end || children < 4) {
      const bool is_plain = children % 2 == 0;
      const pid_t child = is_plain ? fork() : static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
      if (child == 0) {
        // Whoever copies the process behind libc's back must not allocate.
        void* block = is_plain ? malloc(50'000) : nullptr;
        for (int i = 0; i < 4; ++i) wait_ms(8);
        free(block);
        _exit(0);
      }
      int status = -1;
      waitpid(child, &status, 0);
      children += 1;
      failed += status != 0;
      wait_ms(1);
    }
  }
  printf("children %ld\nfailed %ld\n", children, failed);
}

}  // namespace

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  const int ms = count > 2 ? atoi(arguments[2]) : 300;
  g_nowhere = open("/dev/null", O_WRONLY);
  if (strcmp(what, "retain") == 0)
    retain(ms);
  else if (strcmp(what, "interrupted") == 0)
    interrupted(ms);
  else if (strcmp(what, "jumps") == 0)
    jumps(ms);
  else if (strcmp(what, "forks") == 0)
    forks(ms);
  else
    return 2;
  return 0;
}
