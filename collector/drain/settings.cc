#include "collector/drain/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "collector/drain/setting_words.h"

namespace camprobe::drain {
namespace {

const char* name_of(shm::Setting setting) {
  switch (setting) {
    case shm::Setting::kHeapInterval:
      return "heap_interval_bytes";
    case shm::Setting::kCpuHz:
      return "cpu_hz";
    case shm::Setting::kFamilies:
      return "families";
    case shm::Setting::kWaitInterval:
      return "wait_interval_ns";
    case shm::Setting::kBudget:
      return "budget_ppm";
    case shm::Setting::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

void SettingDrain::begin(const shm::RegionStatus& status, const std::vector<shm::ReadRecord>& changed) {
  const auto control = context_.region.read_control();
  std::map<shm::Setting, std::uint64_t> first = {{shm::Setting::kFamilies, status.families},
                                                 {shm::Setting::kHeapInterval, status.heap_interval},
                                                 {shm::Setting::kCpuHz, status.cpu_hz},
                                                 {shm::Setting::kWaitInterval, status.wait_interval_ns}};
  if (control && control->budget_ppm != 0) first[shm::Setting::kBudget] = control->budget_ppm;
  std::set<shm::Setting> told;
  for (const shm::ReadRecord& record : changed) {
    if (context_.clock.run_ns(record.time_ns) >= 0 && name_of(record.setting.setting) != nullptr &&
        told.insert(record.setting.setting).second)
      first[record.setting.setting] = record.setting.before;
  }
  // A region may say that it was created in the future.
  const std::uint64_t created_ns = std::min(context_.region.info().created_ns, clock_ns(CLOCK_MONOTONIC));
  for (const auto& [setting, value] : first) note(created_ns, setting, value);
  control_seen_ = status.control_seen;
}

std::optional<std::uint64_t> SettingDrain::note(std::uint64_t at_ns, shm::Setting setting, std::uint64_t value) {
  const auto [at, is_new] = holds_.try_emplace(setting, value);
  if (!is_new && at->second == value) return std::nullopt;
  const std::uint64_t before = is_new ? value : std::exchange(at->second, value);
  context_.writer.put(run::Setting{context_.process, std::max<std::int64_t>(0, context_.clock.run_ns(at_ns)),
                                   name_of(setting), static_cast<double>(value)});
  return before;
}

void SettingDrain::ask(std::uint64_t at_ns, shm::Setting setting, std::uint64_t before, std::uint64_t value,
                       bool is_auto) {
  if (asked_.at_ns != at_ns) end_round();
  asked_.at_ns = at_ns;
  switch (setting) {
    case shm::Setting::kFamilies:
      asked_.words.push_back(family_changes(static_cast<std::uint32_t>(before), static_cast<std::uint32_t>(value)));
      break;
    // A family that is off has no interval: its going is said already.
    case shm::Setting::kHeapInterval:
      if (value != 0) asked_.words.push_back("heap " + heap_words(value, is_auto));
      break;
    case shm::Setting::kCpuHz:
      if (value != 0) asked_.words.push_back("cpu " + cpu_words(value));
      break;
    case shm::Setting::kWaitInterval:
      if (value != 0) asked_.words.push_back("wait " + wait_words(value));
      break;
    case shm::Setting::kBudget:
      asked_.words.push_back("budget " + budget_words(static_cast<std::uint32_t>(value)));
      break;
    case shm::Setting::kNone:
      break;
  }
}

void SettingDrain::changed(const shm::ReadRecord& record) {
  const shm::SettingPayload& change = record.setting;
  // What was before the run is in what it began with.
  if (name_of(change.setting) == nullptr || context_.clock.run_ns(record.time_ns) < 0) return;
  note(record.time_ns, change.setting, change.value);
  if ((record.flags & shm::kFlagAsked) == 0) return;
  has_asked_ = true;
  ask(record.time_ns, change.setting, change.before, change.value, change.is_auto != 0);
}

void SettingDrain::end_round() {
  std::string text;
  for (const std::string& words : asked_.words) text += (text.empty() || words.empty() ? "" : ", ") + words;
  if (!text.empty()) {
    context_.writer.put(run::Mark{0, context_.clock.run_ns(asked_.at_ns),
                                  fmt::format("camprobe set {}: {}", context_.region.info().pid, text), "user"});
  }
  asked_ = {};
}

void SettingDrain::compare(const shm::RegionStatus& status, std::uint64_t now_ns) {
  const bool is_asked = status.control_seen != control_seen_ && !has_asked_;
  const auto control = context_.region.read_control();
  const auto look = [&](shm::Setting setting, std::uint64_t value) {
    const auto before = note(now_ns, setting, value);
    if (before && is_asked) ask(now_ns, setting, *before, value, control && control->heap_interval == ~0ull);
  };
  look(shm::Setting::kFamilies, status.families);
  look(shm::Setting::kHeapInterval, status.heap_interval);
  look(shm::Setting::kCpuHz, status.cpu_hz);
  look(shm::Setting::kWaitInterval, status.wait_interval_ns);
  if (control && control->budget_ppm != 0 && control->version == status.control_seen)
    look(shm::Setting::kBudget, control->budget_ppm);
  end_round();
  control_seen_ = status.control_seen;
  has_asked_ = false;
}

}  // namespace camprobe::drain
