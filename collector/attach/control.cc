#include "collector/attach/control.h"

#include <fmt/format.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "collector/attach/regions.h"
#include "collector/drain/setting_words.h"
#include "collector/proc/proc_files.h"
#include "shm/setting_text.h"

namespace camprobe::attach {
namespace {

using shm::Family;

constexpr std::uint32_t bit(Family family) {
  return static_cast<std::uint32_t>(family);
}
constexpr std::uint32_t kIo = bit(Family::kSocket) | bit(Family::kFile) | bit(Family::kWait);

std::uint32_t families_named(const std::string& name) {
  if (name == "io") return kIo;
  if (name == "all") return shm::kAllFamilies;
  return shm::family_named(name.data(), name.size());
}

std::string all_names() {
  std::string names;
  for (const shm::FamilyName& family : shm::kFamilyNames) names += std::string(family.name) + ", ";
  return names + "io, all or budget";
}

// What `value` means for a family with an interval or a rate. False: not understood.
bool read_density(const std::string& name, const std::string& value, SettingChange& change) {
  std::uint64_t number = 0;
  if (name == "heap" && shm::read_heap_interval(value.c_str(), &number)) {
    if (number != 0) change.heap_interval = number;
  } else if (name == "cpu" && shm::read_cpu_hz(value.c_str(), &number)) {
    if (number != 0) change.cpu_hz = number;
  } else if (name == "wait" && shm::read_wait_interval(value.c_str(), &number)) {
    if (number != 0) change.wait_interval_ns = number;
  } else {
    return false;
  }
  (number != 0 ? change.on : change.off) |= families_named(name);
  return true;
}

std::string values_of(const std::string& name) {
  if (name == "heap") return "on, off, auto, or 64 bytes to 1024 GiB with KiB, MiB or GiB behind the number";
  if (name == "cpu") return "on, off, or 1 to 10000 samples per second of CPU time";
  if (name == "wait") return "on, off, or a time of up to an hour with us, ms or s behind the number";
  if (name == "budget") return "0.001% to 100%";
  return "on or off";
}

}  // namespace

run::Result<SettingChange> parse_settings(const std::vector<std::string>& words) {
  SettingChange change;
  std::map<std::string, std::string> set_by;  // family (or "budget") to the word that set it
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return run::Error{fmt::format("{}: write NAME=VALUE, as in heap=64KiB or io=off", word)};
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    const std::uint32_t families = families_named(name);
    if (families == 0 && name != "budget")
      return run::Error{fmt::format("{}: there is no setting {}; choose {}", word, name, all_names())};
    std::vector<std::string> touched;
    if (name == "budget") touched.push_back(name);
    for (const shm::FamilyName& family : shm::kFamilyNames)
      if ((families & bit(family.family)) != 0) touched.push_back(family.name);
    for (const std::string& each : touched) {
      const auto [before, is_new] = set_by.emplace(each, word);
      if (!is_new) return run::Error{fmt::format("{} and {} both set {}: say it once", before->second, word, each)};
    }
    if (name == "budget") {
      std::uint32_t ppm = 0;
      if (!shm::read_budget(value.c_str(), &ppm))
        return run::Error{fmt::format("{}: must be {}", word, values_of(name))};
      change.budget_ppm = ppm;
    } else if (value == "on") {
      change.on |= families;
    } else if (value == "off") {
      change.off |= families;
    } else if (!read_density(name, value, change)) {
      return run::Error{fmt::format("{}: must be {}", word, values_of(name))};
    }
  }
  return change;
}

