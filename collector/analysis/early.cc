// collector/analysis/early.cc
#include "collector/analysis/early.h"

namespace camprobe::analysis {

namespace {

constexpr Look kOfLength[] = {{0.5, 0}, {0.75, 0.3}};  // places in the run

}  // namespace

std::optional<Look> next_look(Seconds now, Seconds length, const Thresholds& k) {
  if (length > 0) {
    for (const Look& look : kOfLength) {
      if (look.at * length > now && look.at * length >= k.min_seconds) return Look{look.at * length, look.error_share};
    }
    return std::nullopt;
  }
  Seconds at = k.early_first_look;
  while (at <= now) at *= 2;
  return Look{at, 0};
}

Thresholds for_look(const Thresholds& thresholds, const Look& look) {
  Thresholds k = thresholds;
  k.false_discovery_rate *= look.error_share;
  k.saturation_doubt = thresholds.early_saturation_doubt;
  k.min_survivors_sampled *= thresholds.early_survivors;
  k.min_survivors_exact *= thresholds.early_survivors;
  k.old_age_exposure *= thresholds.early_survivors;
  k.most_kept_share = look.error_share > 0 ? thresholds.early_kept_share : 0;
  return k;
}

}  // namespace camprobe::analysis
