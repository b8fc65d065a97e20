#include "collector/load/locust_totals.h"

#include <fmt/format.h>

#include <vector>

#include "collector/load/csv.h"
#include "collector/load/locust.h"
#include "collector/load/numbers.h"

namespace camprobe::load {
namespace {

struct Columns {
  std::size_t name = kNoColumn, requests = kNoColumn, failures = kNoColumn, p50 = kNoColumn, p95 = kNoColumn,
              p99 = kNoColumn, p100 = kNoColumn;

  explicit Columns(const std::vector<std::string_view>& header) {
    find_columns(header, {{"Name", &name},
                          {"Request Count", &requests},
                          {"Failure Count", &failures},
                          {"50%", &p50},
                          {"95%", &p95},
                          {"99%", &p99},
                          {"100%", &p100}});
  }
};

bool take(LoadTimeline& timeline, const std::vector<std::string_view>& row, const Columns& columns) {
  std::uint64_t requests = 0, errors = 0;
  if (!parse_number(field_at(row, columns.requests), requests) ||
      !parse_number(field_at(row, columns.failures), errors))
    return false;
  const std::uint64_t before = timeline.requests.value_or(0);
  if (requests < before || requests > kMostLocustRequests || errors > requests) return false;
  timeline.requests = requests;
  timeline.errors = errors;
  const Quantiles given{locust_ms(field_at(row, columns.p50)), locust_ms(field_at(row, columns.p95)),
                        locust_ms(field_at(row, columns.p99)), locust_ms(field_at(row, columns.p100))};
  if (given.p50_ms && requests > 0) {
    timeline.given = given;
    timeline.latency_basis = LatencyBasis::kSent;
  }
  if (requests > before)
    timeline.notes.push_back(
        fmt::format("Locust's history was last flushed before its end: {} requests are in the totals only, which it "
                    "writes once a second; its last second may be missing there too",
                    requests - before));
  return true;
}

}  // namespace

std::string locust_totals_beside(std::string_view history) {
  constexpr std::string_view kEnd = "_stats_history.csv";
  if (!history.ends_with(kEnd)) return "";
  return std::string(history.substr(0, history.size() - kEnd.size())) + "_stats.csv";
}

bool add_locust_totals(LoadTimeline& timeline, Input& totals) {
  if (timeline.tool != "locust") return false;
  CsvReader rows(totals);
  if (rows.next() != CsvReader::Read::kRecord) return false;
  const Columns columns(rows.fields());
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) return false;
    if (result == CsvReader::Read::kBad || field_at(rows.fields(), columns.name) != "Aggregated") continue;
    // Locust writes the file anew each second: of a figure that is cut off the first digits look like one.
    if (rows.unterminated()) return false;
    return take(timeline, rows.fields(), columns);
  }
}

}  // namespace camprobe::load
