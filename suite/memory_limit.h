// suite/memory_limit.h
//
// A limit on a target's memory: a memory cgroup of its own where we may make one (version 1 or 2), so that the kernel's
// out-of-memory killer ends it as it would in a container; else RLIMIT_DATA, where allocations fail instead. Which of
// them it was is said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace camprobe::suite {

class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes);
  ~MemoryLimit();  // removes the group
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

  bool is_cgroup() const { return !directory_.empty(); }
  std::string procs_file() const { return directory_ + "/cgroup.procs"; }
  std::string how() const;  // a sentence
  std::optional<std::uint64_t> peak() const;
  std::optional<std::uint64_t> oom_kills() const;

 private:
  std::uint64_t bytes_;
  std::string directory_;  // "": none could be made
  bool is_v2_ = false;
};

}  // namespace camprobe::suite
