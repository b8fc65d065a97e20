#include "collector/load/locust_totals.h"

#include <fmt/format.h>

#include <vector>

#include "collector/load/csv.h"
#include "collector/load/input.h"
#include "collector/load/numbers.h"

namespace camprobe::load {

std::string locust_totals_beside(std::string_view history) {
  constexpr std::string_view kEnd = "_stats_history.csv";
  if (!history.ends_with(kEnd)) return "";
  return std::string(history.substr(0, history.size() - kEnd.size())) + "_stats.csv";
}

bool add_locust_totals(LoadTimeline& timeline, std::string_view text) {
  if (timeline.tool != "locust") return false;
  const auto input = memory_input(text);
  CsvReader reader(*input);
  std::vector<std::string> header;
  while (reader.next() == CsvReader::Read::kRecord) {
    const auto& fields = reader.fields();
    if (header.empty()) {
      header.assign(fields.begin(), fields.end());
      continue;
    }
    const auto field = [&](std::string_view name) -> std::string_view {
      for (std::size_t i = 0; i < header.size() && i < fields.size(); ++i) {
        if (header[i] == name) return fields[i];
      }
      return {};
    };
    if (field("Name") != "Aggregated") continue;
    std::uint64_t requests = 0, errors = 0;
    if (!parse_number(field("Request Count"), requests) || !parse_number(field("Failure Count"), errors)) return false;
    const std::uint64_t rows = timeline.requests.value_or(0);
    if (requests < rows || errors > requests) return false;
    const auto ms = [&](std::string_view name) -> std::optional<double> {
      double value = 0;
      return parse_number(field(name), value) ? std::optional(value) : std::nullopt;
    };
    timeline.given = Quantiles{ms("50%"), ms("95%"), ms("99%"), ms("100%")};
    timeline.requests = requests;
    timeline.errors = errors;
    if (requests > rows)
      timeline.notes.push_back(
          fmt::format("Locust's history was last flushed before its end: {} requests are in the totals only, which it "
                      "writes once a second; its last second may be missing there too",
                      requests - rows));
    return true;
  }
  return false;
}

}  // namespace camprobe::load
