// probe/start.cc
//
// What happens when libcamprobe.so is loaded, in order. Nothing here may change what the program finds: errno, its
// environment and its descriptors are as they were.
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "probe/allocator.h"
#include "probe/process.h"
#include "probe/real.h"
#include "probe/span.h"
#include "probe/thread.h"
#include "sampler/seccomp.h"
#include "sampler/session.h"
#include "sampler/settings.h"
#include "sampler/thread_lane.h"
#include "shm/raw_syscall.h"

// What only glibc has is asked for weakly: the loader of another C library (musl) would end the program over a name
// that it cannot find. And no name comes from the loader's own object, which has another name there.
extern "C" [[gnu::weak]] void* __libc_stack_end;
extern "C" [[gnu::weak]] const char* gnu_get_libc_version();
extern "C" [[gnu::weak]] int dladdr1(const void*, Dl_info*, void**, int) noexcept;

namespace camprobe::probe {
namespace {

// Nothing that a write can bring about, a reader that is gone or a file at its limit, may end the program.
class SignalsOfWrites {
 public:
  SignalsOfWrites() {
    struct sigaction ignored = {};
    ignored.sa_handler = SIG_IGN;
    g_real.sigaction(SIGPIPE, &ignored, &pipe_);
    g_real.sigaction(SIGXFSZ, &ignored, &size_);
  }
  SignalsOfWrites(const SignalsOfWrites&) = delete;
  SignalsOfWrites& operator=(const SignalsOfWrites&) = delete;
  ~SignalsOfWrites() {
    g_real.sigaction(SIGPIPE, &pipe_, nullptr);
    g_real.sigaction(SIGXFSZ, &size_, nullptr);
  }

