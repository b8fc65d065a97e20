// collector/load/describe.h: a LoadTimeline for people and for programs, as `camprobe load` shows it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "collector/load/timeline.h"

namespace camprobe::load {

std::string describe_text(const LoadTimeline& timeline);

// {tool, requests, errors, start, end, latency_ms: {p50, p95, p99, max} or null, phases: [{name, kind, from, to}],
//  skipped: {rows, why: [...]}}. Times are RFC 3339 in UTC with milliseconds. What the tool's output does not tell is
//  null.
nlohmann::ordered_json describe_json(const LoadTimeline& timeline);

}  // namespace camprobe::load
