// collector/load/h2load_summary.h
//
// The summary that h2load prints when it is done. Its log file lacks the requests whose connection failed; the
// summary's line "requests: 90 total, 9 started, 6 done, 6 succeeded, 84 failed, 84 errored, 0 timeout" counts them.
// What it calls failed includes requests that were never sent; here a request is one that was started, an error one
// that did not succeed.
#pragma once

#include <string_view>

#include "collector/load/timeline.h"

namespace camprobe::load {

// Corrects the totals of a timeline read from the log file of the same h2load run. False, and nothing changed, where
// `printed` holds no such line or the timeline is not h2load's. When the missing requests were sent is not known: they
// are in the totals, in no bucket.
bool add_h2load_summary(LoadTimeline& timeline, std::string_view printed);

}  // namespace camprobe::load