 private:
  struct sigaction pipe_ = {}, size_ = {};
};

void say(const char* const* parts) {
  if (shm::is_forbidden(shm::bit_of_call(SYS_rt_sigaction))) return;
  const SignalsOfWrites held_back;
  char line[512];
  std::size_t length = 0;
  for (; *parts != nullptr; ++parts)
    for (const char* c = *parts; *c != '\0' && length < sizeof line; ++c) line[length++] = *c;
  shm::raw_syscall(SYS_write, STDERR_FILENO, reinterpret_cast<long>(line), static_cast<long>(length));
}

const char* name_of_error(int error) {
  switch (error) {
    case ENOSPC:
      return "no space left";
    case EACCES:
      return "permission denied";
    case EPERM:
      return "not permitted";
    case ENOENT:
      return "/dev/shm is not there";
    case EROFS:
      return "read-only file system";
    case ENOMEM:
      return "out of memory";
    case EMFILE:
      return "no descriptor left";
    case ENFILE:
      return "no descriptor left in the system";
    case EDQUOT:
      return "quota exceeded";
    case EEXIST:
      return "the name is taken";
    case EFBIG:
      return "file too large";
    case ENOSYS:
      return "the kernel or a filter does not allow it";
    default:
      return "see errno";
  }
}

// The program's first stack: from where the kernel left the stack pointer down to its limit.
sampler::StackBounds bounds_of_first_stack() {
  constexpr std::uintptr_t kMost = std::uintptr_t{1} << 30;
  if (&__libc_stack_end == nullptr) return {0, 0};
  const auto end = reinterpret_cast<std::uintptr_t>(__libc_stack_end);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  rlimit limit = {};
  std::uintptr_t size = kMost;
  if (!shm::is_error(shm::raw_syscall(SYS_prlimit64, 0, RLIMIT_STACK, 0, reinterpret_cast<long>(&limit))) &&
      limit.rlim_cur < kMost)
    size = limit.rlim_cur;
  if (here >= end || end - here > size) return {0, 0};
  return {end - size, shm::page_up(end)};
}

// Whoever comes before us in the search order has the program's calls: an allocator named before us in LD_PRELOAD, or
// one that is part of the program itself.
void say_if_heap_is_elsewhere() {
  void* first = dlsym(RTLD_DEFAULT, "malloc");
  Dl_info us, theirs;
  ElfW(Sym)* symbol = nullptr;
  if (first == nullptr || dladdr(reinterpret_cast<void*>(start_process_hooks), &us) == 0 ||
      dladdr1(first, &theirs, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) == 0 ||
      us.dli_fbase == theirs.dli_fbase)
    return;
  // A program at a fixed address that asks for malloc's address has it as its own stub's: that leads to us.
  if (symbol == nullptr || symbol->st_shndx == SHN_UNDEF) return;
  char text[sizeof shm::RegionHeader::message] = {};
  std::size_t length = 0;
  const char* const parts[] = {"the heap is not seen: malloc() is that of ", theirs.dli_fname,
                               ", which comes before libcamprobe.so; let LD_PRELOAD name libcamprobe.so first"};
  for (const char* part : parts)
    for (; *part != '\0' && length + 1 < sizeof text; ++part) text[length++] = *part;
  sampler::say_in_every_region(text);
}

[[gnu::constructor(101)]] void start_probe(int, char**, char** environment) {
  const sampler::ErrnoSaver keep_errno;
  resolve_real();
  // A program that runs with more rights than its user must not be watched by a file that the user may open.
  if (getauxval(AT_SECURE) != 0) {
    sampler::stay_off();
    return;
  }
  sampler::Settings settings;
  char complaint[512];
  // musl gives constructors no arguments.
  const bool is_glibc = gnu_get_libc_version != nullptr;
  sampler::read_environment(is_glibc ? environment : environ, &settings, complaint, sizeof complaint);
  // Said by the process that the collector started; its children would only repeat it. To be asked only once it is
  // known which calls a filter kills for.
  const auto is_asked_for = [&] {
    return settings.run_id[0] != '\0' && shm::raw_syscall(SYS_getppid) == settings.collector_pid;
  };
  if (!is_glibc) {
    sampler::stay_off();
    const char* const parts[] = {
        "camprobe: this process is not recorded: it runs on musl, and libcamprobe.so needs glibc; it runs on as "
        "without\n",
        nullptr};
    const sampler::ProcessStatus status = sampler::read_process_status();
    const bool may_ask = status.is_known && !status.is_filtered;
    if (settings.verbose || (may_ask && is_asked_for())) say(parts);
    return;
  }
  if (settings.families == 0) {
    sampler::stay_off();
  } else {
    const sampler::ProcessStatus status = sampler::read_process_status();
    if (status.is_filtered || !status.is_known) sampler::forbid_calls(sampler::find_calls_forbidden_by_now());
    // Each tick would stop the program in its debugger, or stand in its trace.
    const bool is_traced = status.tracer_pid != 0;
    const bool lacks_samples = is_traced && settings.cpu_hz != 0;
    if (is_traced) {
      settings.may_tick = false;
      settings.cpu_hz = 0;
    }
    find_allocator();
    start_process_hooks();
    start_thread_hooks();
    sampler::g_forget_in_child = forget_spans;
    sampler::t_lane.stack = bounds_of_first_stack();
    const char* why = nullptr;
    int error = 0;
    if (sampler::start_session(settings, &why, &error)) {
      say_if_heap_is_elsewhere();
    } else if (settings.verbose || is_asked_for()) {
      const char* const parts[] = {
          "camprobe: this process is not recorded: ", why, " (", name_of_error(error), ")\n", nullptr};
      say(parts);
    }
    if (lacks_samples) sampler::region().say("no CPU samples: a debugger or tracer started this program");
  }
  // Once for a whole tree of processes: a child was given the same environment.
  if (complaint[0] != '\0' && !sampler::is_part_of_recorded_tree()) {
    const char* const parts[] = {complaint, nullptr};
    say(parts);
  }
}

}  // namespace
}  // namespace camprobe::probe
