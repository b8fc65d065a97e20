// viewer/page_traces.h
//
// Requests as trees of spans over all processes of the run, for the page's list of traces: the slowest, and as many
// taken at random, so that one can tell a slow one from a usual one. Spans of one process belong together by nesting,
// those of several by their W3C trace id (exporters/trace_ids.h).
#pragma once

#include <nlohmann/json.hpp>

#include "run/reader.h"
#include "viewer/page_data.h"

namespace camprobe::viewer {

// As viewer/app/src/data.ts has them (`Traces`). Reads the run's spans twice, and holds no more of them than lie in the
// chosen ones' time; says in `notes` what it left out.
nlohmann::json traces(run::Reader& run, const PageLimits& limits, nlohmann::json& notes);

}  // namespace camprobe::viewer
