#include "collector/attach/regions.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "collector/proc/proc_files.h"

namespace camprobe::attach {

bool is_alive(pid_t pid, std::uint64_t start_ticks) {
  const auto process = proc::ProcessFiles::open(pid, start_ticks);
  return process && !process->is_dead();
}

std::vector<RegionFile> find_regions(uid_t uid, const std::string& directory) {
  std::vector<RegionFile> regions;
  const auto close = [](DIR* open) { ::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> listing(::opendir(directory.c_str()), close);
  if (!listing) return regions;
  while (const dirent* entry = ::readdir(listing.get())) {
    RegionFile region;
    if (!shm::parse_region_name(entry->d_name, &region.name)) continue;
    if (uid != 0 && region.name.uid != uid) continue;
    struct stat status {};
    if (::fstatat(::dirfd(listing.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    // Anyone may create files in /dev/shm: the name only counts where its owner agrees.
    if (!S_ISREG(status.st_mode) || status.st_uid != region.name.uid) continue;
    region.path = directory + "/" + entry->d_name;
    region.bytes = static_cast<std::int64_t>(status.st_blocks) * 512;
    region.modified_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    region.is_alive = is_alive(static_cast<pid_t>(region.name.pid), region.name.start_ticks);
    regions.push_back(std::move(region));
  }
  std::sort(regions.begin(), regions.end(), [](const RegionFile& a, const RegionFile& b) {
    return std::tie(a.name.pid, a.name.start_ticks, a.name.image) <
           std::tie(b.name.pid, b.name.start_ticks, b.name.image);
  });
  return regions;
}

}  // namespace camprobe::attach
