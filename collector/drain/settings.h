// collector/drain/settings.h
//
// What a region's probe recorded, and how densely, from when to when: rows of `setting`, and a mark for each change
// that somebody asked for. Where a family was off there are no figures of it, and these rows are what says so.
//
// The probe's records tell of changes to the nanosecond, but a ring may have lost them; the region's header is looked
// at once a second and is the truth.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/drain/region_context.h"

namespace camprobe::drain {

class SettingDrain {
 public:
  explicit SettingDrain(RegionContext& context) : context_(context) {}

  // Before anything else: what held when the run (or the region) began. `changed`: records of changes, oldest first,
  // which say what held before each.
  void begin(const shm::RegionStatus& status, const std::vector<shm::ReadRecord>& changed);
  // Records by time.
  void changed(const shm::ReadRecord& record);
  // No more records for now: what was asked for at once becomes one mark.
  void end_round();
  // Once a second.
  void compare(const shm::RegionStatus& status, std::uint64_t now_ns);

 private:
  struct Asked {
    std::uint64_t at_ns = 0;
    std::vector<std::string> words;
  };
  // A row where the value is another than before; gives what was before.
  std::optional<std::uint64_t> note(std::uint64_t at_ns, shm::Setting setting, std::uint64_t value);
  void ask(std::uint64_t at_ns, shm::Setting setting, std::uint64_t before, std::uint64_t value, bool is_auto);

  RegionContext& context_;
  std::map<shm::Setting, std::uint64_t> holds_;
  std::uint32_t control_seen_ = 0;
  bool has_asked_ = false;  // marks were made since control_seen_
  Asked asked_;
};

}  // namespace camprobe::drain
