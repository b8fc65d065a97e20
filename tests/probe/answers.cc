// tests/probe/answers.cc
//
// Asks the C library for what it must refuse, and for what is easily got wrong by whoever stands in between, and prints
// each answer with its errno: one "name result errno" a line. The answers are the same with the probe and without.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>

namespace {

template <typename Call>
void ask(const char* name, Call call) {
  errno = 0;
  const auto result = static_cast<long>(call());
  printf("%s %ld %d\n", name, result, errno);
  fflush(stdout);
}

// Pointers that the compiler and the C library's attributes know nothing about.
template <typename T>
T* at(uintptr_t address) {
  volatile uintptr_t hidden = address;
  return reinterpret_cast<T*>(hidden);
}

constexpr uintptr_t kNowhere = 4096;

void ask_about_descriptors(char* end_of_memory) {
  const int any = socket(AF_INET, SOCK_STREAM, 0);
  ask("closedir null", [] { return closedir(at<DIR>(0)); });
  ask("close bad", [] { return close(-1); });
  ask("dup2 bad", [] { return dup2(-1, 50); });
  ask("dup2 same", [&] { return dup2(any, any) == any; });
  ask("dup3 same", [&] { return dup3(any, any, 0); });
  ask("fcntl bad", [&] { return fcntl(any, 99999, 0); });
  ask("close_range order", [] { return close_range(9, 8, 0); });
  ask("close_range flags", [] { return close_range(900, 901, 0x4000); });
  ask("open nothing", [] { return open("/nonexistent", O_RDONLY); });
  ask("open nowhere", [] { return open(at<char>(kNowhere), O_RDONLY); });
  ask("fopen nothing", [] { return fopen("/nonexistent", "r") == nullptr; });
  ask("opendir nothing", [] { return opendir("/nonexistent") == nullptr; });
  ask("fclose memory", [] {
    static char text[8] = "text";
    return fclose(fmemopen(text, sizeof text, "r"));
  });
  ask("pipe nowhere", [] { return pipe(at<int>(kNowhere)); });
  ask("socketpair nowhere", [] { return socketpair(AF_UNIX, SOCK_STREAM, 0, at<int>(kNowhere)); });

  // connect() reads no more than it is told, and says so where it cannot.
  sockaddr_un local = {};
  local.sun_family = AF_UNIX;
  strcpy(local.sun_path, "/nonexistent/socket");
  const int stream = socket(AF_UNIX, SOCK_STREAM, 0);
  ask("connect nowhere", [&] { return connect(any, at<sockaddr>(kNowhere), 16); });
  ask("connect null", [&] { return connect(any, at<sockaddr>(0), 16); });
  ask("connect beyond", [&] { return connect(any, at<sockaddr>(reinterpret_cast<uintptr_t>(end_of_memory) - 8), 16); });
  ask("connect short", [&] { return connect(any, reinterpret_cast<sockaddr*>(&local), 1); });
  ask("connect long", [&] { return connect(any, reinterpret_cast<sockaddr*>(&local), 0x7fffffff); });
  ask("connect refused", [&] { return connect(stream, reinterpret_cast<sockaddr*>(&local), sizeof local); });
  char* exact = end_of_memory - offsetof(sockaddr_un, sun_path) - 12;
  memcpy(exact, &local, offsetof(sockaddr_un, sun_path) + 12);
  ask("connect exact", [&] {
    return connect(stream, reinterpret_cast<sockaddr*>(exact), static_cast<socklen_t>(end_of_memory - exact));
  });
  ask("connect bad", [&] { return connect(-1, reinterpret_cast<sockaddr*>(&local), sizeof local); });
  ask("accept not listening", [&] { return accept(any, nullptr, nullptr); });
  ask("accept nowhere", [&] { return accept4(any, at<sockaddr>(kNowhere), at<socklen_t>(kNowhere), 0); });

  int pair[2];
  ask("socketpair", [&] { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair); });
  ask("read nothing", [&] { return read(pair[0], at<char>(0), 0); });
  ask("read again", [&] { return recv(pair[0], &local, sizeof local, 0); });
  ask("write nowhere", [&] { return write(pair[0], at<char>(kNowhere), 5); });
  ask("writev nowhere", [&] { return writev(pair[0], at<iovec>(kNowhere), 1); });
  ask("writev many", [&] { return writev(pair[0], at<iovec>(kNowhere), 100000); });
  ask("sendmsg nowhere", [&] { return sendmsg(pair[0], at<msghdr>(kNowhere), 0); });
  ask("sendmmsg nowhere", [&] { return sendmmsg(pair[0], at<mmsghdr>(kNowhere), 2, 0); });
  ask("recvmsg nowhere", [&] { return recvmsg(pair[0], at<msghdr>(kNowhere), 0); });
  ask("recvmmsg again", [&] {
    mmsghdr messages[2] = {};
    return recvmmsg(pair[0], messages, 2, 0, nullptr);
  });
  ask("recvmmsg nowhere", [&] { return recvmmsg(pair[0], at<mmsghdr>(kNowhere), 2, 0, nullptr); });
  ask("sendfile bad", [&] { return sendfile(pair[0], -1, nullptr, 10); });
  ask("splice none", [&] { return splice(pair[0], nullptr, pair[1], nullptr, 10, 0); });
  ask("pread socket", [&] { return pread(pair[0], &local, 1, 0); });
  ask("read bad", [&] { return read(100000, &local, 1); });
  signal(SIGPIPE, SIG_IGN);
  close(pair[1]);
  ask("write closed", [&] { return write(pair[0], &local, 1); });
  ask("read closed", [&] { return read(pair[0], &local, 1); });
}

