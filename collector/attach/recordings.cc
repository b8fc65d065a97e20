#include "collector/attach/recordings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "collector/proc/proc_files.h"
#include "run/schema.h"

namespace camprobe::attach {
namespace {

namespace fs = std::filesystem;

bool is_run_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  std::array<unsigned char, 100> header{};
  const bool is_whole = ::pread(fd, header.data(), header.size(), 0) == static_cast<ssize_t>(header.size());
  ::close(fd);
  const std::uint32_t id = (std::uint32_t{header[68]} << 24) | (std::uint32_t{header[69]} << 16) |
                           (std::uint32_t{header[70]} << 8) | header[71];
  return is_whole && std::memcmp(header.data(), "SQLite format 3", 16) == 0 && id == run::kApplicationId;
}

bool is_open_for_writing(const fs::path& fdinfo) {
  const auto text = proc::read_file(fdinfo.string());
  if (!text) return false;
  const std::size_t at = text->find("flags:");
  if (at == std::string::npos) return false;
  const unsigned long flags = std::strtoul(text->c_str() + at + 6, nullptr, 8);
  return (flags & O_ACCMODE) == O_RDWR;
}

}  // namespace

std::vector<ActiveRecording> find_recordings() {
  std::vector<ActiveRecording> found;
  std::error_code failed;
  const fs::path own = fs::read_symlink("/proc/self/exe", failed);
  for (const auto& entry : fs::directory_iterator("/proc", failed)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    std::error_code ignored;
    const fs::path executable = fs::read_symlink(entry.path() / "exe", ignored);
    if (ignored || (executable != own && executable.filename() != "camprobe")) continue;
    for (const auto& open : fs::directory_iterator(entry.path() / "fd", ignored)) {
      const fs::path target = fs::read_symlink(open.path(), ignored);
      if (ignored || target.string().ends_with("-wal") || target.string().ends_with("-shm") ||
          target.filename() == kObservationName || !is_run_file(target))
        continue;
      if (!is_open_for_writing(entry.path() / "fdinfo" / open.path().filename())) continue;
      found.push_back({pid, target.string()});
      break;
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.collector < b.collector; });
  return found;
}

}  // namespace camprobe::attach
