// viewer/page_timeline.h
//
// The run over time: every series in buckets of one width, and the latencies of its requests as a heat map.
#pragma once

#include <nlohmann/json.hpp>

#include "run/reader.h"
#include "viewer/page_data.h"

namespace camprobe::viewer {

// `Timeline` of viewer/app/src/data.ts. Says in `notes` what it folded.
nlohmann::json timeline(run::Reader& run, const PageLimits& limits, nlohmann::json& notes);

}  // namespace camprobe::viewer
