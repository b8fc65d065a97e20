// collector/analysis/thresholds.cc
#include "collector/analysis/thresholds.h"

namespace camprobe::analysis {

std::vector<std::pair<std::string, double>> as_list(const Thresholds& k) {
  std::vector<std::pair<std::string, double>> list = {
      {"warm_up_share", k.warm_up_share},
      {"warm_up_repeat", k.warm_up_repeat},
      {"survivor_age", k.survivor_age},
      {"shortest_age_seconds", k.shortest_age_seconds},
      {"old_age_exposure", k.old_age_exposure},
      {"old_age_hazard", k.old_age_hazard},
      {"sub_cohorts", k.sub_cohorts},
      {"sub_cohorts_with_survivors", k.sub_cohorts_with_survivors},
      {"min_survivors_sampled", k.min_survivors_sampled},
      {"min_survivors_exact", k.min_survivors_exact},
      {"min_candidate", k.min_candidate},
      {"false_discovery_rate", k.false_discovery_rate},
      {"min_net_growth", k.min_net_growth},
      {"saturation_upper", k.saturation_upper},
      {"saturation_upper_errors", k.saturation_upper_errors},
      {"saturation_doubt_errors", k.saturation_doubt_errors},
      {"saturation_clear_errors", k.saturation_clear_errors},
      {"saturation_doubt", k.saturation_doubt},
      {"saturation_clear", k.saturation_clear},
      {"front_loaded_share", k.front_loaded_share},
      {"last_eighth_growth", k.last_eighth_growth},
      {"onset_likelihood_ratio", k.onset_likelihood_ratio},
      {"same_onset_share", k.same_onset_share},
      {"moved_share", k.moved_share},
      {"stopped_probability", k.stopped_probability},
      {"at_once_share", k.at_once_share},
      {"step_share", k.step_share},
      {"min_growth_share_of_rss", k.min_growth_share_of_rss},
      {"min_bytes_per_hour", k.min_bytes_per_hour},
      {"min_daily_share_of_limit", k.min_daily_share_of_limit},
      {"min_exact_events", k.min_exact_events},
      {"unseen_load_share", k.unseen_load_share},
      {"min_seconds", k.min_seconds},
      {"min_requests", k.min_requests},
      {"gauge_alpha", k.gauge_alpha},
      {"gauge_min_effective", k.gauge_min_effective},
      {"gauge_min_growth", k.gauge_min_growth},
      {"sawtooth_drop", k.sawtooth_drop},
      {"sawtooth_cycles", k.sawtooth_cycles},
      {"gauge_last_third_slope", k.gauge_last_third_slope},
      {"degradation_alpha", k.degradation_alpha},
      {"degradation_false_discovery", k.degradation_false_discovery},
      {"same_load", k.same_load},
      {"cpu_effect", k.cpu_effect},
      {"p50_effect", k.p50_effect},
      {"p95_effect", k.p95_effect},
      {"p99_effect", k.p99_effect},
      {"error_rate_effect", k.error_rate_effect},
      {"long_run_seconds", k.long_run_seconds},
      {"short_run_factor", k.short_run_factor},
      {"tail_events", k.tail_events},
      {"min_latency_ms", k.min_latency_ms},
      {"mix_distance", k.mix_distance},
      {"culprit_share", k.culprit_share},
      {"min_idle_share", k.min_idle_share},
      {"neighbour_share", k.neighbour_share},
      {"lost_share", k.lost_share},
      {"forecast_horizon", k.forecast_horizon},
  };
  for (std::size_t i = 0; i < k.younger_ages.size(); ++i)
    list.emplace_back("younger_age_" + std::to_string(i + 1), k.younger_ages[i]);
  for (std::size_t i = 0; i < k.old_ages.size(); ++i)
    list.emplace_back("old_age_" + std::to_string(i + 1), k.old_ages[i]);
  return list;
}

}  // namespace camprobe::analysis
