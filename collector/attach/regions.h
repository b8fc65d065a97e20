// collector/attach/regions.h
//
// Which regions there are in /dev/shm: of processes that run, and of dead ones that left theirs behind.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shm/region_name.h"

namespace camprobe::attach {

struct RegionFile {
  std::string path;
  shm::RegionName name;
  std::int64_t bytes = 0;        // what it takes of /dev/shm
  std::int64_t modified_ns = 0;  // wall clock
  bool is_alive = false;         // its process runs
};

// Regions in `directory`, by pid and image; those of `uid` only, or of everybody for root. A file that only looks like
// a region by its name is left out where it is not a regular file of the user that its name says, and so is one that
// `is_known` (called with its path, if given) says yes to, before anything is asked about it.
std::vector<RegionFile> find_regions(uid_t uid, const std::string& directory = shm::kRegionDirectory,
                                     const std::function<bool(const std::string&)>& is_known = {});

// What a region says of itself, for a list. Anything it does not tell is empty or 0.
struct RegionFacts {
  std::string state;          // starting | running | off | ending | ended | exec | killed | unusable
  std::string program;        // path of the executable
  std::int64_t began_at = 0;  // seconds since the epoch
  std::string note;           // why it is off or unusable
};
RegionFacts facts_of(const RegionFile& file);

// Whether pid still is the process that began at start_ticks; a zombie is not.
bool is_alive(pid_t pid, std::uint64_t start_ticks);

}  // namespace camprobe::attach
