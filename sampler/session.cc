// sampler/session.cc: see sampler/session.h.
#include "sampler/session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "sampler/allocator_watch.h"
#include "sampler/clock.h"
#include "sampler/control.h"
#include "sampler/cpu_sampler.h"
#include "sampler/heap_sampler.h"
#include "sampler/mapping_table.h"
#include "sampler/module_table.h"
#include "sampler/thread_lane.h"
#include "sampler/unwind.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

constinit ForgetInChild g_forget_in_child = nullptr;

namespace {

constinit std::atomic<SessionState> g_state{SessionState::kNotStarted};
constinit Settings g_settings = {};

constinit std::atomic<std::uint32_t>* g_wiped_word = nullptr;
constinit char g_limits[sizeof shm::RegionHeader::message] = {};

// A page that reads 1 here and 0 in any copy of the process that the kernel makes. Without it (Linux before 4.14) only
// copies made by libc's functions are noticed.
void watch_for_copies() {
  if (g_wiped_word != nullptr) {  // in a copy: it is an original now
    g_wiped_word->store(1, std::memory_order_relaxed);
    return;
  }
  const long page =
      shm::raw_syscall(SYS_mmap, 0, shm::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (shm::is_error(page)) return;
  constexpr long kWipeOnFork = 18;  // MADV_WIPEONFORK, Linux 4.14
  if (shm::is_error(shm::raw_syscall(SYS_madvise, page, shm::kPage, kWipeOnFork))) {
    shm::raw_syscall(SYS_munmap, page, shm::kPage);
    return;
  }
  g_wiped_word = reinterpret_cast<std::atomic<std::uint32_t>*>(page);
  g_wiped_word->store(1, std::memory_order_relaxed);
  g_own_memory = g_wiped_word;
}

constexpr std::uint32_t kMostImages = 64;

// After an exec the new image finds the region of the old one. If nobody collects, nobody else would remove it.
void remove_earlier_images() {
  const shm::RegionHeader& own = *g_region.header();
  // The number of a region that went is taken again, so the old image may have a higher number than the new one.
  for (std::uint32_t image = 0; image < kMostImages; ++image) {
    if (image == own.image) continue;
    char path[shm::kRegionPathMax];
    shm::format_region_path({own.uid, own.pid, own.start_ticks, image}, path);
    const long fd = shm::raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path),
                                     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);  // it may be somebody's FIFO
    if (shm::is_error(fd)) {
      if (image > own.image) break;
      continue;
    }
    alignas(shm::RegionHeader) unsigned char head_bytes[sizeof(shm::RegionHeader)];
    std::uint32_t reader = 0;
    const long got = shm::raw_syscall(SYS_pread64, fd, reinterpret_cast<long>(head_bytes), sizeof head_bytes, 0);
    const long reader_got =
        shm::raw_syscall(SYS_pread64, fd, reinterpret_cast<long>(&reader), sizeof reader,
                         static_cast<long>(shm::kControlOffset + offsetof(shm::ControlBlock, reader_pid)));
    shm::raw_syscall(SYS_close, fd);
    const auto* head = reinterpret_cast<const shm::RegionHeader*>(head_bytes);
    if (got != sizeof head_bytes || reader_got != sizeof reader || head->pid != own.pid) continue;
    if (head->state.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(shm::RegionState::kExec)) continue;
    if (!is_collecting(head->collector_pid) && !is_collecting(reader))
      shm::raw_syscall(SYS_unlink, reinterpret_cast<long>(path));
  }
}

bool open_region(const char** why, int* error) {
  if (shm::is_forbidden(shm::bit_of_call(SYS_clock_gettime))) {
    *why = "a seccomp filter does not allow clock_gettime";
    *error = -static_cast<int>(shm::kNotCalled);
    return false;
  }
  shm::Region::Options options;
  options.run_id = g_settings.run_id[0] != '\0' ? g_settings.run_id : nullptr;
  options.collector_pid = g_settings.collector_pid;
  shm::CreateFailure failure;
  if (!g_region.create(options, &failure)) {
    *why = failure.what;
    *error = failure.error;
    return false;
  }
  if (g_limits[0] != '\0') g_region.say(g_limits);
  begin_control(g_settings);
  begin_allocator_watch();
  return true;
}

void put_state(shm::RegionState state) {
  g_region.header()->state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

// Asks for the process's number too: a child made by clone(CLONE_VM) is in our memory but not the process whose end or
// exec the region tells of.
bool may_write() {
  if (!g_region.is_mapped() || !owns_region() || t_lane.mode == LaneMode::kDetached) return false;
  const long pid = shm::raw_syscall(SYS_getpid);
  return pid == shm::kNotCalled || static_cast<std::uint32_t>(pid) == g_region.header()->pid;
}

}  // namespace

SessionState session_state() {
  return g_state.load(std::memory_order_acquire);
}
const Settings& settings() {
  return g_settings;
}

void stay_off() {
  g_families.store(0, std::memory_order_relaxed);
  g_state.store(SessionState::kOff, std::memory_order_release);
}