run::Result<shm::RegionReader> region_of(pid_t pid) {
  const auto process = proc::ProcessFiles::open(pid);
  if (!process || process->is_dead()) return run::Error{fmt::format("there is no process {}", pid)};
  std::optional<shm::RegionReader> found;
  std::string why;
  for (const RegionFile& file : find_regions(::geteuid())) {
    if (file.name.pid != static_cast<std::uint32_t>(pid) || !file.is_alive) continue;
    auto region = shm::RegionReader::open(file.path, &why);
    const auto status = region ? region->status() : std::nullopt;
    // The region of the program that it was before an exec.
    if (!status || status->state == shm::RegionState::kExec) continue;
    if (status->state == shm::RegionState::kCreating) why = fmt::format("pid {} is only starting: try again", pid);
    if (status->state == shm::RegionState::kOff)
      why = fmt::format("the probe is off in pid {}: {}", pid, status->message.empty() ? "?" : status->message);
    if (status->state == shm::RegionState::kExited) why = fmt::format("pid {} is ending", pid);
    if (status->state == shm::RegionState::kRunning) found = std::move(region);
  }
  if (found) return std::move(*found);
  if (!why.empty()) return run::Error{why};
  const auto owner = process->owner();
  if (owner && *owner != ::geteuid() && ::geteuid() != 0)
    return run::Error{fmt::format("pid {} belongs to another user: do it as that user, or as root", pid)};
  return run::Error{fmt::format(
      "pid {} runs without the probe: start it under camprobe run, or with LD_PRELOAD=libcamprobe.so", pid)};
}

run::Result<Holding> what_holds(const shm::RegionReader& region) {
  const auto status = region.status();
  const auto control = region.read_control();
  if (!status || !control) return run::Error{region.path() + " was truncated"};
  Holding holding;
  holding.families = status->families;
  holding.heap_interval = status->heap_interval;
  holding.heap_is_auto = control->heap_interval == shm::kAutoHeapInterval;
  holding.cpu_hz = status->cpu_hz;
  holding.wait_interval_ns = status->wait_interval_ns;
  holding.budget_ppm = control->budget_ppm;
  holding.message = status->message;
  holding.is_waiting = control->version != status->control_seen;
  return holding;
}

std::vector<std::pair<std::string, std::string>> in_words(const Holding& holding) {
  std::vector<std::pair<std::string, std::string>> words;
  for (const shm::FamilyName& family : shm::kFamilyNames) {
    std::string value = (holding.families & bit(family.family)) != 0 ? "on" : "off";
    if (value == "on" && family.family == Family::kHeap)
      value = drain::heap_words(holding.heap_interval, holding.heap_is_auto);
    if (value == "on" && family.family == Family::kCpu) value = drain::cpu_words(holding.cpu_hz);
    if (value == "on" && family.family == Family::kWait) value = drain::wait_words(holding.wait_interval_ns);
    words.emplace_back(family.name, std::move(value));
  }
  words.emplace_back("budget", drain::budget_words(holding.budget_ppm));
  return words;
}

run::Result<std::uint32_t> ask_for(shm::RegionReader& region, const SettingChange& change) {
  std::string why;
  shm::ControlBlock* control = region.control(&why);
  if (control == nullptr) return run::Error{why};
  // A family that has no interval or rate is turned on with the usual one.
  const auto usual = [&](Family family, std::atomic<std::uint64_t>& field, std::uint64_t value) {
    std::uint64_t none = 0;
    if ((change.on & bit(family)) != 0) field.compare_exchange_strong(none, value);
  };
  if (change.heap_interval) control->heap_interval.store(*change.heap_interval);
  usual(Family::kHeap, control->heap_interval, shm::kAutoHeapInterval);
  if (change.cpu_hz) control->cpu_hz.store(*change.cpu_hz);
  usual(Family::kCpu, control->cpu_hz, shm::kDefaultCpuHz);
  if (change.wait_interval_ns) control->wait_interval_ns.store(*change.wait_interval_ns);
  usual(Family::kWait, control->wait_interval_ns, shm::kDefaultWaitInterval);
  if (change.budget_ppm) control->budget_ppm.store(*change.budget_ppm);
  control->families.fetch_or(change.on);
  control->families.fetch_and(~change.off);
  return control->version.fetch_add(1) + 1;
}

bool wait_until_seen(const shm::RegionReader& region, std::uint32_t version, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto status = region.status();
    // Versions wrap round; a later writer's is as good.
    if (status && static_cast<std::int32_t>(status->control_seen - version) >= 0) return true;
    if (!status || std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace camprobe::attach
