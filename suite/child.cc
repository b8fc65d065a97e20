#include "suite/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "collector/attach/program.h"

namespace camprobe::suite {
namespace {

volatile sig_atomic_t interrupt_count = 0;

void on_interrupt(int) {
  interrupt_count = interrupt_count + 1;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

int open_output(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

// Of one process: its group, its state, and its CPU time with that of children it has waited for.
struct Stat {
  char state = 0;
  int parent = 0, group = 0;
  double cpu_s = 0;
};
std::optional<Stat> stat_of(const std::string& pid) {
  const std::string text = read_all("/proc/" + pid + "/stat");
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  Stat stat;
  unsigned long long user = 0, system = 0;
  long long children_user = 0, children_system = 0;
  if (std::sscanf(text.c_str() + end + 1, " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &stat.state,
                  &stat.parent, &stat.group, &user, &system, &children_user, &children_system) != 7)
    return std::nullopt;
  static const double tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  stat.cpu_s = tick * (static_cast<double>(user + system) + static_cast<double>(children_user + children_system));
  return stat;
}

template <typename Visit>
void each_process(Visit visit) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (const auto stat = stat_of(name)) visit(static_cast<pid_t>(std::stol(name)), *stat);
  }
}

}  // namespace

std::function<void()> ProcessLimits::as_function() const {
  if (data_bytes == 0 && open_files == 0 && cores == 0 && cgroup_procs.empty()) return {};
  return [limits = *this] {
    const auto set = [](auto resource, std::uint64_t value) {
      const rlimit limit{value, value};
      ::setrlimit(resource, &limit);
    };
    if (limits.data_bytes != 0) set(RLIMIT_DATA, limits.data_bytes);
    if (limits.open_files != 0) set(RLIMIT_NOFILE, limits.open_files);
    if (limits.cores != 0) {
      cpu_set_t ours, chosen;
      CPU_ZERO(&ours);
      CPU_ZERO(&chosen);
      ::sched_getaffinity(0, sizeof ours, &ours);
      for (std::size_t cpu = 0, taken = 0; cpu < CPU_SETSIZE && taken < static_cast<std::size_t>(limits.cores); ++cpu) {
        if (!CPU_ISSET(cpu, &ours)) continue;
        CPU_SET(cpu, &chosen);
        ++taken;
      }
      ::sched_setaffinity(0, sizeof chosen, &chosen);
    }
    if (!limits.cgroup_procs.empty()) {
      const int file = ::open(limits.cgroup_procs.c_str(), O_WRONLY | O_CLOEXEC);
      [[maybe_unused]] const ssize_t written = ::write(file, "0", 1);
      ::close(file);
    }
  };
}

run::Result<Child> Child::start(const Start& what) {
  std::string path;
  if (!what.body) {
    const auto located = attach::locate_program(what.command.front());
    if (!located) return run::Error{what.name + ": " + located.error()};
    path = *located;
  }
  std::vector<std::string> environment = attach::own_environment();
  for (const std::string& entry : what.environment) {
    const std::string key = entry.substr(0, entry.find('=') + 1);
    std::erase_if(environment, [&](const std::string& old) { return old.starts_with(key); });
    environment.push_back(entry);
  }
  std::vector<char*> arguments, variables;
  for (const std::string& argument : what.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& entry : environment) variables.push_back(const_cast<char*>(entry.c_str()));
  arguments.push_back(nullptr);
  variables.push_back(nullptr);

  const int output = what.output.empty() ? ::open("/dev/null", O_WRONLY | O_CLOEXEC) : open_output(what.output);
  if (output < 0)
    return run::Error{fmt::format("{}: {} cannot be written: {}", what.name, what.output, std::strerror(errno))};
  const int errors = what.errors.empty() ? output : open_output(what.errors);
  std::fflush(stdout);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, what.body ? SIGTERM : SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_DFL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    if (what.body) {
      const int code = what.body();
      std::fflush(stdout);
      ::_exit(code);
    }
    if (what.before_exec) what.before_exec();
    ::execve(path.c_str(), arguments.data(), variables.data());
    ::_exit(127);
  }
  if (errors != output && errors >= 0) ::close(errors);
  ::close(output);
  if (pid < 0) return run::Error{fmt::format("{} cannot be started: {}", what.name, std::strerror(errno))};
  ::setpgid(pid, pid);
  return Child(what.name, pid);
}

