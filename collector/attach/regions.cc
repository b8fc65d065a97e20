#include "collector/attach/regions.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "collector/proc/proc_files.h"
#include "shm/region_reader.h"

namespace camprobe::attach {

bool is_alive(pid_t pid, std::uint64_t start_ticks) {
  const auto process = proc::ProcessFiles::open(pid, start_ticks);
  return process && !process->is_dead();
}

std::vector<RegionFile> find_regions(uid_t uid, const std::string& directory,
                                     const std::function<bool(const std::string&)>& is_known) {
  std::vector<RegionFile> regions;
  const auto close = [](DIR* open) { ::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> listing(::opendir(directory.c_str()), close);
  if (!listing) return regions;
  while (const dirent* entry = ::readdir(listing.get())) {
    RegionFile region;
    if (!shm::parse_region_name(entry->d_name, &region.name)) continue;
    if (uid != 0 && region.name.uid != uid) continue;
    region.path = directory + "/" + entry->d_name;
    if (is_known && is_known(region.path)) continue;
    struct stat status {};
    if (::fstatat(::dirfd(listing.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    // Anyone may create files in /dev/shm: the name only counts where its owner agrees.
    if (!S_ISREG(status.st_mode) || status.st_uid != region.name.uid) continue;
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

namespace {

const char* state_text(bool is_alive, shm::RegionState state) {
  if (!is_alive)
    return state == shm::RegionState::kExited ? "ended" : state == shm::RegionState::kExec ? "exec" : "killed";
  switch (state) {
    case shm::RegionState::kCreating:
      return "starting";
    case shm::RegionState::kRunning:
      return "running";
    case shm::RegionState::kOff:
      return "off";
    case shm::RegionState::kExited:
      return "ending";
    case shm::RegionState::kExec:
      return "exec";
  }
  return "unusable";
}

}  // namespace

RegionFacts facts_of(const RegionFile& file) {
  RegionFacts facts;
  facts.state = "unusable";
  const auto region = shm::RegionReader::open(file.path, &facts.note);
  const auto process = file.is_alive ? proc::ProcessFiles::open(static_cast<pid_t>(file.name.pid)) : std::nullopt;
  if (process) facts.program = process->executable();
  if (!region) return facts;
  facts.began_at = static_cast<std::int64_t>(region->info().created_realtime_ns / 1'000'000'000);
  if (const auto status = region->status()) {
    facts.state = state_text(file.is_alive, status->state);
    facts.note = status->message;
  }
  if (const auto modules = region->modules(); !process && !modules.empty())
    facts.program = region->name(modules.front().path).value_or("");
  return facts;
}

}  // namespace camprobe::attach
