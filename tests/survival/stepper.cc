// tests/survival/stepper.cc: see tests/survival/stepper.h.
#include "tests/survival/stepper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace camprobe::tests {
namespace {

struct Range {
  std::uint64_t low, high;
};

std::vector<Range> executable_parts(pid_t pid, const std::string& module) {
  std::vector<Range> parts;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.size() < module.size() || line.compare(line.size() - module.size(), module.size(), module) != 0) continue;
    std::istringstream words(line);
    std::string addresses, rights;
    words >> addresses >> rights;
    if (rights.find('x') == std::string::npos) continue;
    const auto dash = addresses.find('-');
    parts.push_back(
        {std::stoull(addresses.substr(0, dash), nullptr, 16), std::stoull(addresses.substr(dash + 1), nullptr, 16)});
  }
  return parts;
}

std::uint64_t program_counter(pid_t pid) {
#if defined(__x86_64__)
  user_regs_struct registers = {};
  ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
  return registers.rip;
#else
  (void)pid;
  throw std::runtime_error("which register is the program counter here?");
#endif
}

}  // namespace

Stepped::Stepped(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  std::vector<char*> words;
  for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    setenv("LD_PRELOAD", library().c_str(), 1);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    execv(words[0], words.data());
    _exit(127);
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  if (!WIFSTOPPED(status)) throw std::runtime_error(arguments[0] + " could not be traced");
  ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
}

Stepped::~Stepped() {
  std::string path;
  for (const auto& each : all_regions())
    if (each.find("." + std::to_string(pid_) + ".") != std::string::npos) path = each;
  if (!has_ended_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (!path.empty()) unlink(path.c_str());
}

bool Stepped::run_to_stop(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int signal = 0;
  while (!has_ended_) {
    ptrace(PTRACE_CONT, pid_, nullptr, signal);
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the traced program did not stop within " << seconds << " s";
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    has_ended_ = !WIFSTOPPED(status);
    if (has_ended_) return false;
    signal = WSTOPSIG(status);
    if (signal == SIGSTOP) return true;
  }
  return false;
}

std::vector<std::uint64_t> Stepped::step_through_visits(const std::string& module) {
  const std::vector<Range> parts = executable_parts(pid_, module);
  std::vector<std::uint64_t> visits;
  bool was_inside = false;
  int signal = 0;
  for (;;) {
    ptrace(PTRACE_SINGLESTEP, pid_, nullptr, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    has_ended_ = !WIFSTOPPED(status);
    if (has_ended_ || WSTOPSIG(status) == SIGSTOP) return visits;
    // A stop for a signal is no step. The probe's ticks are held back: its timer counts CPU time, of which stepping
    // takes the more the busier the machine is.
    const bool is_step = WSTOPSIG(status) == SIGTRAP;
    const bool is_tick = WSTOPSIG(status) >= SIGRTMIN;
    signal = is_step || is_tick ? 0 : WSTOPSIG(status);
    if (!is_step) continue;
    const std::uint64_t pc = program_counter(pid_);
    bool is_inside = false;
    for (const Range& part : parts) is_inside = is_inside || (pc >= part.low && pc < part.high);
    if (is_inside && !was_inside) visits.push_back(0);
    if (is_inside) ++visits.back();
    was_inside = is_inside;
  }
}

shm::RegionReader Stepped::region() const {
  for (const auto& path : all_regions()) {
    if (path.find("." + std::to_string(pid_) + ".") == std::string::npos) continue;
    std::string error;
    auto reader = shm::RegionReader::open(path, &error);
    if (!reader) throw std::runtime_error(error);
    return std::move(*reader);
  }
  throw std::runtime_error("the traced program has no region");
}

std::uint64_t instructions_of(void (*act)(void*), void* argument) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    act(argument);
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::uint64_t steps = 0;
  for (;;) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP) break;
    ++steps;
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return steps;
}

}  // namespace camprobe::tests
