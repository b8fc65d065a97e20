// tests/survival/victim_process.cc
//
// Processes that fork amid everything, serve from forked workers, share their memory with a child, and are killed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "tests/survival/victim.h"

extern char** environ;

namespace victim {
namespace {

// FORKS THREADS: forks while each thread is in the slow path of one thing or another most of the time; the children
// allocate, fork again and end in different ways. All allocations of this process are counted.
void fork_storm(const Arguments& arguments) {
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};
  std::vector<std::thread> crew;
  for (long t = 0; t < arguments.number(1); ++t)
    crew.emplace_back([&] {
      long mine = 0;
      while (!stop) {
        free(sink(malloc(5'000)));
        ++mine;
        int ends[2];
        if (pipe(ends) != 0) abort();
        (void)!write(ends[1], "x", 1);
        close(ends[0]);
        close(ends[1]);
        void* mapped = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(mapped, 1 << 20);
      }
      turns += mine;
    });
  long bad = 0;
  for (long i = 0; i < arguments.number(0); ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 50; ++k) free(sink(malloc(6'000)));
      const pid_t grandchild = fork();
      if (grandchild == 0) {
        for (int k = 0; k < 50; ++k) free(sink(malloc(6'000)));
        syscall(SYS_exit_group, 1);
      }
      int status = 0;
      waitpid(grandchild, &status, 0);
      _exit(WEXITSTATUS(status) + 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    bad += !WIFEXITED(status) || WEXITSTATUS(status) != 2;
  }
  stop = true;
  for (auto& thread : crew) thread.join();
  say("bad", static_cast<double>(bad));
  say("turns", static_cast<double>(turns));
  die_by_kill();
}

// WORKERS REQUESTS: a server that forks its workers before it serves, as nginx and cluster do. They share the listening
// socket; each request is a connection, four bytes there and back. Every hundredth request kills the worker that serves
// it, and a new one is forked.
pid_t start_worker(int listening) {
  const pid_t child = fork();
  if (child != 0) return child;
  for (;;) {
    const int client = accept(listening, nullptr, nullptr);
    char question[4];
    if (client < 0 || read(client, question, sizeof question) != sizeof question) _exit(3);
    if (memcmp(question, "dies", 4) == 0) kill(getpid(), SIGKILL);
    if (memcmp(question, "ends", 4) == 0) _exit(0);
    void* work = malloc(7'000);
    memcpy(work, question, 4);
    (void)!write(client, work, 4);
    free(work);
    close(client);
  }
}
long ask(const sockaddr_in& address, const char* question) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  char answer[4] = {};
  long is_answered = 0;
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      write(connection, question, 4) == 4)
    is_answered = read(connection, answer, 4) == 4 && memcmp(answer, question, 4) == 0;
  close(connection);
  return is_answered;
}
void prefork(const Arguments& arguments) {
  const long workers = arguments.number(0), requests = arguments.number(1);
  const int listening = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listening, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listening, 64) != 0) abort();
  getsockname(listening, reinterpret_cast<sockaddr*>(&address), &length);
  for (long i = 0; i < workers; ++i) say("worker", start_worker(listening));
  long answered = 0, killed = 0, bad = 0;
  for (long i = 1; i <= requests; ++i) {
    if (i % 100 != 0) {
      answered += ask(address, "work");
      continue;
    }
    ask(address, "dies");
    int status = 0;
    waitpid(-1, &status, 0);
    killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    say("worker", start_worker(listening));
  }
  for (long i = 0; i < workers; ++i) {
    ask(address, "ends");
    int status = 0;
    waitpid(-1, &status, 0);
    bad += status != 0;
  }
  say("answered", static_cast<double>(answered));
  say("killed", static_cast<double>(killed));
  say("bad", static_cast<double>(bad));
  die_by_kill();
}

// A child in our own memory and on a stack of its own, by the bare system call, which passes no hook; the parent waits
// for its end or exec, as after vfork().
#if defined(__x86_64__)
pid_t clone_in_our_memory(void (*child)(), char* stack_end) {
  long result;
  register long flags __asm__("rdi") = CLONE_VM | CLONE_VFORK | SIGCHLD;
  register char* stack __asm__("rsi") = stack_end;
  register long parent_tid __asm__("rdx") = 0;
  register long child_tid __asm__("r10") = 0;
  register long tls __asm__("r8") = 0;
  register void (*run)() __asm__("r12") = child;
  __asm__ volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "0"(SYS_clone), "r"(flags), "r"(stack), "r"(parent_tid), "r"(child_tid), "r"(tls), "r"(run)
      : "rcx", "r11", "memory", "cc");
  return static_cast<pid_t>(result);
}
#endif
char g_stack[256 << 10];
char* g_stack_end = g_stack + sizeof g_stack;

// Children of all the kinds that share memory until they become another program: each allocates, frees, and reads from
// a pipe before its exec, or ends without one.
void shared_memory_children(const Arguments& arguments) {
  static const auto work = [] {
    for (int i = 0; i < 20; ++i) free(sink(malloc(88'888)));
    int ends[2];
    if (pipe(ends) != 0) _exit(90);
    char byte = 0;
    if (write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1) _exit(91);
    close(ends[0]);
    close(ends[1]);
  };
  static const auto become_true = [] {
    work();
    execl("/bin/true", "true", static_cast<char*>(nullptr));
    _exit(92);
  };
  static const auto end_with_seven = [] {
    work();
    _exit(7);
  };
  long bad = 0;
  const auto expect = [&bad](pid_t child, int wanted) {
    int status = 0;
    bad += child <= 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != wanted;
  };
  for (long i = 0; i < arguments.number(0); ++i) {
    expect(clone(
               [](void*) -> int {
                 become_true();
                 return 1;
               },
               g_stack_end, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr),
           0);
    expect(clone(
               [](void*) -> int {
                 end_with_seven();
                 return 1;
               },
               g_stack_end, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr),
           7);
#if defined(__x86_64__)
    expect(clone_in_our_memory(
               [] {
                 execl("/bin/true", "true", static_cast<char*>(nullptr));
                 _exit(92);
               },
               g_stack_end),
           0);
    expect(clone_in_our_memory([] { syscall(SYS_exit, 7); }, g_stack_end), 7);
#endif
    pid_t spawned = 0;
    char* const words[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("x=$(echo y); exit 5"),
                           nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_RDONLY, 0);
    bad += posix_spawn(&spawned, "/bin/sh", &actions, nullptr, words, environ) != 0;
    posix_spawn_file_actions_destroy(&actions);
    expect(spawned, 5);
  }
  // Killed in the middle of its work, with our memory in its hands.
  const pid_t killed = clone(
      [](void*) -> int {
        for (long i = 0;; ++i) {
          free(sink(malloc(88'888)));
          if (i == 1'000) kill(getpid(), SIGKILL);
        }
      },
      g_stack_end, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  int status = 0;
  bad += waitpid(killed, &status, 0) != killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
  say("bad", static_cast<double>(bad));
  sink(malloc(70'007));
  die_by_kill();
}

// Writes records of every kind as fast as it can, from THREADS threads, until it is killed.
void never_ending(const Arguments& arguments) {
  std::vector<std::thread> crew;
  for (long t = 0; t < arguments.number(0); ++t)
    crew.emplace_back([] {
      for (;;) {
        void* blocks[8];
        for (size_t i = 0; i < 8; ++i) blocks[i] = malloc(10'000 + i);
        for (void* block : blocks) free(block);
        int ends[2];
        if (pipe(ends) != 0) abort();
        (void)!write(ends[1], "x", 1);
        close(ends[0]);
        close(ends[1]);
      }
    });
  puts("started");
  fflush(stdout);
  for (auto& thread : crew) thread.join();
}

}  // namespace

const std::vector<Act> kProcessActs = {{"fork-storm", fork_storm},
                                       {"prefork", prefork},
                                       {"shared-memory-children", shared_memory_children},
                                       {"never-ending", never_ending}};

}  // namespace victim
