// viewer/page_tables.h
//
// What does not change by the second: processes, peers and spans, a row each (viewer/app/src/data.ts).
#pragma once

#include <nlohmann/json.hpp>

#include "exporters/stacks.h"
#include "run/reader.h"
#include "viewer/page_data.h"

namespace camprobe::viewer {

nlohmann::json processes(run::Reader& run);
// By kind and peer, most traffic first; says in `notes` what it left out, as spans() does.
nlohmann::json sockets(run::Reader& run, exporters::StackTable& stacks, const PageLimits& limits,
                       nlohmann::json& notes);
nlohmann::json spans(run::Reader& run, const PageLimits& limits, nlohmann::json& notes);  // by name, most time first

}  // namespace camprobe::viewer
