// collector/attach/recordings.h
//
// Collectors that record right now, found without any registry: processes that have a run file open for writing.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace camprobe::attach {

struct ActiveRecording {
  pid_t collector = 0;
  std::string run;  // the file
};

// A run file of this name is somebody's own working file, and no recording that a user could mean.
inline constexpr const char* kObservationName = "camprobe-observation.camrun";

std::vector<ActiveRecording> find_recordings();

}  // namespace camprobe::attach
