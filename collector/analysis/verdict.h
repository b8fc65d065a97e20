// collector/analysis/verdict.h
//
// What a population can be called, and why; with the words of it.
#pragma once

namespace camprobe::analysis {

enum class Verdict { kLeaks, kSaturating, kStep, kNone, kInconclusive };
const char* to_string(Verdict);

// Why a population got its verdict; the words of the report are chosen by it.
enum class Reason {
  kGrowsSteadily,     // leaks
  kGrewUntil,         // leaks, but no longer: the stack is still busy and what it makes now dies
  kNoSurvivors,       // none: nothing, or next to nothing, stays
  kOldOnesDie,        // none: bounded population (cache with eviction, sessions with a lifetime)
  kWithinBound,       // none: as many as the load itself holds open
  kFollowsLoad,       // none: grew with each rise of the load and not between (inconclusive where something did not)
  kBelowMinimum,      // none: stays, but too little to matter
  kReplaced,          // none: as many went as came
  kThinsOut,          // saturating
  kLevelledOff,       // saturating: of late as many leave as come
  kOneOff,            // step: all of it came within a short time, or stopped
  kTooFewSurvivors,   // inconclusive
  kMayThinOut,        // inconclusive: so few that a cache on its way to full would look the same
  kTooShortForAge,    // inconclusive: nothing got old enough to show whether it dies
  kWarmUpTooLong,     // inconclusive
  kDependsOnWarmUp,   // inconclusive: a longer warm-up changes the verdict
  kClocksDisagree,    // inconclusive: a timer-driven leak, or a cache, under a load that only rises
  kOneGrowingBuffer,  // inconclusive: one block that is replaced by a larger one
};
const char* to_string(Reason);

}  // namespace camprobe::analysis
