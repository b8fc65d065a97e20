// tests/probe/probed.cc: see tests/probe/probed.h.
#include "tests/probe/probed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace camprobe::tests {
namespace {

std::string slurp(int fd) {
  std::string text;
  char buffer[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  return text;
}

int scratch_file(const std::string& content = "") {
  char path[] = "/tmp/camprobe-test-XXXXXX";
  const int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("no temporary file");
  unlink(path);
  if (!content.empty() && write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    throw std::runtime_error("temporary file not written");
  lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string first_line_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// What a process hangs in: each thread's name, state and system call, and its stack where there is a debugger.
std::string where_it_hangs(pid_t pid) {
  std::string text;
  std::error_code gone;
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    const std::string stat = first_line_of(task.path() / "stat");
    const auto name_end = stat.rfind(')');
    text += "  thread " + task.path().filename().string() + " " + first_line_of(task.path() / "comm") + ", state " +
            (name_end + 2 < stat.size() ? stat.substr(name_end + 2, 1) : "?") + ", in " +
            first_line_of(task.path() / "wchan") + ", system call " + first_line_of(task.path() / "syscall") + "\n";
  }
  const std::string debugger = "timeout -k 1 20 gdb -nx -batch -ex 'set debuginfod enabled off' -p " +
                               std::to_string(pid) + " -ex 'thread apply all bt 20' 2>/dev/null";
  if (FILE* output = popen(debugger.c_str(), "r"); output != nullptr) {
    char line[1024];
    while (fgets(line, sizeof line, output) != nullptr)
      if (line[0] == '#' || std::strncmp(line, "Thread", 6) == 0) text += std::string("  ") + line;
    pclose(output);
  }
  return text;
}

}  // namespace

std::string target() {
  return CAMPROBE_PROBE_TARGET;
}
std::string library() {
  return CAMPROBE_LIBRARY;
}

Probed::Probed(const Program& program) {
  static int serial = 0;
  run_ = "test" + std::to_string(getpid()) + "-" + std::to_string(++serial);
  std::map<std::string, std::string> changes = program.environment;
  if (!program.preload.empty()) {
    std::string preload = program.preload;
    if (const auto at = preload.find('@'); at != std::string::npos) preload.replace(at, 1, library());
    changes["LD_PRELOAD"] = preload;
  }
  if (program.run != Run::kNone && !program.preload.empty())
    changes["CAMPROBE_RUN"] = program.run == Run::kNamed ? run_ : run_ + ":" + std::to_string(getpid());
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (changes.count(text.substr(0, text.find('='))) == 0) environment.push_back(text);
  }
  for (const auto& [name, value] : changes) environment.push_back(name + "=" + value);
  std::vector<char*> arguments, variables;
  for (const auto& argument : program.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (auto& variable : environment) variables.push_back(variable.data());
  arguments.push_back(nullptr);
  variables.push_back(nullptr);

  const int in = scratch_file(program.input), out_file = scratch_file(), err_file = scratch_file();
  pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    dup2(in, 0);
    dup2(out_file, 1);
    dup2(err_file, 2);
    if (program.before_exec) program.before_exec();
    execvpe(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  const auto began = std::chrono::steady_clock::now();
  int wait_status = 0;
  while (waitpid(pid, &wait_status, WNOHANG) == 0) {
    const auto so_far = std::chrono::steady_clock::now() - began;
    if (program.kill_after_ms >= 0 && so_far > std::chrono::milliseconds(program.kill_after_ms)) kill(pid, SIGKILL);
    if (so_far > std::chrono::seconds(program.seconds)) {
      std::string command;
      for (const auto& argument : program.arguments) command += (command.empty() ? "" : " ") + argument;
      ADD_FAILURE() << "`" << command << "` did not end within " << program.seconds << " s. It hung here:\n"
                    << where_it_hangs(pid);
      kill(-pid, SIGKILL);
      waitpid(pid, &wait_status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  exited = WIFEXITED(wait_status);
  if (exited) status = WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) signal = WTERMSIG(wait_status);
  out = slurp(out_file);
  err = slurp(err_file);
  close(in);
  close(out_file);
  close(err_file);
}

Probed::~Probed() {
  for (const auto& path : regions()) unlink(path.c_str());
}

std::vector<std::string> all_regions() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(shm::kRegionDirectory)) {
    shm::RegionName name;
    if (shm::parse_region_name(entry.path().filename().c_str(), &name)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> Probed::regions() const {
  std::vector<std::string> mine;
  for (const auto& path : all_regions()) {
    std::string error;
    const auto reader = shm::RegionReader::open(path, &error);
    if (reader && reader->info().run_id == run_) mine.push_back(path);
  }
  return mine;
}

std::vector<std::string> Probed::regions_of(pid_t process) const {
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const auto& path : regions()) {
    shm::RegionName name;
    if (shm::parse_region_name(std::filesystem::path(path).filename().c_str(), &name) &&
        name.pid == static_cast<std::uint32_t>(process))
      found.emplace_back(name.image, path);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  for (const auto& [image, path] : found) paths.push_back(path);
  return paths;
}

shm::RegionReader Probed::region() const {
  const auto paths = regions_of(pid);
  if (paths.empty()) throw std::runtime_error("the program left no region; it said: " + err);
  std::string error;
  auto reader = shm::RegionReader::open(paths.back(), &error);
  if (!reader) throw std::runtime_error(error);
  return std::move(*reader);
}

std::vector<double> Probed::all_printed(const std::string& name) const {
  std::vector<double> values;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + " ", 0) == 0) values.push_back(std::stod(line.substr(name.size() + 1)));
  return values;
}

double Probed::printed(const std::string& name) const {
  const auto values = all_printed(name);
  if (values.empty()) throw std::runtime_error("the program printed no " + name + "; it printed: " + out + err);
  return values.front();
}

std::vector<Event> events_of(shm::RegionReader& region) {
  std::vector<Event> events;
  region.drain([&](const shm::LaneOwner& lane, bool is_signal, const shm::ReadRecord& record) {
    events.push_back({lane, is_signal, record});
  });
  return events;
}

std::vector<Event> events_of(shm::RegionReader& region, shm::RecordKind kind) {
  std::vector<Event> events;
  for (const Event& event : events_of(region))
    if (event.record.kind == kind) events.push_back(event);
  return events;
}

}  // namespace camprobe::tests
