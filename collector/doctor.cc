#include "collector/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "collector/attach/environment.h"
#include "collector/attach/program.h"
#include "collector/attach/regions.h"
#include "collector/proc/proc_files.h"
#include "shm/layout.h"

namespace camprobe {
namespace {

namespace fs = std::filesystem;
using Grade = Finding::Grade;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kRegionRoom = 16 * kMiB;  // what one region may grow to with sixteen threads

Finding look_at_shared_memory() {
  struct statvfs facts {};
  if (::statvfs(shm::kRegionDirectory, &facts) != 0) {
    return {Grade::kBad, "/dev/shm is not there", "mount a tmpfs on /dev/shm: the probe writes nowhere else"};
  }
  const std::uint64_t size = std::uint64_t{facts.f_blocks} * facts.f_frsize,
                      free = std::uint64_t{facts.f_bavail} * facts.f_frsize;
  Finding finding{Grade::kGood, fmt::format("/dev/shm: {} MiB, {} MiB free", size / kMiB, free / kMiB), ""};
  if (::access(shm::kRegionDirectory, W_OK | X_OK) != 0) {
    finding.grade = Grade::kBad;
    finding.advice = "this user may not write to it: mount it with mode 1777";
  } else if (free < kRegionRoom) {
    finding.grade = Grade::kBad;
    finding.advice =
        "a region may need 16 MiB a process: make room (camprobe list --clean), or in a container --shm-size";
  } else if (free < 4 * kRegionRoom) {
    finding.grade = Grade::kNote;
    finding.advice = fmt::format("room for about {} processes with the probe", free / kRegionRoom);
  }
  return finding;
}

Finding look_at_leftovers() {
  std::size_t dead = 0;
  std::int64_t bytes = 0;
  for (const attach::RegionFile& region : attach::find_regions(::geteuid())) {
    if (region.is_alive) continue;
    ++dead;
    bytes += region.bytes;
  }
  if (dead == 0) return {Grade::kGood, "no regions of dead processes are left", ""};
  return {
      Grade::kNote,
      fmt::format("{} regions of dead processes take {:.1f} MiB of /dev/shm", dead, static_cast<double>(bytes) / kMiB),
      "camprobe attach PID makes a run of one, camprobe list --clean removes them"};
}

Finding look_at_ptrace() {
  const auto text = proc::read_file("/proc/sys/kernel/yama/ptrace_scope");
  if (!text || text->starts_with("0"))
    return {Grade::kGood, "files of running programs can be read (no ptrace restriction)", ""};
  return {Grade::kNote, fmt::format("kernel.yama.ptrace_scope is {}", text->substr(0, text->find('\n'))),
          "symbols of deleted or replaced files of processes that camprobe did not start may be missing; everything "
          "else works"};
}

// Runs this command itself with the library preloaded (there may be no other program here), and looks at what the
// loader and the probe say.
Finding look_at_library(const std::string& library) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return {Grade::kBad, "no pipe could be made", ""};
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(pipe[1], STDERR_FILENO);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
    ::setenv("CAMPROBE_VERBOSE", "1", 1);
    ::unsetenv(attach::kLibraryVariable.name);
    ::execl("/proc/self/exe", "camprobe", "--version", nullptr);
    ::_exit(127);
  }
  ::close(pipe[1]);
  std::string said;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = ::read(pipe[0], buffer.data(), buffer.size())) > 0;)
    said.append(buffer.data(), static_cast<std::size_t>(got));
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && said.empty())
    return {Grade::kGood, fmt::format("{} loads", library), ""};
  const std::string first = said.substr(0, said.find('\n'));
  if (constexpr std::string_view kProbe = "camprobe: "; first.starts_with(kProbe))
    return {Grade::kBad, first.substr(kProbe.size()), "put that right, or record where it is right"};
  return {Grade::kBad,
          fmt::format("{} does not load cleanly: {}", library,
                      first.empty() ? "the program it was loaded into failed" : first),
          "build it on this system (or an older one)"};
}

struct Trial {
  const char* call;
  const char* without;
  bool (*is_allowed)();
};

bool is_refusal(long result) {
  return result != 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES);
}

// Those of the probe's calls (docs/system-calls.md) that filters of containers and services often leave out.
constexpr std::array kTrials{
    Trial{"timer_create", "threads have no CPU samples",
          [] {
            timer_t timer{};
            return !is_refusal(::timer_create(CLOCK_THREAD_CPUTIME_ID, nullptr, &timer));
          }},
    Trial{"madvise", "what needs more than 16 KiB of a region is lost",
          [] {
            void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            return page == MAP_FAILED || !is_refusal(::madvise(page, 4096, MADV_NORMAL));
          }},
    Trial{"rt_sigaction", "there are no CPU samples",
          [] {
            struct sigaction action {};
            return !is_refusal(::sigaction(SIGUSR1, nullptr, &action));
          }},
    Trial{"getpeername", "sockets have no peers",
          [] {
            sockaddr_storage address{};
            socklen_t length = sizeof address;
            return !is_refusal(::getpeername(STDIN_FILENO, reinterpret_cast<sockaddr*>(&address), &length));
          }},
};

