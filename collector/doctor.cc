#include "collector/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "collector/attach/launch.h"
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

// Runs /bin/true with the library preloaded and looks at what the loader says.
Finding look_at_library(const std::string& library) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return {Grade::kBad, "no pipe could be made", ""};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
    ::execlp("true", "true", nullptr);
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
  return {Grade::kBad,
          fmt::format("{} does not load cleanly: {}", library,
                      first.empty() ? "the program it was loaded into failed" : first),
          "build it on this system (or an older one)"};
}

void look_at_program(const std::string& name, std::vector<Finding>& findings) {
  const auto program = attach::find_program(name);
  if (!program) {
    findings.push_back({Grade::kBad, program.error(), ""});
    return;
  }
  findings.push_back({Grade::kGood, fmt::format("{} can be preloaded ({})", name, program->loader), ""});
  if (program->is_script)
    findings.push_back({Grade::kGood, fmt::format("it is a script run by {}", program->executable), ""});
  if (program->is_go) {
    findings.push_back({Grade::kNote, "it is a Go program",
                        "Go calls the kernel without libc and has its own heap: only its C parts are seen"});
  }
  const std::string base = fs::path(program->executable).filename().string();
  if (base == "node" || base == "nodejs") {
    findings.push_back({Grade::kGood, "Node.js: camprobe run switches on the maps that name JavaScript functions", ""});
    if (::access("/tmp", W_OK) != 0)
      findings.push_back({Grade::kBad, "/tmp cannot be written to",
                          "Node.js writes /tmp/perf-PID.map there: without it JavaScript has no names"});
  }
  if (base.starts_with("python")) {
    findings.push_back({Grade::kNote, "Python: native stacks show the interpreter's own functions",
                        "Python 3.12 and later name Python functions with PYTHONPERFSUPPORT=1"});
  }
  if (base == "java") {
    findings.push_back({Grade::kNote, "Java: add -XX:+PreserveFramePointer, and -XX:+DumpPerfMapAtExit for names", ""});
  }
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
  findings.push_back({Grade::kGood, "kernel.perf_event_paranoid does not matter: camprobe uses no perf events", ""});
  findings.push_back(look_at_ptrace());
  if (const char* urls = std::getenv("DEBUGINFOD_URLS"); urls != nullptr && *urls != '\0') {
    findings.push_back({Grade::kNote, "DEBUGINFOD_URLS is set",
                        "debug information may be fetched over the network while stacks are named"});
  } else if (!fs::exists("/usr/lib/debug/.build-id")) {
    findings.push_back(
        {Grade::kNote, "no separate debug files are installed",
         "functions have names where programs export or keep them; files and lines need -g or the -dbgsym packages"});
  }
  if (!program.empty()) look_at_program(program, findings);
  return findings;
}

}  // namespace camprobe
