// tests/sampler/unwind_check/stack_recorder.cc
//
// A library to preload into any program (LD_PRELOAD=libstack_recorder.so): walks the program's stacks at random
// moments, as the probe does, and writes each walk down together with the registers and the stack it was made from, so
// that stack_checker can hold it against libunwind afterwards. libunwind itself cannot be called here: it asks the
// loader for its modules, and a signal may have interrupted the very function that holds the loader's lock.
//
// A moment is a tick of a thread's CPU clock, or an allocation. For tests only; never installed.
//
//   STACK_RECORDER_DIRECTORY    where to write, one file a process; not set: do nothing
//   STACK_RECORDER_PERIOD_US    mean CPU time between two ticks of a thread (default 4000; the kernel's tick is the
//   least) STACK_RECORDER_ALLOCATIONS  mean number of a thread's allocations between two samples (default 1000; 0:
//   none) STACK_RECORDER_MIB          most that one process may write (default 256)
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

#include "sampler/unwind.h"
#include "sampler/unwind_memory.h"
#include "shm/raw_syscall.h"
#include "tests/sampler/unwind_check/recording.h"

extern "C" void* __libc_stack_end;

namespace camprobe::tests {
namespace {

using sampler::StackBounds;
using shm::raw_syscall;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostStack = 1 << 20;         // of the stack that was interrupted
constexpr std::uint64_t kMostOtherStack = 256 << 10;  // of the thread's own, when that is another
constexpr std::uint64_t kRedZone = 128;

struct Settings {
  char directory[256];
  std::uint64_t period_ns;
  std::uint64_t allocations;
  std::uint64_t most_bytes;
};
Settings settings;
int tick_signal;
std::atomic<bool> is_recording{false};
// Of the process that may write. A vfork() child has another, and shares all our memory: it must not touch a thing.
std::atomic<pid_t> owner{0};

struct Thread {
  StackBounds bounds;
  std::uint64_t random;
  std::int64_t countdown;  // allocations until the next sample
  timer_t timer;
  bool has_timer;
  bool is_inside;
};
[[gnu::tls_model("initial-exec")]] thread_local Thread self;

// All below: whoever holds `writing`. Nobody waits for it, a sample that does not get it is not taken.
std::atomic_flag writing = ATOMIC_FLAG_INIT;
char output_path[sizeof settings.directory + 32];
std::uint64_t bytes_written;
char maps[1 << 20];
std::uint64_t maps_hash;
struct Range {
  std::uint64_t low, high;
};
Range executable[8192];
std::uint32_t executables;
std::atomic<bool> is_maps_stale{true};
std::uintptr_t frames[kMostFrames];

std::uint64_t next_random(Thread* thread) {
  std::uint64_t& x = thread->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

// Uniform in [mean / 2, mean * 3 / 2).
std::uint64_t around(Thread* thread, std::uint64_t mean) {
  return mean / 2 + next_random(thread) % (mean + 1);
}

// Appends one record. The file is opened each time: a descriptor that stayed open is one that the program may close.
void append(RecordKind kind, iovec* parts, int count) {
  const int fd = static_cast<int>(raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(output_path),
                                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (fd < 0) return;
  RecordHead head{kRecordMagic, kind, 0};
  for (int i = 1; i < count; ++i) head.bytes += parts[i].iov_len;
  parts[0] = {&head, sizeof head};
  const std::uint64_t whole = head.bytes + sizeof head;
  const long before = raw_syscall(SYS_lseek, fd, 0, SEEK_END);
  const long written = raw_syscall(SYS_writev, fd, reinterpret_cast<long>(parts), count);
  if (written == static_cast<long>(whole)) {
    bytes_written += whole;
  } else {  // a stack that is not all readable, a full disk
    raw_syscall(SYS_ftruncate, fd, before);
  }
  raw_syscall(SYS_close, fd);
}

std::uint64_t hexadecimal(const char** at) {
  std::uint64_t value = 0;
  for (;; ++*at) {
    const char c = **at;
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<std::uint64_t>(c - 'a' + 10);
    } else {
      return value;
    }
  }
}

// Reads /proc/self/maps, and writes down the lines that matter when they are not those written last.
void write_maps() {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/maps"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  std::uint64_t size = 0;
  for (;;) {
    const long got =
        raw_syscall(SYS_read, fd, reinterpret_cast<long>(maps + size), static_cast<long>(sizeof maps - 1 - size));
    if (got <= 0) break;
    size += static_cast<std::uint64_t>(got);
  }
  raw_syscall(SYS_close, fd);
  maps[size] = '\0';
  std::uint64_t kept = 0;
  std::uint64_t hash = 14695981039346656037u;
  executables = 0;
  for (const char* line = maps; *line != '\0';) {
    const char* end = strchr(line, '\n');
    if (end == nullptr) break;
    const char* at = line;
    const std::uint64_t low = hexadecimal(&at);
    ++at;
    const std::uint64_t high = hexadecimal(&at);
    const bool is_executable = at + 3 < end && at[3] == 'x';
    const auto* path = static_cast<const char*>(memchr(at, '/', static_cast<std::size_t>(end - at)));
    if (is_executable && executables < sizeof executable / sizeof *executable) executable[executables++] = {low, high};
    if (is_executable || path != nullptr) {
      const std::size_t length = static_cast<std::size_t>(end - line) + 1;
      for (std::size_t i = 0; i < length; ++i) hash = (hash ^ static_cast<unsigned char>(line[i])) * 1099511628211u;
      memmove(maps + kept, line, length);
      kept += length;
    }
    line = end + 1;
  }
  if (hash == maps_hash) return;
  maps_hash = hash;
  iovec parts[2] = {{}, {maps, kept}};
  append(RecordKind::kMaps, parts, 2);
}

bool is_known_code(std::uint64_t pc) {
  for (std::uint32_t i = 0; i < executables; ++i)
    if (pc >= executable[i].low && pc < executable[i].high) return true;
  return false;
}

// From `low` up to the first page that cannot be read, at most `most` bytes.
Piece readable_from(std::uint64_t low, std::uint64_t most) {
  std::uint64_t end = low & ~(kPage - 1);
  while (end - low + kPage <= most + kPage && sampler::page_is_readable(end)) end += kPage;
  return {low, end > low ? end - low : 0};
}

// Writes the sample whose walk stands in `frames`.
void write_sample(Origin origin, const Thread& thread, const sampler::Walk& walk, std::uint64_t hook_frame,
                  const std::uint64_t* registers) {
  // Not asked of an address that an overwritten stack yields: it is in no mapping, and stays so.
  bool is_new = is_maps_stale.exchange(false, std::memory_order_acq_rel);
  for (std::uint32_t i = 0; i < walk.depth && !is_new; ++i) is_new = !is_known_code(frames[i]);
  if (is_new) write_maps();

  SampleHead head = {};
  head.origin = origin;
  head.end = static_cast<std::uint32_t>(walk.end);
  head.depth = walk.depth;
  head.hook_frame = hook_frame;
  memcpy(head.registers, registers, sizeof head.registers);
  const std::uint64_t sp = registers[sampler::kRsp];
  const StackBounds& bounds = thread.bounds;
  const std::uint64_t low = (sp - kRedZone) & ~std::uint64_t{7};
  if (sp >= bounds.low && sp < bounds.high) {
    const std::uint64_t from = low < bounds.low ? bounds.low : low;
    head.piece[head.pieces++] = {from, bounds.high - from < kMostStack ? bounds.high - from : kMostStack};
  } else {  // a coroutine's stack, or an alternate signal stack that leads back to the thread's own
    head.piece[head.pieces++] = readable_from(low, kMostStack / 4);
    std::uint64_t from = bounds.high & ~(kPage - 1);
    while (bounds.high - from < kMostOtherStack && from - kPage >= bounds.low &&
           sampler::page_is_readable(from - kPage))
      from -= kPage;
    if (from < bounds.high) head.piece[head.pieces++] = {from, bounds.high - from};
  }
  iovec parts[3 + kMostPieces] = {{}, {&head, sizeof head}, {frames, walk.depth * sizeof *frames}};
  for (std::uint32_t i = 0; i < head.pieces; ++i)
    parts[3 + i] = {reinterpret_cast<void*>(head.piece[i].low), head.piece[i].size};
  append(RecordKind::kSample, parts, static_cast<int>(3 + head.pieces));
}

bool may_record() {
  return is_recording.load(std::memory_order_relaxed) &&
         raw_syscall(SYS_getpid) == owner.load(std::memory_order_relaxed);
}

void set_timer(Thread* thread) {
  itimerspec once = {};
  once.it_value.tv_nsec = static_cast<long>(1 + around(thread, settings.period_ns));
  raw_syscall(SYS_timer_settime, static_cast<long>(reinterpret_cast<std::intptr_t>(thread->timer)), 0,
              reinterpret_cast<long>(&once), 0);
}

void start_thread(Thread* thread) {
  const auto tid = static_cast<pid_t>(raw_syscall(SYS_gettid));
  timespec now = {};
  raw_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, reinterpret_cast<long>(&now));
  thread->random = (static_cast<std::uint64_t>(tid) << 32 ^ static_cast<std::uint64_t>(now.tv_nsec)) | 1;
  for (int i = 0; i < 8; ++i) next_random(thread);
  thread->countdown =
      settings.allocations == 0 ? INT64_MAX : static_cast<std::int64_t>(around(thread, settings.allocations));
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = tick_signal;
  event._sigev_un._tid = tid;
  int id = -1;
  thread->has_timer = raw_syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&event),
                                  reinterpret_cast<long>(&id)) == 0;
  thread->timer = reinterpret_cast<timer_t>(static_cast<std::intptr_t>(id));
  if (thread->has_timer) set_timer(thread);
}

