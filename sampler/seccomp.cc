// sampler/seccomp.cc: see sampler/seccomp.h.
#include "sampler/seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cstddef>
#include <cstring>

#include "sampler/control.h"
#include "sampler/cpu_sampler.h"
#include "sampler/session.h"
#include "shm/raw_syscall.h"
#include "shm/region_calls.h"

namespace camprobe::sampler {
namespace {

using shm::bit_of_call;
using shm::enter_kernel;

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// ---------------------------------------------------------------------------------------------------- our calls

// One of our calls as a filter sees it, with arguments by which it does nothing if it is really made. Pointers are
// filled in: no filter can look behind one.
struct Trial {
  long number;
  long arguments[6];
};
constexpr long kPointer = 0x7fff00000001;  // stands for the address of writable scratch
constexpr long kPath = 0x7fff00000002;     // for the path of a file that is not there
constexpr long kOwnPid = 0x7fff00000003;
constexpr long kOwnTid = 0x7fff00000004;
constexpr long kNoFile = 1'000'000'000;  // a descriptor that nobody has
constexpr long kNoHow = 0x7fffffff;      // sampler/unwind_memory.cc
constexpr long kPopulateWrite = 23, kWipeOnFork = 18;

// Calls come more than once, one behind the other, where a filter may look at the argument that differs. First those
// that hide the children that try them out, and that tell the user why nothing is recorded.
constexpr Trial kTrials[] = {
    {SYS_prctl, {PR_GET_NAME, kPointer}},
    {SYS_write, {kNoFile, kPointer, 1}},
    {SYS_rt_sigaction, {SIGUSR1, 0, kPointer, 8}},
    {SYS_prlimit64, {0, RLIMIT_STACK, 0, kPointer}},
    {SYS_openat, {AT_FDCWD, kPath, O_RDONLY | O_CLOEXEC}},
    {SYS_openat, {AT_FDCWD, kPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC}},
    {SYS_openat, {AT_FDCWD, kPath, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600}},
    {SYS_read, {kNoFile, kPointer, 1}},
    {SYS_pread64, {kNoFile, kPointer, 1, 0}},
    {SYS_getdents64, {kNoFile, kPointer, 2048}},
    {SYS_readlink, {kPath, kPointer, 1024}},
    {SYS_close, {kNoFile}},
    {SYS_fchmod, {kNoFile, 0600}},
    {SYS_ftruncate, {kNoFile, static_cast<long>(shm::kRegionBytes)}},
    {SYS_fallocate, {kNoFile, 0, 0, static_cast<long>(shm::kRegionBytes)}},
    {SYS_unlink, {kPath}},
    {SYS_mmap, {0, shm::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, kNoFile, 0}},
    {SYS_mmap, {0, shm::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
    {SYS_munmap, {kPointer, 0}},
    {SYS_mprotect, {0, 0, PROT_READ}},
    {SYS_madvise, {0, 0, kPopulateWrite}},
    {SYS_madvise, {0, 0, kWipeOnFork}},
    {SYS_madvise, {0, 0, MADV_DONTNEED}},
    {SYS_getpid, {}},
    {SYS_getppid, {}},
    {SYS_gettid, {}},
    {SYS_geteuid, {}},
    {SYS_kill, {kOwnPid, 0}},
    {SYS_tgkill, {kOwnPid, kOwnTid, 0}},
    {SYS_rt_sigprocmask, {kNoHow, kPointer, 0, 8}},
    {SYS_rt_sigprocmask, {SIG_SETMASK, 0, kPointer, 8}},
    {SYS_rt_sigpending, {kPointer, 8}},
    {SYS_rt_sigsuspend, {0, 0}},  // refused for the size of its set
    {SYS_timer_create, {CLOCK_MONOTONIC, 0, 0}},
    {SYS_timer_settime, {kNoFile, 0, 0, 0}},
    {SYS_timer_delete, {kNoFile}},
    {SYS_clock_gettime, {CLOCK_MONOTONIC, kPointer}},
    {SYS_clock_gettime, {CLOCK_REALTIME, kPointer}},
    {SYS_clock_gettime, {CLOCK_PROCESS_CPUTIME_ID, kPointer}},
    {SYS_clock_gettime, {CLOCK_THREAD_CPUTIME_ID, kPointer}},
    {SYS_nanosleep, {kPointer, 0}},
    {SYS_sched_yield, {}},
    {SYS_getrusage, {RUSAGE_SELF, kPointer}},
    {SYS_fstat, {kNoFile, kPointer}},
    {SYS_getsockname, {kNoFile, kPointer, kPointer}},
    {SYS_getpeername, {kNoFile, kPointer, kPointer}},
    // Made by the kernel's hand at the end of our handler; cannot be tried, only judged. Last.
    {SYS_rt_sigreturn, {}},
};
constexpr std::uint32_t kTrialCount = sizeof kTrials / sizeof kTrials[0];

constexpr bool every_call_has_a_trial() {
  std::uint64_t tried = bit_of_call(-1);
  for (const Trial& trial : kTrials) tried |= bit_of_call(trial.number);
  return tried == (std::uint64_t{1} << (static_cast<unsigned>(shm::SystemCall::kOther) + 1)) - 1;
}
static_assert(every_call_has_a_trial());

constexpr std::uint64_t kTimerCalls = bit_of_call(SYS_timer_create) | bit_of_call(SYS_timer_settime);
// Without these a tick of a timer must not come at all.
constexpr std::uint64_t kTickCalls = bit_of_call(SYS_rt_sigreturn) | bit_of_call(SYS_clock_gettime);

char g_scratch_bytes[2048];  // zeros: as a timespec, a wait for no time

long argument_of(long value) {
  switch (value) {
    case kPointer:
      return reinterpret_cast<long>(g_scratch_bytes);
    case kPath:
      return reinterpret_cast<long>("");
    case kOwnPid:
      return enter_kernel(SYS_getpid);
    case kOwnTid:
      return enter_kernel(SYS_gettid);
    default:
      return value;
  }
}

// ---------------------------------------------------------------------------------------------------- filters

// One classic BPF program as seccomp allows it, on one call. What the kernel would not accept ends as a kill.
std::uint32_t verdict_of(const sock_filter* code, std::uint32_t length, const seccomp_data& call) {
  std::uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {};
  for (std::uint32_t at = 0; at < length; ++at) {
    const sock_filter& step = code[at];
    const std::uint32_t operand = BPF_SRC(step.code) == BPF_X ? x : step.k;
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (step.k % 4 != 0 || step.k > sizeof call - 4) return SECCOMP_RET_KILL_PROCESS;
        std::memcpy(&a, reinterpret_cast<const char*>(&call) + step.k, sizeof a);
        break;
      case BPF_LD | BPF_W | BPF_LEN:
        a = sizeof call;
        break;
      case BPF_LDX | BPF_W | BPF_LEN:
        x = sizeof call;
        break;
      case BPF_LD | BPF_IMM:
        a = step.k;
        break;
      case BPF_LDX | BPF_IMM:
        x = step.k;
        break;
      case BPF_LD | BPF_MEM:
        a = memory[step.k % BPF_MEMWORDS];
        break;
      case BPF_LDX | BPF_MEM:
        x = memory[step.k % BPF_MEMWORDS];
        break;
      case BPF_ST:
        memory[step.k % BPF_MEMWORDS] = a;
        break;
      case BPF_STX:
        memory[step.k % BPF_MEMWORDS] = x;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_NEG:
        a = 0u - a;
        break;
      case BPF_ALU | BPF_ADD | BPF_K:
      case BPF_ALU | BPF_ADD | BPF_X:
        a += operand;
        break;
      case BPF_ALU | BPF_SUB | BPF_K:
      case BPF_ALU | BPF_SUB | BPF_X:
        a -= operand;
        break;
      case BPF_ALU | BPF_MUL | BPF_K:
      case BPF_ALU | BPF_MUL | BPF_X:
        a *= operand;
        break;
      case BPF_ALU | BPF_DIV | BPF_K:
      case BPF_ALU | BPF_DIV | BPF_X:
        if (operand == 0) return SECCOMP_RET_KILL_PROCESS;
        a /= operand;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
      case BPF_ALU | BPF_AND | BPF_X:
        a &= operand;
        break;
      case BPF_ALU | BPF_OR | BPF_K:
      case BPF_ALU | BPF_OR | BPF_X:
        a |= operand;
        break;
      case BPF_ALU | BPF_XOR | BPF_K:
      case BPF_ALU | BPF_XOR | BPF_X:
        a ^= operand;
        break;
      case BPF_ALU | BPF_LSH | BPF_K:
      case BPF_ALU | BPF_LSH | BPF_X:
        a <<= operand & 31;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
      case BPF_ALU | BPF_RSH | BPF_X:
        a >>= operand & 31;
        break;
      case BPF_JMP | BPF_JA:
        if (step.k >= length - at) return SECCOMP_RET_KILL_PROCESS;
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JEQ | BPF_X:
        at += a == operand ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_X:
        at += a >= operand ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_X:
        at += a > operand ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
      case BPF_JMP | BPF_JSET | BPF_X:
        at += (a & operand) != 0 ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      case BPF_RET | BPF_A:
        return a;
      default:
        return SECCOMP_RET_KILL_PROCESS;
    }
  }
  return SECCOMP_RET_KILL_PROCESS;
}

// ---------------------------------------------------------------------------------------------------- trying it out

void make(const Trial& trial) {
  long arguments[6];
  for (int i = 0; i < 6; ++i) arguments[i] = argument_of(trial.arguments[i]);
  enter_kernel(trial.number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

// A copy of the process makes the calls from `first` on and says in `reached` which it is about to make. Returns the
// one that killed it, kTrialCount if none did; -1: there is no telling. `may_hide`: prctl() is known to do no harm.
//
// Nothing of it is to be seen: it sends no signal when it ends, and dumps no core. It does not share our memory, since
// kernels up to 5.15 end all who share the memory of one that dumps core; we wait for it inside clone().
int try_calls(std::uint32_t first, bool may_hide, volatile std::uint32_t* reached) {
  const long child = enter_kernel(SYS_clone, CLONE_VFORK, 0);
  if (shm::is_error(child)) return -1;
  if (child == 0) {
    for (std::uint32_t at = first; at < kTrialCount; ++at) {
      *reached = at;
      if (at == first && may_hide && at != 0) enter_kernel(SYS_prctl, PR_SET_DUMPABLE, 0);
      if (kTrials[at].number != SYS_rt_sigreturn) make(kTrials[at]);
      if (at == 0) enter_kernel(SYS_prctl, PR_SET_DUMPABLE, 0);
    }
    *reached = kTrialCount;
    for (;;) enter_kernel(SYS_exit_group, 0);
  }
  int status = 0;
  while (enter_kernel(SYS_wait4, child, reinterpret_cast<long>(&status), __WALL, 0) == -EINTR) {
  }
  return static_cast<int>(*reached);
}

// ---------------------------------------------------------------------------------------------------- /proc

// The number behind "\nName:\t"; -1 where there is none.
long number_of(const char* text, const char* name) {
  const char* found = std::strstr(text, name);
  if (found == nullptr) return -1;
  long number = 0;
  const char* digit = found + std::strlen(name);
  if (*digit < '0' || *digit > '9') return -1;
  for (; *digit >= '0' && *digit <= '9'; ++digit) number = number * 10 + (*digit - '0');
  return number;
}

bool is_collected() {
  return is_collecting(g_region.header()->collector_pid) ||
         is_collecting(g_region.control()->reader_pid.load(std::memory_order_relaxed));
}

}  // namespace

ProcessStatus read_process_status() {
  ProcessStatus status;
  const long fd =
      shm::raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/status"), O_RDONLY | O_CLOEXEC);
  if (shm::is_error(fd)) return status;
  char text[4096];
  const long got = shm::raw_syscall(SYS_read, fd, reinterpret_cast<long>(text), sizeof text - 1);
  shm::raw_syscall(SYS_close, fd);
  if (got <= 0) return status;
  text[got] = '\0';
  const long mode = number_of(text, "\nSeccomp:\t");
  const long tracer = number_of(text, "\nTracerPid:\t");
  status.is_known = true;
  status.is_filtered = mode > 0;  // a kernel without seccomp has no such line
  status.tracer_pid = tracer > 0 ? static_cast<std::uint32_t>(tracer) : 0;
  return status;
}

std::uint64_t calls_forbidden_by(const sock_filter* code, std::uint32_t length) {
  std::uint64_t forbidden = 0;
  for (const Trial& trial : kTrials) {
    seccomp_data call = {};
    call.nr = static_cast<int>(trial.number);
    call.arch = kArchitecture;
    call.instruction_pointer = reinterpret_cast<std::uintptr_t>(&make);  // somewhere in our text
    for (int i = 0; i < 6; ++i) call.args[i] = static_cast<std::uint64_t>(argument_of(trial.arguments[i]));
    if ((verdict_of(code, length, call) & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ALLOW)
      forbidden |= bit_of_call(trial.number);
  }
  return forbidden != 0 ? forbidden | bit_of_call(-1) : 0;
}

std::uint64_t calls_forbidden_by_strict_mode() {
  constexpr std::uint64_t kAllowed = bit_of_call(SYS_read) | bit_of_call(SYS_write) | bit_of_call(SYS_rt_sigreturn);
  return ~kAllowed;
}

std::uint64_t find_calls_forbidden_by_now() {
  const long shared = enter_kernel(SYS_mmap, 0, shm::kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shm::is_error(shared)) return ~std::uint64_t{0};
  auto* reached = reinterpret_cast<volatile std::uint32_t*>(shared);
  std::uint64_t forbidden = 0;
  for (std::uint32_t next = 0; next < kTrialCount;) {
    *reached = next;
    const int killed_at = try_calls(next, next != 0 && (forbidden & bit_of_call(SYS_prctl)) == 0, reached);
    if (killed_at < 0) {
      forbidden = ~std::uint64_t{0};
      break;
    }
    if (static_cast<std::uint32_t>(killed_at) >= kTrialCount) break;
    const std::uint64_t call = bit_of_call(kTrials[killed_at].number);
    forbidden |= call | bit_of_call(-1);
    next = static_cast<std::uint32_t>(killed_at) + 1;
    // Then nothing is recorded, and the rest need not be known: all that was not made is out.
    if ((call & shm::kCallsForARegion) != 0) {
      for (; next < kTrialCount; ++next) forbidden |= bit_of_call(kTrials[next].number);
    }
  }
  enter_kernel(SYS_munmap, shared, shm::kPage);
  return forbidden;
}

std::uint64_t forbid_calls(std::uint64_t calls) {
  const std::uint64_t before = shm::g_forbidden_calls.load(std::memory_order_relaxed);
  const std::uint64_t fresh = calls & ~before;
  if (fresh == 0) return before;
  if (session_state() == SessionState::kRunning && owns_region()) {
    // A region that could not be removed at the end, and that nobody reads, would stay for ever.
    if ((fresh & (bit_of_call(SYS_unlink) | bit_of_call(SYS_kill))) != 0 && !is_collected()) g_region.unlink();
    if ((fresh & kTickCalls) != 0) pause_cpu_sampling();
    if ((fresh & bit_of_call(SYS_clock_gettime)) != 0) {
      shm::freeze_clocks();
      pause_counter();
      put_families_out_of_reach();
      g_region.say("recording ended: a seccomp filter of the program does not allow clock_gettime");
    } else if ((fresh & (kTickCalls | kTimerCalls)) != 0) {
      g_region.say("a seccomp filter of the program keeps threads from being sampled on the CPU");
    } else if ((fresh & bit_of_call(SYS_madvise)) != 0) {
      g_region.say("a seccomp filter of the program keeps the region from growing");
    }
  }
  shm::g_forbidden_calls.fetch_or(calls, std::memory_order_seq_cst);
  return before;
}

void allow_again(std::uint64_t forbidden_before) {
  const std::uint64_t undone = shm::g_forbidden_calls.exchange(forbidden_before) & ~forbidden_before;
  if (undone == 0 || session_state() != SessionState::kRunning || !owns_region()) return;
  if ((undone & bit_of_call(SYS_clock_gettime)) != 0) {
    resume_counter();
    put_families_back();
  }
  if ((undone & kTickCalls) != 0) resume_cpu_sampling();
  if ((undone & (kTickCalls | kTimerCalls | bit_of_call(SYS_madvise))) != 0) g_region.say("");
}

}  // namespace camprobe::sampler
