// tests/e2e/workload.cc
//
// A program whose CPU time, allocations and descriptors are known by construction, for the accuracy tests.
//
//   e2e_workload cpu SECONDS        spins in ten functions in fixed proportions; prints the CPU seconds used
//   e2e_workload heap ROUNDS        allocates in eight functions with fixed sizes; prints "function bytes" truth lines
//   e2e_workload serve PORT         echoes: reads a 4-byte length, that many bytes, sends them back, in 1 KiB pieces
//   e2e_workload sleep SECONDS      does nothing (to be killed)
//   e2e_workload leak SECONDS       keeps 1 KiB of every ten allocations
//   e2e_workload files SECONDS      opens some thousand files a second, reads and closes all but one in a hundred;
//   prints
//                                   how many it left open
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace {

volatile std::uint64_t g_sink;

#define SPIN(name)                                                               \
  [[gnu::noinline]] void name(std::uint64_t rounds) {                            \
    std::uint64_t x = rounds | 1;                                                \
    for (std::uint64_t i = 0; i < rounds; ++i) x = x * 6364136223846793005u + i; \
    g_sink = g_sink + x;                                                         \
  }
SPIN(spin_one)
SPIN(spin_two)
SPIN(spin_three)
SPIN(spin_four)
SPIN(spin_five)
SPIN(spin_six)
SPIN(spin_seven)
SPIN(spin_eight)
SPIN(spin_nine)
SPIN(spin_ten)
#undef SPIN

int spin_for(double seconds) {
  using Spin = void (*)(std::uint64_t);
  static constexpr Spin kSpins[] = {spin_one, spin_two,   spin_three, spin_four, spin_five,
                                    spin_six, spin_seven, spin_eight, spin_nine, spin_ten};
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until)
    for (std::uint64_t i = 0; i < 10; ++i) kSpins[i](20'000 * (10 - i));
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  std::printf("used %.6f\n", static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9);
  return 0;
}

#define ALLOCATE(name, size)                                     \
  [[gnu::noinline]] std::uint64_t name(std::uint64_t rounds) {   \
    for (std::uint64_t i = 0; i < rounds; ++i) {                 \
      void* block = std::malloc(size);                           \
      g_sink = g_sink + reinterpret_cast<std::uintptr_t>(block); \
      std::free(block);                                          \
    }                                                            \
    return rounds * (size);                                      \
  }
ALLOCATE(allocate_16, 16)
ALLOCATE(allocate_48, 48)
ALLOCATE(allocate_128, 128)
ALLOCATE(allocate_400, 400)
ALLOCATE(allocate_1024, 1024)
ALLOCATE(allocate_5000, 5000)
ALLOCATE(allocate_20000, 20000)
ALLOCATE(allocate_70000, 70000)
#undef ALLOCATE

int allocate(std::uint64_t rounds) {
  struct Site {
    const char* name;
    std::uint64_t (*allocate)(std::uint64_t);
    std::uint64_t rounds;
    std::uint64_t bytes;
  };
  Site sites[] = {{"allocate_16", allocate_16, 4000, 0},     {"allocate_48", allocate_48, 3000, 0},
                  {"allocate_128", allocate_128, 2000, 0},   {"allocate_400", allocate_400, 1000, 0},
                  {"allocate_1024", allocate_1024, 500, 0},  {"allocate_5000", allocate_5000, 100, 0},
                  {"allocate_20000", allocate_20000, 30, 0}, {"allocate_70000", allocate_70000, 5, 0}};
  for (std::uint64_t i = 0; i < rounds; ++i) {
    for (Site& site : sites) site.bytes += site.allocate(site.rounds);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // some 3 MB a round: no ring is lapped at 64 KiB
  }
  for (const Site& site : sites) std::printf("%s %llu\n", site.name, static_cast<unsigned long long>(site.bytes));
  return 0;
}

bool transfer_all(int fd, char* data, std::size_t bytes, bool sending) {
  while (bytes > 0) {
    const std::size_t piece = bytes < 1024 ? bytes : 1024;
    const ssize_t got = sending ? send(fd, data, piece, MSG_NOSIGNAL) : recv(fd, data, piece, 0);
    if (got <= 0) return false;
    data += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

void echo(int fd) {
  for (;;) {
    std::uint32_t length = 0;
    if (recv(fd, &length, sizeof length, MSG_WAITALL) != sizeof length) break;
    std::vector<char> data(length);
    if (!transfer_all(fd, data.data(), length, false) || !transfer_all(fd, data.data(), length, true)) break;
  }
  close(fd);
}

int serve(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 64) != 0) return 1;
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return 1;
    std::thread(echo, fd).detach();
  }
}

// Not tail calls (a jump to malloc would leave no frame of these two on the stack), and not the same body (the compiler
// would make one function of both).
[[gnu::noinline]] char* keep_for_ever() {
  char* block = static_cast<char*>(std::malloc(1024));
  g_sink = g_sink + 1;
  return block;
}
[[gnu::noinline]] char* use_and_drop() {
  char* block = static_cast<char*>(std::malloc(1024));
  g_sink = g_sink + 2;
  return block;
}

int leak(double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::uint64_t kept = 0;
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 100; ++i) {
      char* block = i % 10 == 0 ? keep_for_ever() : use_and_drop();
      std::memset(block, 1, 1024);
      if (i % 10 == 0) {
        g_sink = g_sink + reinterpret_cast<std::uintptr_t>(block);
        kept += 1024;
      } else {
        std::free(block);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::printf("kept %llu\n", static_cast<unsigned long long>(kept));
  return 0;
}

[[gnu::noinline]] int open_and_forget() {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  g_sink = g_sink + 3;
  return fd;
}
[[gnu::noinline]] int open_to_read() {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  g_sink = g_sink + 4;
  return fd;
}

int open_files(double seconds) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  unsigned long opened = 0, left_open = 0;
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 20; ++i) {
      const bool is_forgotten = ++opened % 100 == 0;
      const int fd = is_forgotten ? open_and_forget() : open_to_read();
      if (fd < 0) return 1;
      char data[100];
      if (::read(fd, data, sizeof data) != sizeof data) return 1;
      if (is_forgotten)
        ++left_open;
      else
        ::close(fd);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));  // until the youngest has a row of its own
  std::printf("opened %lu\nleft_open %lu\n", opened, left_open);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string what = argv[1];
  const double amount = std::atof(argv[2]);
  if (what == "cpu") return spin_for(amount);
  if (what == "heap") return allocate(static_cast<std::uint64_t>(amount));
  if (what == "serve") return serve(static_cast<int>(amount));
  if (what == "leak") return leak(amount);
  if (what == "files") return open_files(amount);
  if (what == "sleep") {
    std::this_thread::sleep_for(std::chrono::duration<double>(amount));
    return 0;
  }
  return 2;
}
