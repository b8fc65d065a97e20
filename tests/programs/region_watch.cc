// tests/programs/region_watch.cc
//
// What a collector does with the regions of a run, and nothing more: as long as its standard input is open it looks for
// regions of the run RUN, adds up what those of ended images hold, and removes them; at the end it does so with all
// that are left and prints the sums as one line of JSON. So a thousand forks leave no thousand regions in /dev/shm, and
// a test knows that the probe was at work.
//
//   region_watch RUN
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "shm/region_reader.h"

namespace {

using namespace camprobe;

struct Sums {
  std::uint64_t regions = 0, records = 0, cpu_samples = 0, heap_samples = 0, allocations = 0;
  std::uint64_t most_hz = 0;
  double due = 0;  // heap samples that chance gives on the average
};

bool is_alive(std::uint32_t pid) {
  return kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM;
}

void add(shm::RegionReader& region, Sums* sums) {
  const auto status = region.status();
  if (!status) return;
  sums->regions += 1;
  sums->heap_samples += status->samples_taken;
  sums->allocations += status->stray_allocs;
  if (status->cpu_hz > sums->most_hz) sums->most_hz = status->cpu_hz;
  double bytes = static_cast<double>(status->stray_bytes);
  for (const auto& lane : region.lanes()) {
    sums->allocations += lane.heap_allocs;
    bytes += static_cast<double>(lane.heap_bytes);
  }
  if (status->heap_interval != 0) sums->due += bytes / static_cast<double>(status->heap_interval);
  const auto drained = region.drain([&](const shm::LaneOwner&, bool is_signal, const shm::ReadRecord& record) {
    sums->records += 1;
    sums->cpu_samples += is_signal && record.kind == shm::RecordKind::kCpu;
  });
  sums->records += drained.before;
}

// Takes every region of the run that nobody writes any more, or all of them.
void sweep(const std::string& run, bool all, Sums* sums) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(shm::kRegionDirectory, ignored)) {
    shm::RegionName name;
    if (!shm::parse_region_name(entry.path().filename().c_str(), &name)) continue;
    std::string error;
    auto region = shm::RegionReader::open(entry.path(), &error);
    if (!region || region->info().run_id != run) continue;
    const auto status = region->status();
    const bool is_over = !is_alive(name.pid) || (status && status->state == shm::RegionState::kExited);
    if (!is_over && !all) continue;
    add(*region, sums);
    unlink(entry.path().c_str());
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "region_watch: wants the name of a run\n");
    return 2;
  }
  const std::string run = arguments[1];
  Sums sums;
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  // Whatever it is that arrives, it is the end of the file.
  while (poll(&input, 1, 100) == 0) sweep(run, false, &sums);
  sweep(run, true, &sums);
  std::printf(
      "{\"regions\": %" PRIu64 ", \"records\": %" PRIu64 ", \"cpu_samples\": %" PRIu64 ", \"heap_samples\": %" PRIu64
      ", \"allocations\": %" PRIu64 ", \"cpu_hz\": %" PRIu64 ", \"due\": %.1f}\n",
      sums.regions, sums.records, sums.cpu_samples, sums.heap_samples, sums.allocations, sums.most_hz, sums.due);
  return 0;
}