void stop_thread(Thread* thread) {
  if (thread->has_timer)
    raw_syscall(SYS_timer_delete, static_cast<long>(reinterpret_cast<std::intptr_t>(thread->timer)));
  thread->has_timer = false;
}

void on_tick(int, siginfo_t*, void* raw_context) {
  const auto* context = static_cast<const ucontext_t*>(raw_context);
  Thread* thread = &self;
  if (!may_record()) return;
  if (!thread->is_inside && !writing.test_and_set(std::memory_order_acquire)) {
    const auto& saved = context->uc_mcontext.gregs;
    static constexpr int kIndex[sampler::kRegisters] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                        REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                        REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    std::uint64_t registers[sampler::kRegisters];
    for (std::uint32_t i = 0; i < sampler::kRegisters; ++i) registers[i] = static_cast<std::uint64_t>(saved[kIndex[i]]);
    const sampler::Walk walk = sampler::walk_context(frames, kMostFrames, thread->bounds, context);
    if (bytes_written < settings.most_bytes) write_sample(Origin::kTimer, *thread, walk, 0, registers);
    writing.clear(std::memory_order_release);
  }
  set_timer(thread);
}

[[gnu::noinline, gnu::cold]] void sample_allocation(Thread* thread, void* hook_frame) {
  if (settings.allocations == 0 || !may_record()) {
    thread->countdown = INT64_MAX;
    return;
  }
  thread->countdown = static_cast<std::int64_t>(around(thread, settings.allocations));
  if (thread->is_inside) return;
  thread->is_inside = true;
  const int errno_before = errno;
  if (!writing.test_and_set(std::memory_order_acquire)) {
    std::uint64_t registers[sampler::kRegisters] = {};
    asm volatile(
        "movq %%rbx, 3*8(%0)\n\t"
        "movq %%rbp, 6*8(%0)\n\t"
        "movq %%rsp, 7*8(%0)\n\t"
        "movq %%r12, 12*8(%0)\n\t"
        "movq %%r13, 13*8(%0)\n\t"
        "movq %%r14, 14*8(%0)\n\t"
        "movq %%r15, 15*8(%0)\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "1: movq %%rax, 16*8(%0)\n\t"
        :
        : "r"(registers)
        : "rax", "memory");
    const sampler::Walk walk = sampler::walk_above(frames, kMostFrames, thread->bounds, hook_frame);
    if (bytes_written < settings.most_bytes)
      write_sample(Origin::kAllocation, *thread, walk, reinterpret_cast<std::uint64_t>(hook_frame), registers);
    writing.clear(std::memory_order_release);
  }
  errno = errno_before;
  thread->is_inside = false;
}

