// exporters/series_jsonl.h
//
// Every series and every event of a run as JSON lines: one object a line with the members that series_csv.h lists as
// columns. `pid` and `value` are null where there is none.
#pragma once

#include "exporters/filter.h"
#include "exporters/output.h"
#include "run/reader.h"

namespace camprobe::exporters {

// Throws SliceError as each_series_row() does.
void series_jsonl(run::Reader& run, const Filter& filter, Output& out);

}  // namespace camprobe::exporters