void ask_about_waiting() {
  const int epoll = epoll_create1(0);
  epoll_event event;
  ask("epoll_wait none", [&] { return epoll_wait(epoll, &event, 0, 0); });
  ask("epoll_wait nowhere", [&] { return epoll_wait(epoll, at<epoll_event>(kNowhere), 1, 1); });
  ask("epoll_wait bad", [&] { return epoll_wait(-1, &event, 1, 1); });
  ask("epoll_pwait2 nowhere", [&] { return epoll_pwait2(epoll, &event, 1, at<timespec>(kNowhere), nullptr); });
  ask("poll nowhere", [] { return poll(at<pollfd>(kNowhere), 1, 1); });
  const timespec odd = {0, -5};
  ask("ppoll odd", [&] { return ppoll(nullptr, 0, &odd, nullptr); });
  ask("pselect odd", [&] { return pselect(0, nullptr, nullptr, nullptr, &odd, nullptr); });
  timeval past = {-1, 0};
  ask("select past", [&] { return select(0, nullptr, nullptr, nullptr, &past); });
  ask("select count", [] { return select(-1, nullptr, nullptr, nullptr, nullptr); });
  ask("nanosleep odd", [&] { return nanosleep(&odd, nullptr); });
  ask("nanosleep nowhere", [] { return nanosleep(at<timespec>(kNowhere), nullptr); });
  ask("clock_nanosleep clock", [&] { return clock_nanosleep(99, 0, &odd, nullptr); });
  ask("semtimedop nowhere", [] { return semtimedop(0x7fffffff, at<sembuf>(kNowhere), 1, at<timespec>(kNowhere)); });
  ask("sleep none", [] { return sleep(0); });
}

