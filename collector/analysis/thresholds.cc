// collector/analysis/thresholds.cc
#include "collector/analysis/thresholds.h"

namespace camprobe::analysis {

namespace {

struct Named {
  const char* name;
  double Thresholds::*value;
};
constexpr Named kNamed[] = {
    {"warm_up_share", &Thresholds::warm_up_share},
    {"warm_up_repeat", &Thresholds::warm_up_repeat},
    {"survivor_age", &Thresholds::survivor_age},
    {"shortest_age_seconds", &Thresholds::shortest_age_seconds},
    {"old_age_exposure", &Thresholds::old_age_exposure},
    {"old_age_hazard", &Thresholds::old_age_hazard},
    {"min_survivors_sampled", &Thresholds::min_survivors_sampled},
    {"min_survivors_exact", &Thresholds::min_survivors_exact},
    {"min_candidate", &Thresholds::min_candidate},
    {"negligible_share", &Thresholds::negligible_share},
    {"false_discovery_rate", &Thresholds::false_discovery_rate},
    {"most_kept_share", &Thresholds::most_kept_share},
    {"min_net_growth", &Thresholds::min_net_growth},
    {"staying_likelihood_ratio", &Thresholds::staying_likelihood_ratio},
    {"slowest_death", &Thresholds::slowest_death},
    {"dying_among_survivors", &Thresholds::dying_among_survivors},
    {"saturation_rate", &Thresholds::saturation_rate},
    {"saturation_doubt", &Thresholds::saturation_doubt},
    {"saturation_clear", &Thresholds::saturation_clear},
    {"saturation_again", &Thresholds::saturation_again},
    {"saturation_start_up", &Thresholds::saturation_start_up},
    {"front_loaded_share", &Thresholds::front_loaded_share},
    {"last_eighth_growth", &Thresholds::last_eighth_growth},
    {"onset_likelihood_ratio", &Thresholds::onset_likelihood_ratio},
    {"same_onset_share", &Thresholds::same_onset_share},
    {"moved_share", &Thresholds::moved_share},
    {"stopped_probability", &Thresholds::stopped_probability},
    {"at_once_share", &Thresholds::at_once_share},
    {"step_share", &Thresholds::step_share},
    {"min_growth_share_of_rss", &Thresholds::min_growth_share_of_rss},
    {"min_bytes_per_hour", &Thresholds::min_bytes_per_hour},
    {"min_daily_share_of_limit", &Thresholds::min_daily_share_of_limit},
    {"min_exact_events", &Thresholds::min_exact_events},
    {"records_over_requests", &Thresholds::records_over_requests},
    {"unseen_load_share", &Thresholds::unseen_load_share},
    {"min_seconds", &Thresholds::min_seconds},
    {"min_requests", &Thresholds::min_requests},
    {"own_stretch_share", &Thresholds::own_stretch_share},
    {"gauge_alpha", &Thresholds::gauge_alpha},
    {"gauge_min_effective", &Thresholds::gauge_min_effective},
    {"gauge_min_growth", &Thresholds::gauge_min_growth},
    {"sawtooth_drop", &Thresholds::sawtooth_drop},
    {"gauge_last_third_slope", &Thresholds::gauge_last_third_slope},
    {"degradation_alpha", &Thresholds::degradation_alpha},
    {"degradation_false_discovery", &Thresholds::degradation_false_discovery},
    {"same_load", &Thresholds::same_load},
    {"cpu_effect", &Thresholds::cpu_effect},
    {"p50_effect", &Thresholds::p50_effect},
    {"p95_effect", &Thresholds::p95_effect},
    {"p99_effect", &Thresholds::p99_effect},
    {"error_rate_effect", &Thresholds::error_rate_effect},
    {"long_run_seconds", &Thresholds::long_run_seconds},
    {"short_run_factor", &Thresholds::short_run_factor},
    {"tail_events", &Thresholds::tail_events},
    {"min_latency_ms", &Thresholds::min_latency_ms},
    {"mix_distance", &Thresholds::mix_distance},
    {"culprit_share", &Thresholds::culprit_share},
    {"min_idle_share", &Thresholds::min_idle_share},
    {"neighbour_share", &Thresholds::neighbour_share},
    {"lost_share", &Thresholds::lost_share},
    {"proof_start_share", &Thresholds::proof_start_share},
    {"proof_outlives_idle", &Thresholds::proof_outlives_idle},
    {"proof_gone", &Thresholds::proof_gone},
    {"proof_same", &Thresholds::proof_same},
    {"early_first_look", &Thresholds::early_first_look},
    {"early_saturation_doubt", &Thresholds::early_saturation_doubt},
    {"early_kept_share", &Thresholds::early_kept_share},
    {"early_survivors", &Thresholds::early_survivors},
    {"forecast_horizon", &Thresholds::forecast_horizon},
};

struct NamedCount {
  const char* name;
  int Thresholds::*value;
};
constexpr NamedCount kNamedCounts[] = {
    {"sub_cohorts", &Thresholds::sub_cohorts},
    {"sub_cohorts_with_survivors", &Thresholds::sub_cohorts_with_survivors},
    {"sawtooth_cycles", &Thresholds::sawtooth_cycles},
};

}  // namespace

std::vector<std::pair<std::string, double>> as_list(const Thresholds& k) {
  std::vector<std::pair<std::string, double>> list;
  for (const Named& named : kNamed) list.emplace_back(named.name, k.*named.value);
  for (const NamedCount& named : kNamedCounts) list.emplace_back(named.name, k.*named.value);
  for (std::size_t i = 0; i < k.younger_ages.size(); ++i)
    list.emplace_back("younger_age_" + std::to_string(i + 1), k.younger_ages[i]);
  for (std::size_t i = 0; i < k.old_ages.size(); ++i)
    list.emplace_back("old_age_" + std::to_string(i + 1), k.old_ages[i]);
  return list;
}

bool set_threshold(Thresholds& k, const std::string& name, double value) {
  for (const Named& named : kNamed) {
    if (name == named.name) return k.*named.value = value, true;
  }
  for (const NamedCount& named : kNamedCounts) {
    if (name == named.name) return k.*named.value = static_cast<int>(value), true;
  }
  return false;
}

}  // namespace camprobe::analysis
