#include "collector/serve/targets.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "collector/drain/run_clock.h"

namespace camprobe::serve {

void Targets::take(const attach::RegionFile& file) {
  constexpr int kPatience = 50;  // looks until a file without a header is taken for rubbish
  if (!file.is_alive || (only_ && static_cast<pid_t>(file.name.pid) != *only_)) {
    known_paths_.insert(file.path);  // camprobe list and attach are for the dead
    return;
  }
  std::string why;
  auto region = shm::RegionReader::open(file.path, &why);
  const auto status = region ? region->status() : std::nullopt;
  if (!status || status->state == shm::RegionState::kCreating) {
    if (++not_ready_[file.path] < kPatience) {
      must_look_again_ = true;
      return;
    }
    not_ready_.erase(file.path);
    known_paths_.insert(file.path);
    return;
  }
  not_ready_.erase(file.path);
  auto files = proc::ProcessFiles::open(static_cast<pid_t>(file.name.pid), file.name.start_ticks);
  if (!files || status->state == shm::RegionState::kExec) {
    known_paths_.insert(file.path);
    return;
  }
  const pid_t pid = files->pid();
  const auto present = targets_.find(pid);
  if (present == targets_.end() && targets_.size() >= most_) {
    ++left_out_;  // and looked at again at the next change: another may have ended
    return;
  }
  known_paths_.insert(file.path);
  if (present != targets_.end() && present->second->is_there() && present->second->image() > region->info().image)
    return;
  targets_[pid] = std::make_unique<Target>(std::move(*region), std::move(*files));
}

void Targets::discover() {
  must_look_again_ = false;
  left_out_ = 0;
  std::set<std::string> still_there;
  const auto is_known = [&](const std::string& path) {
    const bool known = known_paths_.contains(path);
    if (known) still_there.insert(path);
    return known;
  };
  const std::vector<attach::RegionFile> files = attach::find_regions(::geteuid(), shm::kRegionDirectory, is_known);
  known_paths_ = std::move(still_there);  // programs come and go for days: what is gone is forgotten
  std::erase_if(not_ready_, [&](const auto& entry) {
    return std::none_of(files.begin(), files.end(), [&](const auto& file) { return file.path == entry.first; });
  });
  for (const attach::RegionFile& file : files) take(file);
}

void Targets::drop_ended() {
  const std::size_t dropped = std::erase_if(targets_, [](const auto& entry) { return !entry.second->is_there(); });
  // A killed process leaves its region, so nothing else would tell that there is room for those that were left out.
  if (dropped != 0 && left_out_ != 0) must_look_again_ = true;
}

std::chrono::milliseconds Targets::poll() {
  constexpr std::uint64_t kLookEveryNs = 100'000'000;
  const std::uint64_t now_ns = drain::clock_ns(CLOCK_MONOTONIC);
  if (now_ns >= next_look_ns_) {
    next_look_ns_ = now_ns + kLookEveryNs;
    drop_ended();
    if (directory_.may_have_changed() || must_look_again_) discover();
  }
  std::uint64_t next_ns = next_look_ns_;
  Target* most_overdue = nullptr;
  for (const auto& [pid, target] : targets_) {
    next_ns = std::min(next_ns, target->drain(now_ns));
    const std::uint64_t due_ns = target->heap_due_ns(now_ns);
    if (due_ns <= now_ns && (most_overdue == nullptr || due_ns < most_overdue->heap_due_ns(now_ns)))
      most_overdue = target.get();
  }
  if (most_overdue != nullptr) most_overdue->read_heap(now_ns);
  const std::uint64_t after_ns = drain::clock_ns(CLOCK_MONOTONIC);
  return next_ns > after_ns ? std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(next_ns - after_ns))
                            : std::chrono::milliseconds{0};
}

void Targets::refresh() {
  drop_ended();
  const std::uint64_t now_ns = drain::clock_ns(CLOCK_MONOTONIC);
  for (const auto& [pid, target] : targets_) target->refresh(now_ns);
}

std::vector<const Target*> Targets::all() const {
  std::vector<const Target*> all;
  for (const auto& [pid, target] : targets_) all.push_back(target.get());
  return all;
}

}  // namespace camprobe::serve
