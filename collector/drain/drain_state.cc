// collector/drain/drain_state.cc
//
// As a JSON object of arrays of whole numbers, pairs one after the other.
#include "collector/drain/drain_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

namespace camprobe::drain {

std::string to_text(const DrainState& state) {
  std::vector<std::uint64_t> modules, lanes, mappings;
  const auto pair = [](std::vector<std::uint64_t>& to, std::uint64_t key, std::int64_t row) {
    to.push_back(key);
    to.push_back(static_cast<std::uint64_t>(row));
  };
  for (const auto& [index, row] : state.modules) pair(modules, index, row);
  for (const auto& [lane, thread] : state.lanes) pair(lanes, lane, thread);
  for (const auto& [sample, row] : state.mappings) pair(mappings, sample, row);
  return fmt::format(R"({{"positions":[{}],"io":[{}],"lost":[{}],"modules":[{}],"lanes":[{}],"mappings":[{}]}})",
                     fmt::join(state.positions, ","), fmt::join(state.io, ","), fmt::join(state.lost, ","),
                     fmt::join(modules, ","), fmt::join(lanes, ","), fmt::join(mappings, ","));
}

std::optional<DrainState> drain_state_from(std::string_view text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto numbers = [&](const char* key) -> std::optional<std::vector<std::uint64_t>> {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_array()) return std::nullopt;
    std::vector<std::uint64_t> list;
    for (const auto& number : *found) {
      if (!number.is_number_unsigned()) return std::nullopt;
      list.push_back(number.get<std::uint64_t>());
    }
    return list;
  };
  const auto positions = numbers("positions"), io = numbers("io"), lost = numbers("lost"), modules = numbers("modules"),
             lanes = numbers("lanes"), mappings = numbers("mappings");
  if (!positions || !io || !lost || !modules || !lanes || !mappings) return std::nullopt;
  DrainState state{*positions, *io, *lost, {}, {}, {}};
  for (std::size_t i = 0; i + 1 < modules->size(); i += 2)
    state.modules.push_back({static_cast<std::uint32_t>((*modules)[i]), static_cast<std::int64_t>((*modules)[i + 1])});
  for (std::size_t i = 0; i + 1 < lanes->size(); i += 2)
    state.lanes.push_back({static_cast<std::uint32_t>((*lanes)[i]), static_cast<std::int64_t>((*lanes)[i + 1])});
  for (std::size_t i = 0; i + 1 < mappings->size(); i += 2)
    state.mappings.push_back({(*mappings)[i], static_cast<std::int64_t>((*mappings)[i + 1])});
  return state;
}

}  // namespace camprobe::drain
