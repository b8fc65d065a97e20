// tests/cli/control_target.cc
//
// A program that does exactly what it is told, one line at a time on standard input, and says "ok ..." when it is done:
// what is being recorded may be changed between two lines. It waits for the next line inside libc, where no hook sees
// it, so between two lines it does nothing at all.
//
//   alloc N SIZE     N blocks of SIZE bytes, freed again       keep N SIZE   N blocks that stay
//   spin MS          so much CPU time                           ok: nanoseconds really used
//   io N             N sends and receives of 100 bytes through a socket pair, and N writes of 10 bytes to /dev/null
//   waits N MS       N times poll() without descriptors
//   sleep MS         nanosleep
//   open             /dev/null                                  ok: the descriptor
//   close FD
//   span NAME        begins a span that stays open
//   thread           starts a thread that does nothing          fork          a child that sleeps 30 s: ok: its pid
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "probe/include/camprobe.h"

namespace {

volatile std::uint64_t g_sink;
char g_names[16][32];
int g_name_count = 0;

[[gnu::noinline]] void allocate_here(long count, long size) {
  for (long i = 0; i < count; ++i) {
    void* volatile block = std::malloc(static_cast<std::size_t>(size));
    std::free(block);
  }
  g_sink = g_sink + 1;
}

[[gnu::noinline]] void keep_here(long count, long size) {
  static void* kept = nullptr;
  for (long i = 0; i < count; ++i) {
    void** block = static_cast<void**>(std::malloc(static_cast<std::size_t>(size)));
    *block = kept;
    kept = block;
  }
  g_sink = g_sink + 1;
}

std::int64_t cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

[[gnu::noinline]] std::int64_t spin_here(long ms) {
  const std::int64_t began = cpu_ns();
  std::int64_t used = 0;
  do {
    std::uint64_t x = g_sink | 1;
    for (int i = 0; i < 100'000; ++i) x = x * 6364136223846793005u + 1;
    g_sink = x;
    used = cpu_ns() - began;
  } while (used < ms * 1'000'000);
  return used;
}

void transfer(int* pair, int null, long count) {
  char bytes[100] = {};
  for (long i = 0; i < count; ++i) {
    if (::send(pair[0], bytes, sizeof bytes, 0) != sizeof bytes) std::abort();
    if (::recv(pair[1], bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes) std::abort();
    if (::write(null, bytes, 10) != 10) std::abort();
  }
}

void* do_nothing(void*) {
  for (;;) ::pause();
}

}  // namespace

int main() {
  int pair[2];
  const int null = ::open("/dev/null", O_WRONLY);
  if (null < 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
  char line[200];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    char word[32] = {}, name[32] = {};
    long first = 0, second = 0;
    std::sscanf(line, "%31s %ld %ld", word, &first, &second);
    const auto is = [&](const char* wanted) { return std::strcmp(word, wanted) == 0; };
    std::int64_t result = 0;
    if (is("alloc")) {
      allocate_here(first, second);
    } else if (is("keep")) {
      keep_here(first, second);
    } else if (is("spin")) {
      result = spin_here(first);
    } else if (is("io")) {
      transfer(pair, null, first);
    } else if (is("waits")) {
      for (long i = 0; i < first; ++i) ::poll(nullptr, 0, static_cast<int>(second));
    } else if (is("sleep")) {
      const timespec time = {first / 1000, first % 1000 * 1'000'000};
      ::nanosleep(&time, nullptr);
    } else if (is("open")) {
      result = ::open("/dev/null", O_RDONLY);
    } else if (is("close")) {
      ::close(static_cast<int>(first));
    } else if (is("span")) {
      std::sscanf(line, "%*s %31s", name);
      std::memcpy(g_names[g_name_count], name, sizeof name);
      const camprobe_span span = camprobe_begin(g_names[g_name_count++ % 16]);
      camprobe_set_text(span, "provider", "openai");
    } else if (is("thread")) {
      pthread_t thread;
      ::pthread_create(&thread, nullptr, do_nothing, nullptr);
    } else if (is("fork")) {
      result = ::fork();
      if (result == 0) {
        for (int i = 0; i < 300; ++i) {
          const timespec time = {0, 100'000'000};
          ::nanosleep(&time, nullptr);
        }
        ::_exit(0);
      }
    } else {
      return 1;
    }
    std::printf("ok %" PRId64 "\n", result);
    std::fflush(stdout);
  }
  return 0;
}
