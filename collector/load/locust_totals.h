// collector/load/locust_totals.h
//
// PREFIX_stats.csv, which Locust writes beside its history once a second: the totals so far. Rows of the history are
// flushed every ten seconds, so that what came after the last flush is only here. What was answered after the last
// second is only in what Locust prints.
#pragma once

#include <string>
#include <string_view>

#include "collector/load/input.h"
#include "collector/load/timeline.h"

namespace camprobe::load {

// "a_stats_history.csv" -> "a_stats.csv"; "" where the name is another.
std::string locust_totals_beside(std::string_view history);

// Corrects the totals and quantiles of a timeline read from the history of the same run. False, and nothing changed,
// where `totals` is no such file, is being written, or is of an earlier run: it holds fewer requests than the history.
bool add_locust_totals(LoadTimeline& timeline, Input& totals);

}  // namespace camprobe::load
