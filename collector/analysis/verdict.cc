#include "collector/analysis/verdict.h"

namespace camprobe::analysis {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kLeaks:
      return "leaks";
    case Verdict::kSaturating:
      return "saturating";
    case Verdict::kStep:
      return "step";
    case Verdict::kNone:
      return "none";
    case Verdict::kInconclusive:
      return "inconclusive";
  }
  return "inconclusive";
}

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::kGrowsSteadily:
      return "grows steadily";
    case Reason::kGrewUntil:
      return "grew until";
    case Reason::kNoSurvivors:
      return "no survivors";
    case Reason::kOldOnesDie:
      return "old ones die";
    case Reason::kWithinBound:
      return "within bound";
    case Reason::kFollowsLoad:
      return "follows load";
    case Reason::kBelowMinimum:
      return "below minimum";
    case Reason::kReplaced:
      return "replaced";
    case Reason::kThinsOut:
      return "thins out";
    case Reason::kLevelledOff:
      return "levelled off";
    case Reason::kOneOff:
      return "one off";
    case Reason::kTooFewSurvivors:
      return "too few survivors";
    case Reason::kMayThinOut:
      return "may thin out";
    case Reason::kTooShortForAge:
      return "too short for age";
    case Reason::kWarmUpTooLong:
      return "warm up too long";
    case Reason::kDependsOnWarmUp:
      return "depends on warm up";
    case Reason::kClocksDisagree:
      return "clocks disagree";
    case Reason::kOneGrowingBuffer:
      return "one growing buffer";
  }
  return "";
}

}  // namespace camprobe::analysis
