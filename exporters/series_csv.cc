// exporters/series_csv.cc: see series_csv.h.
#include "exporters/series_csv.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "exporters/series_rows.h"

namespace camprobe::exporters {

namespace {

std::string field(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

void series_csv(run::Reader& run, const Filter& filter, Output& out) {
  std::string_view header = "time_s,utc,width_s,pid,kind,name,of,value,unit\n";
  each_series_row(run, filter, [&](const SeriesRow& row) {
    out.write(std::exchange(header, ""));  // no row, no header either
    out.write(fmt::format("{},{},{},{},{},{},{},{},{}\n", row.time_s, row.utc, row.width_s,
                          row.pid ? std::to_string(*row.pid) : "", row.kind, field(row.name), field(row.of),
                          row.value ? fmt::format("{}", *row.value) : "", row.unit));
  });
}

}  // namespace camprobe::exporters