StackBounds bounds_of_first_thread() {
  const auto end = reinterpret_cast<std::uintptr_t>(__libc_stack_end);
  rlimit limit = {};
  std::uintptr_t size = std::uintptr_t{1} << 30;
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < size) size = limit.rlim_cur;
  return {end - size, (end + kPage - 1) & ~(kPage - 1)};
}

// Makes the calling process the one that writes, to a file of its own.
void take_over() {
  const pid_t pid = static_cast<pid_t>(raw_syscall(SYS_getpid));
  owner.store(pid, std::memory_order_relaxed);
  snprintf(output_path, sizeof output_path, "%s/%d.stacks", settings.directory, pid);
  char path[1024];
  const long length =
      raw_syscall(SYS_readlink, reinterpret_cast<long>("/proc/self/exe"), reinterpret_cast<long>(path), sizeof path);
  if (length <= 0) return;
  iovec parts[2] = {{}, {path, static_cast<std::size_t>(length)}};
  append(RecordKind::kImage, parts, 2);
}

void after_fork_in_child() {
  sampler::forget_walkers_after_fork();
  writing.clear();
  bytes_written = 0;
  maps_hash = 0;
  is_maps_stale.store(true, std::memory_order_relaxed);
  self.is_inside = false;
  if (!is_recording.load(std::memory_order_relaxed)) return;
  take_over();
  start_thread(&self);
}