// In a child of its own: a filter may kill who makes the call.
bool is_allowed(const Trial& trial) {
  const pid_t child = ::fork();
  if (child < 0) return true;
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::_exit(trial.is_allowed() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void look_at_seccomp(std::vector<Finding>& findings) {
  const auto status = proc::read_file("/proc/self/status");
  const std::size_t at = status ? status->find("\nSeccomp:\t") : std::string::npos;
  if (at == std::string::npos) {
    findings.push_back({Grade::kNote, "/proc/self/status does not say whether there is a seccomp filter", ""});
    return;
  }
  if ((*status)[at + 10] == '0') {
    findings.push_back({Grade::kGood, "no seccomp filter is in force here", ""});
    return;
  }
  std::string refused;
  for (const Trial& trial : kTrials) {
    if (is_allowed(trial)) continue;
    findings.push_back({Grade::kNote, fmt::format("a seccomp filter does not allow {}: {}", trial.call, trial.without),
                        "allow it in the container's profile or the unit's SystemCallFilter (docs/system-calls.md)"});
    refused += trial.call;
  }
  if (refused.empty())
    findings.push_back({Grade::kGood, "a seccomp filter is in force; it allows what the probe needs", ""});
}

// What is preloaded already, by this environment.
void look_at_preload(std::vector<Finding>& findings) {
  const char* preload = std::getenv("LD_PRELOAD");
  std::string text = preload != nullptr ? preload : "";
  std::replace(text.begin(), text.end(), ':', ' ');
  std::istringstream names(text);
  std::vector<std::string> allocators;
  for (std::string name; names >> name;) {
    const std::string file = fs::path(name).filename().string();
    if (file.starts_with("libcamprobe.so") && !allocators.empty()) {
      findings.push_back(
          {Grade::kBad,
           fmt::format("LD_PRELOAD names {} before libcamprobe.so: the heap is not seen", allocators.back()),
           "let LD_PRELOAD name libcamprobe.so first"});
      return;
    }
    if (file.starts_with("libcamprobe.so")) return;
    for (const char* allocator : {"libtcmalloc", "libjemalloc", "libmimalloc"})
      if (file.starts_with(allocator)) allocators.push_back(name);
  }
  if (!allocators.empty()) {
    findings.push_back({Grade::kGood,
                        fmt::format("{} is preloaded: camprobe run puts the probe before it", allocators.front()),
                        "without camprobe run, name libcamprobe.so first in LD_PRELOAD"});
  }
}

// Node.js that was preloaded by hand, so that nobody asked it for the names of its functions.
void look_at_node_processes(std::vector<Finding>& findings) {
  for (const attach::RegionFile& region : attach::find_regions(::geteuid())) {
    if (!region.is_alive) continue;
    const std::string program = fs::path(attach::facts_of(region).program).filename().string();
    if (program != "node" && program != "nodejs") continue;
    std::error_code ignored;
    const auto pid = region.name.pid;
    if (fs::exists(fmt::format("/proc/{}/root/tmp/perf-{}.map", pid, pid), ignored)) continue;
    findings.push_back(
        {Grade::kNote,
         fmt::format("Node.js process {} writes no /tmp/perf-{}.map: its JavaScript has no names", pid, pid),
         "start it with camprobe run, or with NODE_OPTIONS='--perf-basic-prof --interpreted-frames-native-stack'"});
  }
}

Finding look_at_perf_events() {
  const auto text = proc::read_file("/proc/sys/kernel/perf_event_paranoid");
  const std::string value = text ? text->substr(0, text->find('\n')) : "";
  return {Grade::kGood,
          fmt::format("kernel.perf_event_paranoid{} does not matter: camprobe uses no perf events",
                      value.empty() ? "" : " (" + value + ")"),
          ""};
}

}  // namespace

run::Result<std::vector<Finding>> examine(const std::string& program) {
  if (!program.empty()) {
    if (const auto there = attach::locate_program(program); !there) return run::Error{there.error()};
  }
  std::vector<Finding> findings;
  findings.push_back(look_at_shared_memory());
  findings.push_back(look_at_leftovers());
  if (const auto library = attach::find_probe_library())
    findings.push_back(look_at_library(*library));
  else
    findings.push_back({Grade::kBad, library.error(), ""});
  look_at_preload(findings);
  look_at_seccomp(findings);
  look_at_node_processes(findings);
  findings.push_back(look_at_perf_events());
  findings.push_back(look_at_ptrace());
  if (const char* urls = std::getenv("DEBUGINFOD_URLS"); urls != nullptr && *urls != '\0') {
    findings.push_back({Grade::kNote, "DEBUGINFOD_URLS is set",
                        "debug information may be fetched over the network while stacks are named"});
  } else if (!fs::exists("/usr/lib/debug/.build-id")) {
    findings.push_back(
        {Grade::kNote, "no separate debug files are installed",
         "functions have names where programs export or keep them; files and lines need -g or the -dbgsym packages"});
  }
  if (!program.empty()) examine_program(program, findings);
  return findings;
}

}  // namespace camprobe
