// collector/symbols/target_files.cc
//
// openat2 below /proc/<pid>/root, and the two links by which the kernel keeps deleted files reachable.
#include "collector/symbols/target_files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace camprobe::symbols {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::string proc(pid_t pid, const char* entry) {
  return "/proc/" + std::to_string(pid) + "/" + entry;
}

pid_t read_inner_pid(pid_t pid) {
  std::ifstream status(proc(pid, "status"));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream pids(line.substr(6));
    pid_t inner = pid;
    for (pid_t next = 0; pids >> next;) inner = next;
    return inner;
  }
  return pid;
}

bool is_our_root(pid_t pid) {
  struct stat ours {};
  struct stat theirs {};
  if (::stat("/", &ours) != 0 || ::stat(proc(pid, "root/").c_str(), &theirs) != 0) return true;
  // Same directory in another mount namespace may still show other mounts below it.
  struct stat our_mounts {};
  struct stat their_mounts {};
  const bool same_namespace = ::stat("/proc/self/ns/mnt", &our_mounts) == 0 &&
                              ::stat(proc(pid, "ns/mnt").c_str(), &their_mounts) == 0 &&
                              our_mounts.st_ino == their_mounts.st_ino;
  return same_namespace && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

UniqueFd open_below(const std::string& root, const std::string& path, int flags) {
  const UniqueFd directory(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return UniqueFd(::open(path.c_str(), flags));  // the process has ended
  const std::size_t first = path.find_first_not_of('/');
  if (first == std::string::npos) return {};
  const std::string relative = path.substr(first);
  open_how how{};
  how.flags = static_cast<__u64>(flags);
  how.resolve = RESOLVE_IN_ROOT;
  const long fd = ::syscall(SYS_openat2, directory.get(), relative.c_str(), &how, sizeof how);
  if (fd >= 0) return UniqueFd(static_cast<int>(fd));
  if (errno != ENOSYS && errno != EPERM) return {};
  return UniqueFd(::openat(directory.get(), relative.c_str(), flags));  // before Linux 5.6, or forbidden by seccomp
}

}  // namespace

UniqueFd only_regular(UniqueFd fd) {
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return fd;
}

TargetFiles::TargetFiles(pid_t pid)
    : pid_(pid), inner_pid_(pid > 0 ? read_inner_pid(pid) : 0), own_root_(pid <= 0 || is_our_root(pid)) {}

UniqueFd TargetFiles::open(const std::string& path, bool follow_links) const {
  if (!path.starts_with('/')) return {};
  const int flags = kOpenFlags | (follow_links ? 0 : O_NOFOLLOW);
  if (own_root_) return only_regular(UniqueFd(::open(path.c_str(), flags)));
  return only_regular(open_below(proc(pid_, "root/"), path, flags));
}

UniqueFd TargetFiles::open_mapped(std::uint64_t address) const {
  if (pid_ <= 0) return {};
  std::ifstream maps(proc(pid_, "maps"));
  for (std::string line; std::getline(maps, line);) {
    unsigned long low = 0;
    unsigned long high = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &low, &high) != 2 || address < low || address >= high) continue;
    char range[64];
    std::snprintf(range, sizeof range, "map_files/%lx-%lx", low, high);
    return only_regular(UniqueFd(::open(proc(pid_, range).c_str(), kOpenFlags)));
  }
  return {};
}

UniqueFd TargetFiles::open_executable() const {
  if (pid_ <= 0) return {};
  return only_regular(UniqueFd(::open(proc(pid_, "exe").c_str(), kOpenFlags)));
}

}  // namespace camprobe::symbols
