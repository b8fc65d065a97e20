// exporters/series_jsonl.cc: see series_jsonl.h.
#include "exporters/series_jsonl.h"

#include <fmt/format.h>

#include <cmath>

#include "exporters/safe_text.h"
#include "exporters/series_rows.h"

namespace camprobe::exporters {

void series_jsonl(run::Reader& run, const Filter& filter, Output& out) {
  each_series_row(run, filter, [&](const SeriesRow& row) {
    const bool has_value = row.value && std::isfinite(*row.value);  // JSON has no infinity
    out.write(
        fmt::format(R"({{"time_s":{},"utc":{},"width_s":{},"pid":{},"kind":{},"name":{},"of":{},"value":{},"unit":{}}})"
                    "\n",
                    row.time_s, json_text(row.utc), row.width_s, row.pid ? std::to_string(*row.pid) : "null",
                    json_text(row.kind), json_text(row.name), json_text(row.of),
                    has_value ? fmt::format("{}", *row.value) : "null", json_text(row.unit)));
  });
}

}  // namespace camprobe::exporters
