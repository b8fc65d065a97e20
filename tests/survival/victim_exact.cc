// tests/survival/victim_exact.cc
//
// A workload that knows to the unit what it did: beside each call stands what the call was, as it came back.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>

#include "tests/survival/victim.h"

namespace victim {
namespace {

struct Io {
  long ops, bytes, errors;
  // Nothing there yet is an answer, not an error.
  void add(ssize_t result) {
    if (result >= 0) ++ops, bytes += result;
    if (result < 0 && errno != EAGAIN) ++errors;
  }
};
struct Truth {
  long allocs, frees, bytes;
  Io socket_read, socket_write, file_read, file_write, pipe_read, pipe_write;
};

void add(Truth& sum, const Truth& other) {
  // All members are of one type.
  auto* to = reinterpret_cast<long*>(&sum);
  const auto* from = reinterpret_cast<const long*>(&other);
  for (size_t i = 0; i < sizeof(Truth) / sizeof(long); ++i) to[i] += from[i];
}

void say_io(const std::string& prefix, const Io& io) {
  say((prefix + "_ops").c_str(), static_cast<double>(io.ops));
  say((prefix + "_bytes").c_str(), static_cast<double>(io.bytes));
  say((prefix + "_errors").c_str(), static_cast<double>(io.errors));
}
void say_truth(const std::string& who, const Truth& truth) {
  say((who + "_allocs").c_str(), static_cast<double>(truth.allocs));
  say((who + "_frees").c_str(), static_cast<double>(truth.frees));
  say((who + "_bytes").c_str(), static_cast<double>(truth.bytes));
  say_io(who + "_socket_read", truth.socket_read);
  say_io(who + "_socket_write", truth.socket_write);
  say_io(who + "_file_read", truth.file_read);
  say_io(who + "_file_write", truth.file_write);
  say_io(who + "_pipe_read", truth.pipe_read);
  say_io(who + "_pipe_write", truth.pipe_write);
}

struct Descriptors {
  int sockets[2], pipe[2], file;
};
Descriptors open_descriptors() {
  Descriptors all = {};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, all.sockets) != 0 || pipe(all.pipe) != 0) abort();
  all.file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (all.file < 0) abort();
  return all;
}

void allocate(long i, Truth& truth) {
  const auto took = [&truth](size_t bytes) {
    ++truth.allocs;
    truth.bytes += static_cast<long>(bytes);
    return bytes;
  };
  void* block = sink(malloc(took(static_cast<size_t>(20 + i % 2'000))));
  block = realloc(block, took(static_cast<size_t>(30 + i % 5'000)));
  ++truth.frees;  // the block that was
  free(block);
  free(sink(calloc(took(64 * 3) / 64, 64)));
  void* aligned = nullptr;
  if (posix_memalign(&aligned, 64, took(256)) == 0) free(sink(aligned));
  free(nullptr);
  delete[] static_cast<char*>(sink(new char[took(77)]));
  ::operator delete (sink(::operator new (took(512), std::align_val_t{256})), std::align_val_t{256});
  truth.frees += 5;
}

void transfer(const Descriptors& at, Truth& truth) {
  char buffer[256] = {};
  iovec pieces[2] = {{buffer, 30}, {buffer + 30, 40}};
  msghdr message = {};
  message.msg_iov = pieces;
  message.msg_iovlen = 2;
  truth.socket_write.add(send(at.sockets[0], buffer, 100, MSG_NOSIGNAL));
  truth.socket_write.add(write(at.sockets[0], buffer, 50));
  truth.socket_write.add(sendmsg(at.sockets[0], &message, 0));
  truth.socket_write.add(writev(at.sockets[0], pieces, 2));
  truth.socket_read.add(recv(at.sockets[1], buffer, 100, MSG_WAITALL));
  truth.socket_read.add(read(at.sockets[1], buffer, 50));
  truth.socket_read.add(recvmsg(at.sockets[1], &message, MSG_WAITALL));
  truth.socket_read.add(readv(at.sockets[1], pieces, 2));
  truth.socket_read.add(recv(at.sockets[1], buffer, 1, MSG_DONTWAIT));  // nothing there
  truth.file_write.add(pwrite(at.file, buffer, 64, 0));
  truth.file_write.add(pwritev(at.file, pieces, 2, 64));
  truth.file_read.add(pread(at.file, buffer, 200, 0));
  truth.file_read.add(pread(at.file, buffer, 10, 1'000'000));  // the end: no byte
  truth.pipe_write.add(write(at.pipe[1], buffer, 10));
  truth.pipe_read.add(read(at.pipe[0], buffer, 200));
  truth.pipe_read.add(pread(at.pipe[0], buffer, 1, 0));  // fails: a pipe has no place to read at
}

struct Worker {
  long count;
  Truth truth;
};
void* work(void* raw) {
  auto* worker = static_cast<Worker*>(raw);
  const Descriptors at = open_descriptors();
  for (long i = 0; i < worker->count; ++i) {
    allocate(i, worker->truth);
    transfer(at, worker->truth);
  }
  for (const int fd : {at.sockets[0], at.sockets[1], at.pipe[0], at.pipe[1], at.file}) close(fd);
  return nullptr;
}

// THREADS COUNT FORKS: so many threads make COUNT rounds each, while the process forks children that make COUNT rounds
// too.
void exact(const Arguments& arguments) {
  constexpr long kMost = 256;
  const long threads = arguments.number(0), count = arguments.number(1), forks = arguments.number(2);
  if (threads > kMost || forks > kMost) abort();
  static Worker workers[kMost];
  static pthread_t crew[kMost];
  auto* of_children = static_cast<Worker*>(
      mmap(nullptr, sizeof(Worker) * kMost, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (long t = 0; t < threads; ++t) {
    workers[t].count = count;
    if (pthread_create(&crew[t], nullptr, work, &workers[t]) != 0) abort();
  }
  static pid_t children[kMost];
  long bad = 0;
  for (long i = 0; i < forks; ++i) {
    children[i] = fork();
    if (children[i] == 0) {
      of_children[i].count = count;
      work(&of_children[i]);
      _exit(0);
    }
    int status = 0;
    waitpid(children[i], &status, 0);
    bad += status != 0;
  }
  for (long t = 0; t < threads; ++t) pthread_join(crew[t], nullptr);
  Truth sum = {};
  for (long t = 0; t < threads; ++t) add(sum, workers[t].truth);
  for (long i = 0; i < forks; ++i) {
    bad += memcmp(&of_children[i].truth, &of_children[0].truth, sizeof(Truth)) != 0;
    say("child", static_cast<double>(children[i]));
  }
  say("bad", static_cast<double>(bad));
  say_truth("threads", sum);
  if (forks > 0) say_truth("child", of_children[0].truth);
  die_by_kill();
}

// Blocks that are older than the probe (early_pointers.c).
void early_pointers(const Arguments&) {
  auto use = reinterpret_cast<int (*)(int*)>(dlsym(RTLD_DEFAULT, "use_early_pointers"));
  if (use == nullptr) {
    puts("early_pointers is not preloaded");
    return;
  }
  int were_resolved_early = 0;
  say("bad", use(&were_resolved_early));
  say("resolved", were_resolved_early);
}

}  // namespace

const std::vector<Act> kExactActs = {{"exact", exact}, {"early-pointers", early_pointers}};

}  // namespace victim