bool start_session(const Settings& settings, const char** why, int* error) {
  g_settings = settings;
  start_clock();
  start_unwinding();
  watch_for_copies();
  if (!open_region(why, error)) {
    stay_off();
    return false;
  }
  start_module_table();
  remove_earlier_images();
  const bool samples_cpu = g_settings.cpu_hz != 0 && enabled(Family::kCpu);
  if (g_settings.may_tick && start_cpu_sampling(samples_cpu ? g_settings.cpu_hz : 0))
    g_region.header()->cpu_hz.store(samples_cpu ? g_settings.cpu_hz : 0, std::memory_order_relaxed);
  else if (samples_cpu)
    g_region.say("no CPU samples: no real-time signal is free");
  put_state(shm::RegionState::kRunning);
  g_state.store(SessionState::kRunning, std::memory_order_release);
  arm_thread(t_lane, false);
  if (cpu_signal() != 0) start_timers_of_other_threads();
  return true;
}

void say_in_every_region(const char* text) {
  std::strncpy(g_limits, text, sizeof g_limits - 1);
  g_region.say(g_limits);
}

void before_fork() {
  detach_thread(t_lane);
}
void after_fork_in_parent() {
  attach_thread(t_lane);
}

void after_fork_in_child() {
  if (session_state() != SessionState::kRunning) {
    attach_thread_dropping(t_lane);
    return;
  }
  forget_walkers_after_fork();
  forget_timers();
  g_region.abandon();
  clear_sampled_filter();
  forget_mappings();
  if (g_forget_in_child != nullptr) g_forget_in_child();
  const StackBounds stack = t_lane.stack;
  const bool is_end_hooked = t_lane.is_thread_end_hooked;
  forget_lane(t_lane);
  t_lane.stack = stack;
  t_lane.is_thread_end_hooked = is_end_hooked;
  const char* why = nullptr;
  int error = 0;
  watch_for_copies();
  keep_what_holds(&g_settings);
  if (!g_settings.follow_fork || !open_region(&why, &error)) {
    stay_off();
    return;
  }
  publish_modules_again();
  put_state(shm::RegionState::kRunning);
  arm_thread(t_lane, false);
}

void before_exec() {
  if (may_write()) put_state(shm::RegionState::kExec);
}
void after_failed_exec() {
  if (may_write()) put_state(shm::RegionState::kRunning);
}

void note_exit_status(int status) {
  if (may_write()) g_region.header()->exit_status = status;
}

void end_session() {
  if (!may_write()) return;
  shm::RegionHeader& head = *g_region.header();
  if (head.state.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(shm::RegionState::kRunning)) return;
  head.exit_ns = now_ns();
  put_state(shm::RegionState::kExited);
  if (!is_collecting(head.collector_pid) &&
      !is_collecting(g_region.control()->reader_pid.load(std::memory_order_relaxed)))
    g_region.unlink();
}

bool is_part_of_recorded_tree() {
  if (g_region.is_mapped() && g_region.header()->image != 0) return true;
  const auto parent = static_cast<std::uint32_t>(shm::raw_syscall(SYS_getppid));
  char wanted[shm::kRegionPathMax];
  // The region's name without the start time, which only the parent's own /proc file tells: a search by prefix.
  shm::format_region_path({static_cast<std::uint32_t>(shm::raw_syscall(SYS_geteuid)), parent, 0, 0}, wanted);
  const std::size_t directory = sizeof shm::kRegionDirectory;  // with the slash
  const std::size_t prefix = std::strlen(wanted) - 1 - directory;
  const long fd = shm::raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(shm::kRegionDirectory),
                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (shm::is_error(fd)) return false;
  bool is_found = false;
  alignas(8) char buffer[2048];
  for (long got;
       !is_found && (got = shm::raw_syscall(SYS_getdents64, fd, reinterpret_cast<long>(buffer), sizeof buffer)) > 0;) {
    for (long at = 0; at < got;) {
      std::uint16_t size;
      std::memcpy(&size, buffer + at + 16, sizeof size);  // struct linux_dirent64: d_reclen, then d_type, d_name
      is_found = is_found || std::strncmp(buffer + at + 19, wanted + directory, prefix) == 0;
      at += size;
    }
  }
  shm::raw_syscall(SYS_close, fd);
  return is_found;
}

namespace {

// In a pid namespace other than the machine's first, whose number is the same on every Linux.
bool is_walled_in() {
  constexpr char kFirst[] = "pid:[4026531836]";
  char found[sizeof kFirst] = {};
  const long got = shm::raw_syscall(SYS_readlink, reinterpret_cast<long>("/proc/self/ns/pid"),
                                    reinterpret_cast<long>(found), sizeof found - 1);
  return got > 0 && std::strcmp(found, kFirst) != 0;
}

}  // namespace

bool is_collecting(std::uint32_t pid) {
  return pid != 0 && (is_alive(pid) || is_walled_in());
}

bool is_alive(std::uint32_t pid) {
  if (pid == 0 || pid > 0x7fffffff) return false;
  constexpr long kNotPermitted = -1;
  const long result = shm::raw_syscall(SYS_kill, pid, 0);
  return result == 0 || result == kNotPermitted || result == shm::kNotCalled;
}

}  // namespace camprobe::sampler