Child::Child(Child&& other) noexcept
    : name_(std::move(other.name_)),
      pid_(std::exchange(other.pid_, 0)),
      has_ended_(other.has_ended_),
      status_(other.status_),
      cpu_at_end_(other.cpu_at_end_),
      cpu_seen_(other.cpu_seen_) {}

Child::~Child() {
  if (pid_ == 0) return;
  if (is_running()) stop(0);
  signal_group(SIGKILL);
}

bool Child::is_running() {
  if (pid_ == 0 || has_ended_) return false;
  rusage usage{};
  const pid_t ended = ::wait4(pid_, &status_, WNOHANG, &usage);
  if (ended != pid_ && !(ended < 0 && errno == ECHILD)) return true;
  has_ended_ = true;
  cpu_at_end_ = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  return false;
}

std::string Child::how_it_ended() const {
  if (WIFSIGNALED(status_))
    return fmt::format("killed by signal {}, {}", WTERMSIG(status_), ::strsignal(WTERMSIG(status_)));
  return fmt::format("exit code {}", WEXITSTATUS(status_));
}

bool Child::ended_well() const {
  return has_ended_ && WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
}

void Child::signal(int number) const {
  if (pid_ != 0 && !has_ended_) ::kill(pid_, number);
}

void Child::signal_group(int number) const {
  if (pid_ != 0) ::kill(-pid_, number);
}

bool Child::stop(double grace_s) {
  if (!is_running()) return true;
  signal_group(SIGTERM);
  for (double waited = 0; waited < grace_s && is_running(); waited += 0.02) ::usleep(20'000);
  if (!is_running()) return true;
  signal_group(SIGKILL);
  while (is_running()) ::usleep(5'000);
  return false;
}

double Child::cpu_seconds() {
  if (!is_running()) return std::max(cpu_at_end_, cpu_seen_);
  double sum = 0;
  each_process([&](pid_t, const Stat& stat) {
    if (stat.group == pid_) sum += stat.cpu_s;
  });
  cpu_seen_ = std::max(cpu_seen_, sum);
  return cpu_seen_;
}

bool process_lives(pid_t pid) {
  const auto stat = pid > 0 ? stat_of(std::to_string(pid)) : std::nullopt;
  return stat && stat->state != 'Z';
}

void become_reaper() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int end_orphans() {
  int ended = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<pid_t> ours;
    each_process([&](pid_t pid, const Stat& stat) {
      if (stat.parent == ::getpid()) ours.push_back(pid);
    });
    if (ours.empty()) break;
    for (const pid_t pid : ours) {
      if (::waitpid(pid, nullptr, WNOHANG) == pid) continue;
      ::kill(pid, SIGKILL);
      ++ended;
      ::waitpid(pid, nullptr, 0);
    }
  }
  return ended;
}

void watch_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

int interrupts() {
  return interrupt_count;
}

void nap(double seconds) {
  timespec time{static_cast<time_t>(seconds),
                static_cast<long>((seconds - static_cast<double>(static_cast<time_t>(seconds))) * 1e9)};
  ::nanosleep(&time, nullptr);
}

double machine_busy_seconds() {
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  const std::string text = read_all("/proc/stat");
  if (std::sscanf(text.c_str(), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
                  &irq, &soft, &steal) != 8)
    return 0;
  return static_cast<double>(user + nice + system + irq + soft + steal) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool write_all(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  return static_cast<bool>(file.flush());
}

std::string tail_of(const std::string& path, std::size_t most_bytes) {
  std::string text = read_all(path);
  if (text.size() > most_bytes) text = "..." + text.substr(text.size() - most_bytes);
  return text;
}

}  // namespace camprobe::suite
