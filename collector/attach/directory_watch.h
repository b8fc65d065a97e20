// collector/attach/directory_watch.h
//
// Whether names may have come or gone in a directory, for one system call: listing /dev/shm and looking at the process
// behind every region ten times a second costs more than draining them.
//
// A directory's modification time is as coarse as the kernel's tick, so a name that comes right after a listing may
// leave it as it was. A time that was young when it was seen is therefore not believed to be the last.
//
// inotify would wake us instead, but its instances are few for each user, and others' programs use them up.
#pragma once

#include <cstdint>
#include <string>

#include "shm/region_name.h"

namespace camprobe::attach {

class DirectoryWatch {
 public:
  explicit DirectoryWatch(std::string directory = shm::kRegionDirectory) : directory_(std::move(directory)) {}

  // Whether the directory must be listed (again); to be asked right before listing it.
  bool may_have_changed();

 private:
  std::string directory_;
  std::int64_t modified_ns_ = 0;
  bool is_settled_ = false;  // the time was old enough when it was last seen
};

}  // namespace camprobe::attach
