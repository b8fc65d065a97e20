// sampler/cpu_sampler.cc: see sampler/cpu_sampler.h.
#include "sampler/cpu_sampler.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>

#include "sampler/control.h"
#include "sampler/heap_sampler.h"
#include "sampler/module_table.h"
#include "sampler/session.h"
#include "sampler/unwind_memory.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {
namespace {

// Of CPU time, between two ticks that take no sample but look at the control block.
constexpr std::uint64_t kHousekeepingNs = 100'000'000;
// Samples between two looks at the thread's name; the first few look each time their number doubles.
constexpr std::uint64_t kNameEvery = 64;

constinit int g_signal = 0;
constinit std::atomic<bool> g_signal_is_ignored{false};
constinit std::atomic<std::uint64_t> g_period_ns{0};  // of the timers; 0: there are none
constinit std::atomic<bool> g_is_sampling{false};     // false: they tick for the control block only
// Kernel timer id + 1 of each lane's thread; 0: none. Whoever takes the id out deletes the timer.
constinit std::atomic<std::int64_t> g_timers[shm::kLanes] = {};
using SigAction = int (*)(int, const struct sigaction*, struct sigaction*);
constinit SigAction g_real_sigaction = nullptr;
// Its address marks our timers' signals.
constinit char g_mark = 0;
// What a timer needs from its beginning to its end.
constexpr std::uint64_t kTimerCalls = shm::bit_of_call(SYS_timer_create) | shm::bit_of_call(SYS_timer_settime) |
                                      shm::bit_of_call(SYS_timer_delete) | shm::bit_of_call(SYS_rt_sigaction) |
                                      shm::bit_of_call(SYS_rt_sigreturn) | shm::bit_of_call(SYS_clock_gettime);

itimerspec timer_setting(std::uint64_t first_ns, std::uint64_t period_ns) {
  const auto spec = [](std::uint64_t ns) {
    return timespec{static_cast<time_t>(ns / 1'000'000'000u), static_cast<long>(ns % 1'000'000'000u)};
  };
  return {.it_interval = spec(period_ns), .it_value = spec(first_ns)};
}

// The CPU clock of a thread, as the kernel numbers it.
clockid_t cpu_clock_of(std::uint32_t tid) {
  constexpr clockid_t kPerThread = 4, kScheduled = 2;
  return static_cast<clockid_t>(~tid << 3) | kPerThread | kScheduled;
}

void start_timer(std::int32_t lane, std::uint32_t tid, std::uint64_t random) {
  const std::uint64_t period = g_period_ns.load(std::memory_order_relaxed);
  if (period == 0 || lane < 0 || g_timers[lane].load(std::memory_order_relaxed) != 0) return;
  if (shm::is_forbidden(kTimerCalls)) return;
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = g_signal;
  event.sigev_value.sival_ptr = &g_mark;
  event._sigev_un._tid = static_cast<pid_t>(tid);
  int id = -1;
  if (shm::is_error(shm::raw_syscall(SYS_timer_create, cpu_clock_of(tid), reinterpret_cast<long>(&event),
                                     reinterpret_cast<long>(&id))))
    return;
  // A random phase: threads that start together, or work in step with the period, are still sampled evenly.
  const itimerspec setting = timer_setting(1 + random % period, period);
  shm::raw_syscall(SYS_timer_settime, id, 0, reinterpret_cast<long>(&setting), 0);
  std::int64_t none = 0;
  if (!g_timers[lane].compare_exchange_strong(none, std::int64_t{id} + 1)) shm::raw_syscall(SYS_timer_delete, id);
}

// Sets `interrupted_by_us` if our signal ended a system call that the kernel does not restart: the program stands right
// behind a system call instruction with EINTR in its hands, and no other signal is waiting to be delivered, whose
// handler would rightly have ended the call.
void note_interruption(ThreadLane& thread, const ucontext_t* context) {
#if defined(__x86_64__)
  const auto pc = static_cast<std::uintptr_t>(context->uc_mcontext.gregs[REG_RIP]);
  if (context->uc_mcontext.gregs[REG_RAX] != -EINTR || pc < kLowestAddress) return;
  if ((pc & kPageMask) < 2 && !page_is_readable(pc - 2)) return;
  const auto* code = reinterpret_cast<const std::uint8_t*>(pc - 2);
  if (code[0] != 0x0f || code[1] != 0x05) return;
#elif defined(__aarch64__)
  const std::uintptr_t pc = context->uc_mcontext.pc;
  if (static_cast<std::int64_t>(context->uc_mcontext.regs[0]) != -EINTR || pc < kLowestAddress) return;
  if (*reinterpret_cast<const std::uint32_t*>(pc - 4) != 0xd4000001) return;
#endif
  std::uint64_t pending = 0;
  shm::raw_syscall(SYS_rt_sigpending, reinterpret_cast<long>(&pending), sizeof pending);
  std::uint64_t blocked_before = 0;
  __builtin_memcpy(&blocked_before, &context->uc_sigmask, sizeof blocked_before);
  if ((pending & ~blocked_before & ~(std::uint64_t{1} << (g_signal - 1))) != 0) return;
  thread.interrupted_by_us = true;
}

std::uintptr_t program_counter(const ucontext_t* context) {
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(context->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return context->uc_mcontext.pc;
#endif
}

// Somebody else sent our signal: it has to do what it does without us, which is to end the process or nothing.
void deliver_to_default(int signal) {
  if (signal_is_ignored() || shm::is_forbidden(shm::bit_of_call(SYS_rt_sigaction))) return;
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  g_real_sigaction(signal, &action, nullptr);
  shm::raw_syscall(SYS_tgkill, shm::raw_syscall(SYS_getpid), shm::raw_syscall(SYS_gettid), signal);
}

void take_sample(ThreadLane& thread, const siginfo_t* info, const ucontext_t* context, std::uint64_t begin) {
  std::uintptr_t* frames = scratch_of(thread).handler;
  const Walk walk = walk_context(frames, kFrames, thread.stack, context);
  const StackId stack = intern_callers(frames, walk, begin);
  const std::uint64_t period = g_period_ns.load(std::memory_order_relaxed);
  shm::CpuPayload payload = {};
  payload.overruns = info->si_overrun > 0 ? static_cast<std::uint32_t>(info->si_overrun) : 0;
  payload.period_ns = period;
  payload.weight_ns = (std::uint64_t{1} + payload.overruns) * period;
  payload.program_counter = program_counter(context);
  const std::uint64_t number = thread.lane->signal_ring.head.load(std::memory_order_relaxed);
  thread.signal_ring.write(begin, shm::RecordKind::kCpu, 0, stack, current_span(thread), payload);
  // Threads are named after they start, often by their parent: asked for here, where the thread is known to matter, and
  // seldom, because the system call takes longer than the sample.
  if ((number & (number - 1)) == 0 || number % kNameEvery == 0)
    shm::raw_syscall(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(thread.lane->name));
}

// What a tick needs below its frame: 2 KiB were measured.
constexpr std::uintptr_t kStackOfTick = 3 << 10;

// Whether we stand on an alternate stack with less than that left: the program made it for handlers of its own.
bool stack_is_too_small(const ucontext_t* context) {
  const auto low = reinterpret_cast<std::uintptr_t>(context->uc_stack.ss_sp);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return here - low < context->uc_stack.ss_size && here - low < kStackOfTick;
}

[[gnu::noinline]] void tick(int signal, siginfo_t* info, const ucontext_t* context);

void on_tick(int signal, siginfo_t* info, void* raw_context) {
  const auto* context = static_cast<const ucontext_t*>(raw_context);
  // An interruption goes unnoticed then: better a call that ends early than memory overwritten.
  if (!stack_is_too_small(context)) tick(signal, info, context);
}

void tick(int signal, siginfo_t* info, const ucontext_t* context) {
  const ErrnoSaver keep_errno;
  if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &g_mark) return deliver_to_default(signal);
  ThreadLane& thread = t_lane;
  note_interruption(thread, context);
  if (!owns_region()) return;
  if (thread.mode == LaneMode::kUnarmed) arm_thread(thread, true);
  if (thread.mode != LaneMode::kArmed) return;
  const std::uint64_t begin = now_ns();
  if (g_is_sampling.load(std::memory_order_relaxed)) take_sample(thread, info, context, begin);
  control_step(thread, begin, true);
  // With the door open nothing of ours is half done.
  if (thread.entered_at == 0 && has_news(thread)) act_on_news(thread, true);
  note_probe_time(begin, now_ns());
}

struct DirectoryEntry {  // struct linux_dirent64
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

}  // namespace

bool start_cpu_sampling(std::uint64_t hz) {
  if (shm::is_forbidden(kTimerCalls)) return false;
  g_real_sigaction = reinterpret_cast<SigAction>(dlsym(RTLD_NEXT, "sigaction"));
  if (g_real_sigaction == nullptr) return false;
  struct sigaction action = {};
  for (int signal = SIGRTMAX; signal >= SIGRTMIN; --signal) {
    if (g_real_sigaction(signal, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL)
      continue;
    action = {};
    action.sa_sigaction = on_tick;
    // Everything is blocked meanwhile: for a microsecond, and no handler of the program runs on top of ours.
    sigfillset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    if (g_real_sigaction(signal, &action, nullptr) != 0) return false;
    g_signal = signal;
    set_cpu_rate(hz);
    return true;
  }
  return false;
}

void forget_timers() {
  for (auto& timer : g_timers)
    if (timer.load(std::memory_order_relaxed) != 0) timer.store(0, std::memory_order_relaxed);
}

void start_thread_timer(const ThreadLane& thread) {
  if (g_period_ns.load(std::memory_order_relaxed) == 0) return;
  IntervalGenerator phase(now_ns() ^ (std::uint64_t{thread.tid} << 32));
  start_timer(thread.index, thread.tid, phase.next_bits());
}

void stop_thread_timer(std::int32_t lane) {
  const std::int64_t timer = g_timers[lane].exchange(0);
  if (timer != 0) shm::raw_syscall(SYS_timer_delete, timer - 1);
}

void start_timers_of_other_threads() {
  const long fd = shm::raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/task"),
                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (shm::is_error(fd)) return;
  const long own = shm::raw_syscall(SYS_gettid);
  alignas(8) char buffer[2048];
  for (;;) {
    const long got = shm::raw_syscall(SYS_getdents64, fd, reinterpret_cast<long>(buffer), sizeof buffer);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      at += entry->size;
      std::uint64_t tid = 0;
      const char* digits = entry->name;
      if (!shm::region_name_detail::take_number(digits, &tid) || static_cast<long>(tid) == own) continue;
      // A first tick arms the thread, whose own lane then gets a timer with its rate; this one is for that tick only.
      sigevent event = {};
      event.sigev_notify = SIGEV_THREAD_ID;
      event.sigev_signo = g_signal;
      event.sigev_value.sival_ptr = &g_mark;
      event._sigev_un._tid = static_cast<pid_t>(tid);
      int id = -1;
      if (g_signal == 0 ||
          shm::is_error(shm::raw_syscall(SYS_timer_create, cpu_clock_of(static_cast<std::uint32_t>(tid)),
                                         reinterpret_cast<long>(&event), reinterpret_cast<long>(&id))))
        continue;
      const itimerspec once = timer_setting(g_period_ns.load(std::memory_order_relaxed), 0);
      shm::raw_syscall(SYS_timer_settime, id, 0, reinterpret_cast<long>(&once), 0);
    }
  }
  shm::raw_syscall(SYS_close, fd);
}

std::uint64_t set_cpu_rate(std::uint64_t hz) {
  if (g_signal == 0) return 0;
  const std::uint64_t period = hz == 0 ? kHousekeepingNs : 1'000'000'000 / hz;
  g_is_sampling.store(hz != 0, std::memory_order_relaxed);
  g_period_ns.store(period, std::memory_order_relaxed);
  IntervalGenerator phase(now_ns());
  for (auto& slot : g_timers) {
    const std::int64_t timer = slot.load(std::memory_order_relaxed);
    if (timer == 0) continue;
    // A random phase: what is left of the old period has no sample of its own, and what a tick of the new one stands
    // for beyond the time since the change makes up for it on the average.
    const itimerspec setting = timer_setting(1 + phase.next_bits() % period, period);
    shm::raw_syscall(SYS_timer_settime, timer - 1, 0, reinterpret_cast<long>(&setting), 0);
  }
  return hz;
}

int cpu_signal() {
  return g_signal;
}
void ignore_signal(bool is_ignored) {
  g_signal_is_ignored.store(is_ignored, std::memory_order_relaxed);
}
bool signal_is_ignored() {
  return g_signal_is_ignored.load(std::memory_order_relaxed);
}

namespace {

// No timers, no handler, nothing pending.
void let_go_of_signal(bool stays_ignored) {
  g_period_ns.store(0, std::memory_order_relaxed);
  for (std::uint32_t lane = 0; lane < shm::kLanes; ++lane) stop_thread_timer(static_cast<std::int32_t>(lane));
  const int signal = g_signal;
  g_signal = 0;
  if (shm::is_forbidden(shm::bit_of_call(SYS_rt_sigaction))) return;
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;  // drops what is pending
  g_real_sigaction(signal, &action, nullptr);
  if (stays_ignored) return;
  action.sa_handler = SIG_DFL;
  g_real_sigaction(signal, &action, nullptr);
}

constinit bool g_is_paused = false;
constinit std::uint64_t g_paused_hz = 0;

}  // namespace

void pause_cpu_sampling() {
  if (g_signal == 0) return;
  g_is_paused = true;
  g_paused_hz = g_region.header()->cpu_hz.load(std::memory_order_relaxed);
  let_go_of_signal(signal_is_ignored());
}

void resume_cpu_sampling() {
  const bool was_paused = g_is_paused;
  g_is_paused = false;
  if (!was_paused || !start_cpu_sampling(g_paused_hz)) return;
  start_thread_timer(t_lane);
  start_timers_of_other_threads();
}

void give_signal_away() {
  if (g_signal == 0) return;
  let_go_of_signal(false);
  g_region.header()->cpu_hz.store(0, std::memory_order_relaxed);
  g_region.say("CPU sampling stopped: the program wants the signal that it uses");
}

}  // namespace camprobe::sampler
