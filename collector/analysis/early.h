// collector/analysis/early.h
//
// Looking at a run before its end without paying for it at the end.
//
// Two things go wrong with early looks. Chance has as many goes as there are looks: the share of errors that is allowed
// is therefore spent over them (Lan and DeMets, Biometrika 70 (1983)), .3 at three quarters of the run and .7 at its
// end. And a cache that will be full by the end is, until it is full, the same data as a leak: no share of an error
// rate mends that. Convicting at half and at three quarters by the rules for the end, with stricter limits on
// everything, still accused 13 % of clean runs in simulation. So half of a run convicts nobody; three quarters convict
// only where most of what a stack makes dies and a part of it stays (a cache keeps what it takes until it is full); and
// a run whose length nobody knows has no three quarters: it names suspects, at distances that double.
// scripts/ground-truth --only looks measures what comes of it.
#pragma once

#include <optional>

#include "collector/analysis/input.h"
#include "collector/analysis/thresholds.h"

namespace camprobe::analysis {

struct Look {
  Seconds at = 0;
  double error_share = 0;  // 0: names suspects, convicts nobody
};

// The next look after `now`, seconds since the run began; nothing: the next one is the end. `length` 0: not known.
std::optional<Look> next_look(Seconds now, Seconds length, const Thresholds& thresholds);

// The thresholds of a look that may spend this share of the errors.
Thresholds for_look(const Thresholds& thresholds, const Look& look);

}  // namespace camprobe::analysis
