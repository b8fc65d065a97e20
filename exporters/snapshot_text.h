// exporters/snapshot_text.h
//
// What a process holds at one instant, for the terminal: heap, threads, descriptors and open spans in a line each, then
// the functions that hold most. From a run made by `camprobe snapshot`, whose one process this is.
#pragma once

#include <string>

#include "exporters/report_text.h"
#include "run/reader.h"
#include "run/report.h"

namespace camprobe::exporters {

std::string snapshot_text(run::Reader& run, const run::Report& report, const TextStyle& style = {});

}  // namespace camprobe::exporters