void ask_about_signals() {
  ask("signalfd nowhere", [] { return signalfd(-1, at<sigset_t>(kNowhere), 0); });
  ask("signalfd null", [] { return signalfd(-1, at<sigset_t>(0), 0); });
  ask("sigwaitinfo nowhere", [] { return sigwaitinfo(at<sigset_t>(kNowhere), nullptr); });
  ask("sigwait nowhere", [] {
    int number;
    return sigwait(at<sigset_t>(kNowhere), &number);
  });
  sigset_t none;
  sigemptyset(&none);
  ask("sigtimedwait nowhere", [&] { return sigtimedwait(&none, nullptr, at<timespec>(kNowhere)); });
  const timespec soon = {0, 1000};
  ask("sigtimedwait none", [&] { return sigtimedwait(&none, nullptr, &soon); });
  ask("sigsuspend nowhere", [] { return sigsuspend(at<sigset_t>(kNowhere)); });
  ask("sigaction kill", [] {
    struct sigaction action = {};
    return sigaction(SIGKILL, &action, nullptr);
  });
  ask("sigaction number", [] { return sigaction(900, nullptr, nullptr); });
  ask("signal number", [] { return signal(0, SIG_IGN) == SIG_ERR; });
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    signal(number, SIG_IGN);
    raise(number);
    kill(getpid(), number);
  }
  ask("ignored", [] { return signal(SIGRTMAX, SIG_IGN) == SIG_IGN; });
}

int g_shared = 0;
char g_stack[256 << 10];

void ask_about_processes(const char* self) {
  char* const arguments[] = {const_cast<char*>(self), nullptr};
  ask("execve nothing", [&] { return execve("/nonexistent", arguments, nullptr); });
  ask("execve nowhere", [&] { return execve(at<char>(kNowhere), arguments, nullptr); });
  ask("execvp nothing", [&] { return execvp("no-such-program-here", arguments); });
  ask("posix_spawn nothing", [&] {
    pid_t pid = 77;
    const int error = posix_spawn(&pid, "/nonexistent", nullptr, nullptr, arguments, nullptr);
    return error * 1000 + pid;
  });
  ask("clone null", [] { return clone(nullptr, g_stack + sizeof g_stack, SIGCHLD, nullptr); });
  ask("pthread_create huge", [] {
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 46);
    pthread_t thread;
    return pthread_create(
        &thread, &huge, [](void*) -> void* { return nullptr; }, nullptr);
  });
  // Children in our own memory, that end and that become other programs.
  for (int how = 0; how < 2; ++how) {
    ask(how == 0 ? "clone end" : "clone exec", [&] {
      const int child = clone(
          [](void* way) -> int {
            ++g_shared;
            if (way == nullptr) _exit(41);
            execl("/bin/false", "false", static_cast<char*>(nullptr));
            _exit(42);
          },
          g_stack + sizeof g_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, at<void>(static_cast<uintptr_t>(how)));
      int status = 0;
      waitpid(child, &status, 0);
      return WEXITSTATUS(status) * 10 + g_shared;
    });
  }
}

void ask_about_memory() {
  ask("mmap nothing", [] { return mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; });
  ask("munmap odd", [] { return munmap(at<void>(3), 4096); });
  ask("munmap nothing", [] { return munmap(at<void>(kNowhere), 0); });
  ask("mprotect nowhere", [] { return mprotect(at<void>(kNowhere), 1 << 20, PROT_READ); });
  ask("mremap nowhere", [] { return mremap(at<void>(kNowhere), 4096, 8192, 0) == MAP_FAILED; });
  ask("posix_memalign odd", [] {
    void* block = nullptr;
    return posix_memalign(&block, 3, 8);
  });
  ask("aligned_alloc odd", [] { return aligned_alloc(3, 8) == nullptr; });
  volatile size_t half = SIZE_MAX / 2;
  ask("malloc huge", [&] { return malloc(half) == nullptr; });
  ask("calloc huge", [&] { return calloc(half, 4) == nullptr; });
  ask("realloc huge", [&] { return realloc(nullptr, half) == nullptr; });
  ask("reallocarray huge", [&] { return reallocarray(nullptr, half, 4) == nullptr; });
  // A free() between a failure and the look at its errno.
  ask("free keeps", [] {
    errno = 5;
    for (int i = 0; i < 1000; ++i) free(malloc(5000));
    return errno;
  });
}

}  // namespace

int main(int, char** arguments) {
  auto* memory = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(memory + 4096, 4096, PROT_NONE);
  ask_about_descriptors(memory + 4096);
  ask_about_waiting();
  ask_about_signals();
  ask_about_processes(arguments[0]);
  ask_about_memory();
  printf("end %d\n", kill(getpid(), 0));
  return 23;
}
