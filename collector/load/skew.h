// collector/load/skew.h
//
// By how much the load tool's clock differs from the server's, told from the requests that both count.
//
// Method. Both series count the same requests, so their changes from bucket to bucket (not their levels, which any two
// ramps share) agree at the true shift and nowhere else: the correlation of the differences is taken at every whole
// lag, and must stand out, both by itself and against every lag that is not next to it. Around the best lag the load
// series is moved by fractions of a bucket (its requests taken as evenly spread inside each bucket) for the finest fit.
//
// A load without any change that counting noise does not drown, such as a constant rate that an open-loop tool holds
// exactly, tells nothing: then there is no answer. A shift includes half of what the network and the tool's own queue
// add to each request; a server that answers slowly does not matter, since both sides count when requests begin.
#pragma once

#include <optional>
#include <vector>

#include "collector/load/wall_time.h"

namespace camprobe::load {

// Requests per bucket: counts[i] were begun in [from + i * width, from + (i + 1) * width) of the series' own clock.
struct RequestSeries {
  Nanoseconds from{0};
  Nanoseconds width{0};
  std::vector<double> counts;
};

// What to add to the load series' times to have them on the server's clock, within [-most, most]. Both series must have
// the same width, and the server's must reach beyond the load's where it can. Nothing where it cannot be told.
std::optional<Nanoseconds> estimate_skew(const RequestSeries& load, const RequestSeries& server,
                                         Nanoseconds most = std::chrono::seconds{120});

}  // namespace camprobe::load
