// collector/symbols/target_files.h
//
// Files as a target sees them: inside its own mount namespace and root, also after they were deleted.
//
// A path a target names is not to be trusted. It is resolved within the target's root (openat2, RESOLVE_IN_ROOT, so
// that a symbolic link in a container does not lead to a file of ours), opened without blocking on a pipe, and refused
// unless it is a regular file. Whether it is the *right* file is for the caller to check (build-id, owner).
//
// The pid must be known to be the target still; a process that is gone is served from our own root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "collector/symbols/unique_fd.h"

namespace camprobe::symbols {

class TargetFiles {
 public:
  // `pid` as we see it; 0: no process, our own root.
  explicit TargetFiles(pid_t pid);

  pid_t pid() const { return pid_; }
  // The pid the process knows itself by (the last of NSpid): JITs name their files by it.
  pid_t inner_pid() const { return inner_pid_; }

  // An open descriptor of the regular file at absolute `path`, or none. The last component may be a link only if
  // `follow_links`.
  UniqueFd open(const std::string& path, bool follow_links = true) const;

  // The file mapped at `address`, whatever became of its path. Needs the rights of /proc/<pid>/map_files.
  UniqueFd open_mapped(std::uint64_t address) const;

  // The target's executable, whatever became of its path.
  UniqueFd open_executable() const;

 private:
  pid_t pid_;
  pid_t inner_pid_;
  bool own_root_ = true;  // the target's "/" is ours
};

// `fd` if it is a regular file, none otherwise.
UniqueFd only_regular(UniqueFd fd);

}  // namespace camprobe::symbols
