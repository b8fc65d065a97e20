// exporters/series_rows.h
//
// Every series and every event of a run, one row each: one number or one event. As text: series_csv.h, series_jsonl.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct SeriesRow {
  double time_s = 0;                  // since the run began: where the bucket begins, or the instant
  std::string utc;                    // the same on the wall clock, RFC 3339
  std::int64_t width_s = 0;           // of the bucket; 0 for an event
  std::optional<std::int64_t> pid{};  // none for the machine, the load and the run
  std::string_view kind;              // gauge | counter | load | span | lifetime | io | descriptor | lost | event
  std::string name;                   // the metric, "requests", "p95", ...; of an event: "mark", "process began", ...
  std::string of;                     // the endpoint, span, kind of I/O or text that it belongs to; may be empty
  std::optional<double> value{};
  std::string unit;  // bytes, count, ns, ms, ...
};

// In the order of time within each kind; counters are cumulative as in the run. Texts are printable UTF-8. Throws
// SliceError where there is no row, and where the filter asks for what is not recorded.
void each_series_row(run::Reader& run, const Filter& filter, const std::function<void(const SeriesRow&)>& use);

}  // namespace camprobe::exporters