struct Begin {
  void* (*routine)(void*);
  void* argument;
};

struct Real {
  void* (*malloc)(std::size_t);
  void* (*calloc)(std::size_t, std::size_t);
  void* (*realloc)(void*, std::size_t);
  void (*free)(void*);
  int (*dlclose)(void*);
  int (*pthread_create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
};
Real real_functions;

template <typename Function>
void find(const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  if (*function == nullptr) abort();
}

const Real& real() {
  if (real_functions.pthread_create == nullptr) [[unlikely]] {
    find("malloc", &real_functions.malloc);
    find("calloc", &real_functions.calloc);
    find("realloc", &real_functions.realloc);
    find("free", &real_functions.free);
    find("dlclose", &real_functions.dlclose);
    find("pthread_create", &real_functions.pthread_create);
  }
  return real_functions;
}

void end_of_thread(void*) {
  stop_thread(&self);
}

void* run_thread(void* raw) {
  const Begin begin = *static_cast<Begin*>(raw);
  real().free(raw);
  self.is_inside = true;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    void* low = nullptr;
    std::size_t size = 0;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    self.bounds = {reinterpret_cast<std::uintptr_t>(low), reinterpret_cast<std::uintptr_t>(low) + size};
  }
  if (may_record()) start_thread(&self);
  self.is_inside = false;
  void* result;
  pthread_cleanup_push(end_of_thread, nullptr);
  result = begin.routine(begin.argument);
  pthread_cleanup_pop(1);
  return result;
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = getenv(name);
  return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}

[[gnu::constructor(101)]] void start() {
  real();
  const char* directory = getenv("STACK_RECORDER_DIRECTORY");
  if (directory == nullptr || strlen(directory) >= sizeof settings.directory) return;
  strcpy(settings.directory, directory);
  settings.period_ns = number_from("STACK_RECORDER_PERIOD_US", 4000) * 1000;
  settings.allocations = number_from("STACK_RECORDER_ALLOCATIONS", 1000);
  settings.most_bytes = number_from("STACK_RECORDER_MIB", 256) << 20;
  struct sigaction action = {};
  for (int signal = SIGRTMAX; signal >= SIGRTMIN && tick_signal == 0; --signal) {
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) tick_signal = signal;
  }
  if (tick_signal == 0) return;
  action = {};
  action.sa_sigaction = on_tick;
  sigfillset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigaction(tick_signal, &action, nullptr);
  sampler::start_unwinding();
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  self.bounds = bounds_of_first_thread();
  take_over();
  is_recording.store(true, std::memory_order_relaxed);
  start_thread(&self);
}

// One allocation of this thread.
[[gnu::always_inline]] inline void count(void* hook_frame) {
  if (--self.countdown < 0) [[unlikely]]
    sample_allocation(&self, hook_frame);
}

}  // namespace
}  // namespace camprobe::tests

using namespace camprobe::tests;  // NOLINT: hooks are global functions
#define HOOK extern "C" __attribute__((visibility("default")))

HOOK void* malloc(std::size_t size) noexcept {
  count(__builtin_dwarf_cfa());
  return real().malloc(size);
}

HOOK void* calloc(std::size_t number, std::size_t size) noexcept {
  count(__builtin_dwarf_cfa());
  return real().calloc(number, size);
}

HOOK void* realloc(void* block, std::size_t size) noexcept {
  count(__builtin_dwarf_cfa());
  return real().realloc(block, size);
}

HOOK int dlclose(void* handle) noexcept {
  camprobe::sampler::module_closing_begin();
  is_maps_stale.store(true, std::memory_order_release);
  const int result = real().dlclose(handle);
  is_maps_stale.store(true, std::memory_order_release);
  camprobe::sampler::module_closing_end();
  return result;
}

HOOK int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*),
                        void* argument) noexcept {
  auto* begin = static_cast<Begin*>(real().malloc(sizeof(Begin)));
  if (begin == nullptr) return EAGAIN;
  *begin = {routine, argument};
  const int result = real().pthread_create(thread, attributes, run_thread, begin);
  if (result != 0) real().free(begin);
  return result;
}
