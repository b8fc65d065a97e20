// exporters/series_csv.h
//
// Every series and every event of a run as one table in CSV (RFC 4180, UTF-8, a header line), for spreadsheets, pandas
// and DuckDB. One row is one number or one event:
//
//   time_s   seconds since the run began: where the bucket begins, or the instant
//   utc      the same on the wall clock, RFC 3339
//   width_s  of the bucket; 0 for an event
//   pid      of the process; empty for the machine, the load and the run
//   kind     gauge | counter | load | span | lifetime | io | descriptor | lost | event
//   name     the metric, "requests", "p95", ...; of an event: "process began", "mark", "load window began", ...
//   of       the endpoint, span, kind of I/O or text that it belongs to; may be empty
//   value    a number; empty for events without one
//   unit     bytes, count, ns, ms, ...
//
// Rows are in the order of time within each kind; counters are cumulative as in the run.
#pragma once

#include "exporters/filter.h"
#include "exporters/output.h"
#include "run/reader.h"

namespace camprobe::exporters {

// Throws SliceError as each_series_row() does.
void series_csv(run::Reader& run, const Filter& filter, Output& out);

}  // namespace camprobe::exporters
