// viewer/pdf.cc: see pdf.h.
#include "viewer/pdf.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <vector>

namespace camprobe::viewer {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::array<const char*, 5> kBrowsers{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome",
                                               "chrome"};

// The browser that CHROMIUM names, else the first of the usual names in PATH; empty where there is none.
std::string browser() {
  if (const char* named = std::getenv("CHROMIUM"); named != nullptr && *named != '\0') return named;
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    for (const char* name : kBrowsers) {
      const std::string candidate = fmt::format("{}/{}", directory, name);
      if (!directory.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
  }
  return {};
}

// A directory that goes with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (fs::temp_directory_path() / "camprobe-pdf-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Waits for the child, and ends its process group where it takes too long: the browser has children of its own.
bool ended_well(pid_t child) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(-child, SIGKILL);
      ::waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int start(std::vector<std::string>& arguments, pid_t& child) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // A probe that is preloaded into this command is not meant for the browser.
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "LD_PRELOAD=", 11) != 0) environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  const int error = ::posix_spawn(&child, argv[0], &files, &attributes, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

run::Result<std::string> printed_pdf(std::string_view page) {
  const std::string program = browser();
  if (program.empty())
    return run::Error{"a PDF is printed by Chromium, and none is in PATH; install chromium, or name one in CHROMIUM"};
  const TemporaryDirectory directory;
  if (directory.path().empty())
    return run::Error{fmt::format("{}: no temporary directory can be made ({})", fs::temp_directory_path().string(),
                                  std::strerror(errno))};
  const fs::path source = directory.path() / "report.html", target = directory.path() / "report.pdf";
  {
    std::ofstream file(source, std::ios::binary);
    file.write(page.data(), static_cast<std::streamsize>(page.size()));
    if (!file.flush()) return run::Error{fmt::format("{}: cannot be written; is the disk full?", source.string())};
  }
  std::vector<std::string> arguments{program,
                                     "--headless",
                                     "--disable-gpu",
                                     "--disable-quic",
                                     "--no-first-run",
                                     "--disable-background-networking",
                                     "--disable-component-update",
                                     "--disable-sync",
                                     "--no-pdf-header-footer",
                                     "--print-to-pdf-no-header",  // what older ones call it
                                     "--window-size=1040,1400",
                                     "--virtual-time-budget=10000",  // charts are drawn by timers
                                     "--user-data-dir=" + (directory.path() / "profile").string(),
                                     "--print-to-pdf=" + target.string()};
  if (::geteuid() == 0) arguments.emplace_back("--no-sandbox");  // it does not start as root otherwise
  arguments.push_back("file://" + source.string());
  pid_t child = 0;
  if (const int error = start(arguments, child); error != 0)
    return run::Error{fmt::format("{}: cannot be started ({})", program, std::strerror(error))};
  const bool well = ended_well(child);
  std::ifstream file(target, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!well || !bytes.starts_with("%PDF-"))
    return run::Error{fmt::format("{}: printed no page; write --format html and print that", program)};
  return bytes;
}

}  // namespace camprobe::viewer
