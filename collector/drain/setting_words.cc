#include "collector/drain/setting_words.h"

#include <fmt/format.h>

#include "run/units.h"
#include "shm/setting_text.h"

namespace camprobe::drain {

std::string heap_words(std::uint64_t interval, bool is_auto) {
  if (interval == 0) return "off";
  const std::string every = "every " + run::in_bytes(static_cast<double>(interval));
  return is_auto ? "auto, " + every + " now" : every;
}

std::string cpu_words(std::uint64_t hz) {
  return hz == 0 ? "off" : fmt::format("{} Hz", hz);
}

std::string wait_words(std::uint64_t interval_ns) {
  return interval_ns == 0 ? "off" : "every " + run::in_seconds(static_cast<double>(interval_ns) / 1e9);
}

std::string budget_words(std::uint32_t ppm) {
  return fmt::format("{:g} %", ppm / 1e4);
}

std::string family_changes(std::uint32_t before, std::uint32_t after) {
  std::string words;
  for (const shm::FamilyName& family : shm::kFamilyNames) {
    const auto bit = static_cast<std::uint32_t>(family.family);
    if (((before ^ after) & bit) == 0) continue;
    words += fmt::format("{}{} {}", words.empty() ? "" : ", ", family.name, (after & bit) != 0 ? "on" : "off");
  }
  return words;
}

}  // namespace camprobe::drain
