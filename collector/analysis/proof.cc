// collector/analysis/proof.cc
#include "collector/analysis/proof.h"

#include <algorithm>
#include <cmath>

namespace camprobe::analysis {

namespace {

struct Left {
  double at_end = 0, after_idle = 0, at_last = 0;
  double sum = 0, squares = 0, objects = 0, count = 0;  // of those after the idle
  double effective() const { return squares > 0 ? sum * sum / squares : 0; }
};

Left left_by(const std::vector<const Population*>& members, Seconds from, const Interval& load, const Interval& idle,
             Seconds last) {
  Left left;
  for (const Population* population : members) {
    for (const Life& life : population->lives) {
      if (life.born < from || life.born >= load.high) continue;
      if (life.died > load.high) left.at_end += life.amount;
      if (life.died < idle.high) continue;
      left.after_idle += life.amount;
      if (life.died >= last) left.at_last += life.amount;
      left.sum += life.amount, left.squares += life.amount * life.amount;
      left.objects += life.objects, left.count += 1;
    }
  }
  return left;
}

}  // namespace

Proof judge_proof(const std::vector<const Population*>& members, const ProofPhases& phases, const WorkClock& clock,
                  const Thresholds& k) {
  Proof proof;
  // Each load starts up: connections, first keys, code that is compiled. By requests where they are counted.
  const auto after_start = [&](const Interval& load) {
    if (!clock.counts_requests()) return load.low + k.proof_start_share * (load.high - load.low);
    const double from = clock.at(load.low);
    return clock.when(from + k.proof_start_share * (clock.at(load.high) - from));
  };
  const auto work_between = [&](Seconds from, Seconds to) {
    return clock.counts_requests() ? clock.at(to) - clock.at(from) : to - from;
  };
  const Seconds first_from = after_start(phases.first_load), second_from = after_start(phases.second_load);
  const Left first = left_by(members, first_from, phases.first_load, phases.first_idle, phases.second_idle.high);
  const Left second = left_by(members, second_from, phases.second_load, phases.second_idle, phases.second_idle.high);
  proof.first_at_end = first.at_end, proof.first_after_idle = first.after_idle;
  proof.second_at_end = second.at_end, proof.second_after_idle = second.after_idle;
  proof.first_at_last = first.at_last;
  proof.first_events = first.count, proof.second_events = second.count;
  proof.first_requests = work_between(first_from, phases.first_load.high);
  proof.second_requests = work_between(second_from, phases.second_load.high);
  if (proof.first_requests <= 0 || proof.second_requests <= 0) return proof;

  // Ratio of two rates, on its logarithm; half an event more on either side keeps it finite (Haldane, 1956).
  const double n1 = first.effective() + 0.5, n2 = second.effective() + 0.5;
  const double mean = first.count + second.count > 0 ? (first.sum + second.sum) / (first.count + second.count) : 0;
  const double rate1 = (first.sum + 0.5 * mean) / proof.first_requests;
  const double rate2 = (second.sum + 0.5 * mean) / proof.second_requests;
  if (rate1 > 0) {  // else neither left anything
    const double error = std::sqrt(1 / n1 + 1 / n2);
    proof.ratio = rate2 / rate1;
    proof.ratio_interval = {proof.ratio * std::exp(-1.96 * error), proof.ratio * std::exp(1.96 * error)};
  }

  const bool sampled = first.objects + second.objects > 1.1 * (first.count + second.count);
  const double needed = sampled ? k.min_survivors_sampled : k.min_survivors_exact;
  const bool outlived = first.at_last >= k.proof_outlives_idle * first.at_end &&
                        second.after_idle >= k.proof_outlives_idle * second.at_end;
  if (proof.first_events >= 0.5 * needed && proof.second_events >= needed && outlived &&
      proof.ratio_interval.low >= k.proof_same) {
    proof.verdict = ProofVerdict::kConfirmed;
  } else if (rate1 > 0 && proof.ratio_interval.high < k.proof_same && proof.second_events < needed) {
    proof.verdict = ProofVerdict::kCleared;
  } else if (first.at_end > 0 && first.count >= needed && first.at_last < k.proof_gone * first.at_end) {
    proof.verdict = ProofVerdict::kCleared;  // a full cache: what the first left gave way to what the second left
  } else if (first.at_end > 0 && first.after_idle < k.proof_gone * first.at_end &&
             second.after_idle <= k.proof_gone * std::max(second.at_end, first.at_end)) {
    proof.verdict = ProofVerdict::kCleared;
  }
  return proof;
}

}  // namespace camprobe::analysis
