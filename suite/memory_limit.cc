#include "suite/memory_limit.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "run/units.h"
#include "suite/child.h"

namespace camprobe::suite {
namespace {

std::optional<std::uint64_t> number_in(const std::string& text, std::size_t at = 0) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

MemoryLimit::MemoryLimit(std::uint64_t bytes) : bytes_(bytes) {
  static int made = 0;
  const std::string name = fmt::format("camprobe-suite.{}.{}", ::getpid(), ++made);
  for (const bool v2 : {false, true}) {
    const std::string directory = (v2 ? "/sys/fs/cgroup/" : "/sys/fs/cgroup/memory/") + name;
    if (::mkdir(directory.c_str(), 0755) != 0) continue;
    const std::string limit = directory + (v2 ? "/memory.max" : "/memory.limit_in_bytes");
    if (::access(limit.c_str(), W_OK) == 0 && write_all(limit, std::to_string(bytes))) {
      directory_ = directory;
      is_v2_ = v2;
      // Without swap, where the kernel counts it; where it does not there is no such file.
      const std::string swap = directory + (v2 ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes");
      if (::access(swap.c_str(), W_OK) == 0) write_all(swap, v2 ? "0" : std::to_string(bytes));
      return;
    }
    ::rmdir(directory.c_str());
  }
}

MemoryLimit::~MemoryLimit() {
  for (int i = 0; !directory_.empty() && i < 50 && ::rmdir(directory_.c_str()) != 0; ++i) ::usleep(20'000);
}

std::string MemoryLimit::how() const {
  return is_cgroup()
             ? fmt::format("the target's memory is limited to {} by a cgroup",
                           run::in_bytes(static_cast<double>(bytes_)))
             : fmt::format(
                   "no cgroup may be made here: the target's memory is limited to {} by RLIMIT_DATA, where allocations "
                   "fail and nothing is killed",
                   run::in_bytes(static_cast<double>(bytes_)));
}

std::optional<std::uint64_t> MemoryLimit::peak() const {
  if (!is_cgroup()) return std::nullopt;
  return number_in(read_all(directory_ + (is_v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")));
}

std::optional<std::uint64_t> MemoryLimit::oom_kills() const {
  if (!is_cgroup()) return std::nullopt;
  const std::string text = read_all(directory_ + (is_v2_ ? "/memory.events" : "/memory.oom_control"));
  const std::size_t at = text.find("oom_kill ");
  return at == std::string::npos ? std::nullopt : number_in(text, at + 9);
}

}  // namespace camprobe::suite
