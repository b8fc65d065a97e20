// collector/drain/drain_state.h
//
// Where the draining of a region stands: what a collector needs, beside the rows of the run, to go on where another one
// was killed, and neither count anything twice nor make rows for what has some. Written with each second's rows, in the
// same transaction (drain_state in run/schema.sql), so the two always agree.
//
// What is not in it is lost with the collector: spans that ended since the last second was written and were drained,
// a tenth of a second's at most.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace camprobe::drain {

struct DrainState {
  struct OfModule {
    std::uint32_t index = 0;  // in the region
    std::int64_t row = 0;
  };
  struct OfLane {
    std::uint32_t lane = 0;
    std::int64_t thread = 0;  // the row of its last tenant
  };
  struct OfMapping {
    std::uint64_t sample = 0;
    std::int64_t row = 0;
  };
  std::vector<std::uint64_t> positions;  // shm::RegionReader::positions()
  std::vector<std::uint64_t> io;         // four counters a kind
  std::vector<std::uint64_t> lost;
  std::vector<OfModule> modules;
  std::vector<OfLane> lanes;
  std::vector<OfMapping> mappings;
};

std::string to_text(const DrainState& state);
// Nothing where the text is not what to_text() wrote.
std::optional<DrainState> drain_state_from(std::string_view text);

}  // namespace camprobe::drain
