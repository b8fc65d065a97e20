#include "collector/proc/proc_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace camprobe::proc {
namespace {

std::optional<std::string> read_all(int fd) {
  if (fd < 0) return std::nullopt;
  std::string text;
  std::array<char, 16384> buffer;
  while (text.size() < kMostOfAFile) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int why = errno;
      ::close(fd);
      errno = why;
      return std::nullopt;
    }
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory open_directory_at(int base, const char* name) {
  const int fd = ::openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  DIR* directory = ::fdopendir(fd);
  if (directory == nullptr) ::close(fd);
  return Directory(directory);
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  return read_all(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// A process in a pid namespace (a container's) names itself by its number there, which is nobody's or another one's
// here. Its start time is the same everywhere; so it is looked for by both, among all processes, once: what is not
// found was gone, and stays so.
std::optional<ProcessFiles> ProcessFiles::find_in_namespaces(pid_t pid, std::uint64_t start_ticks) {
  static std::mutex mutex;
  static std::set<std::pair<pid_t, std::uint64_t>> gone;
  const std::lock_guard lock(mutex);
  if (gone.count({pid, start_ticks}) != 0) return std::nullopt;
  const Directory processes(::opendir("/proc"));
  while (const dirent* entry = processes ? ::readdir(processes.get()) : nullptr) {
    pid_t outer = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, outer).ptr != end || outer <= 0 || outer == pid) continue;
    const int directory = ::open(("/proc/" + std::to_string(outer)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) continue;
    ProcessFiles files(outer, directory);
    const auto is_it = [&] {
      const auto stat = files.stat();
      return stat && stat->start_ticks == start_ticks;
    };
    if (!is_it()) continue;
    const auto status = files.read("status");
    if (!status || parse_innermost_pid(*status) != pid) continue;
    files.watch();
    if (!is_it()) continue;  // ended, and its pid may be another's
    files.start_ticks_ = start_ticks;
    return files;
  }
  constexpr std::size_t kMostRemembered = 100'000;
  if (gone.size() >= kMostRemembered) gone.clear();
  gone.emplace(pid, start_ticks);
  return std::nullopt;
}

std::optional<ProcessFiles> ProcessFiles::open(pid_t pid, std::uint64_t start_ticks) {
  auto files = open_here(pid, start_ticks);
  return files || start_ticks == 0 ? std::move(files) : find_in_namespaces(pid, start_ticks);
}

std::optional<ProcessFiles> ProcessFiles::open_here(pid_t pid, std::uint64_t start_ticks) {
  const int directory = ::open(("/proc/" + std::to_string(pid)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return std::nullopt;
  ProcessFiles files(pid, directory);
  files.watch();
  const auto stat = files.stat();
  if (!stat || (start_ticks != 0 && stat->start_ticks != start_ticks)) return std::nullopt;
  files.start_ticks_ = stat->start_ticks;
  return files;
}

// To be followed by stat(): a directory that still answers is that of the process which has the pid.
void ProcessFiles::watch() {
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

ProcessFiles::ProcessFiles(ProcessFiles&& other) noexcept
    : pid_(other.pid_),
      directory_(std::exchange(other.directory_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      start_ticks_(other.start_ticks_) {}

ProcessFiles& ProcessFiles::operator=(ProcessFiles&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(directory_, other.directory_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(start_ticks_, other.start_ticks_);
  return *this;
}

ProcessFiles::~ProcessFiles() {
  if (directory_ >= 0) ::close(directory_);
  if (pidfd_ >= 0) ::close(pidfd_);
}

std::optional<std::string> ProcessFiles::read(const char* name) const {
  return read_all(::openat(directory_, name, O_RDONLY | O_CLOEXEC));
}

std::optional<ProcessStat> ProcessFiles::stat() const {
  const auto text = read("stat");
  return text ? parse_stat(*text) : std::nullopt;
}

bool ProcessFiles::is_dead() const {
  if (pidfd_ >= 0) {
    pollfd ended{pidfd_, POLLIN, 0};
    return ::poll(&ended, 1, 0) == 1;
  }
  const auto now = stat();
  return !now || now->state == 'Z' || now->state == 'X';
}

std::string ProcessFiles::link_target(const char* name) const {
  std::array<char, 4096> target;
  const ssize_t size = ::readlinkat(directory_, name, target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string ProcessFiles::executable() const {
  return link_target("exe");
}
std::string ProcessFiles::directory() const {
  return link_target("cwd");
}

std::vector<std::string> ProcessFiles::command() const {
  std::vector<std::string> arguments;
  const auto text = read("cmdline");
  if (!text) return arguments;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\0', at), text->size());
    arguments.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

std::optional<uid_t> ProcessFiles::owner() const {
  struct stat status {};
  if (::fstat(directory_, &status) != 0) return std::nullopt;
  return status.st_uid;
}

std::optional<std::int64_t> ProcessFiles::count_descriptors() const {
  // Since Linux 6.2 the directory's size is the number of open descriptors; before, they are counted.
  struct stat status {};
  if (::fstatat(directory_, "fd", &status, 0) == 0 && status.st_size > 0) return status.st_size;
  const Directory directory = open_directory_at(directory_, "fd");
  if (!directory) return std::nullopt;
  std::int64_t count = 0;
  while (const dirent* entry = ::readdir(directory.get())) count += entry->d_name[0] != '.';
  return count;
}

std::vector<std::uint64_t> ProcessFiles::socket_inodes() const {
  std::vector<std::uint64_t> inodes;
  const Directory directory = open_directory_at(directory_, "fd");
  if (!directory) return inodes;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::array<char, 64> target{};
    if (::readlinkat(::dirfd(directory.get()), entry->d_name, target.data(), target.size() - 1) <= 0) continue;
    constexpr std::string_view kPrefix = "socket:[";
    if (std::strncmp(target.data(), kPrefix.data(), kPrefix.size()) != 0) continue;
    std::uint64_t inode = 0;
    std::from_chars(target.data() + kPrefix.size(), target.data() + target.size(), inode);
    inodes.push_back(inode);
  }
  return inodes;
}

std::vector<pid_t> ProcessFiles::threads() const {
  std::vector<pid_t> threads;
  const Directory directory = open_directory_at(directory_, "task");
  if (!directory) return threads;
  while (const dirent* entry = ::readdir(directory.get())) {
    const long tid = std::strtol(entry->d_name, nullptr, 10);
    if (tid > 0) threads.push_back(static_cast<pid_t>(tid));
  }
  return threads;
}

bool is_listening(const ProcessFiles& process) {
  const std::vector<std::uint64_t> mine = process.socket_inodes();
  if (mine.empty()) return false;
  for (const char* table : {"net/tcp", "net/tcp6"}) {
    const auto text = process.read(table);
    if (!text) continue;
    for (const std::uint64_t inode : parse_listening_inodes(*text)) {
      if (std::find(mine.begin(), mine.end(), inode) != mine.end()) return true;
    }
  }
  return false;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const Directory directory = open_directory_at(AT_FDCWD, tasks.c_str());
  if (!directory) return children;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const auto text = read_file(tasks + "/" + entry->d_name + "/children");
    if (!text) continue;
    for (const char* at = text->c_str(); *at != '\0';) {
      char* end = nullptr;
      const long child = std::strtol(at, &end, 10);
      if (end == at) break;
      children.push_back(static_cast<pid_t>(child));
      at = end;
    }
  }
  return children;
}

}  // namespace camprobe::proc
