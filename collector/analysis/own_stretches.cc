#include "collector/analysis/own_stretches.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace camprobe::analysis {

std::vector<OwnStretch> own_stretches(const std::vector<run::Process>& processes, const Stretch& whole,
                                      const WorkClock& clock, const Thresholds& k) {
  std::vector<OwnStretch> own;
  const Seconds length = whole.end - whole.begin;
  for (const run::Process& process : processes) {
    if (process.id == run::kMachine) continue;
    OwnStretch candidate{{process.id}, whole};
    Stretch& s = candidate.stretch;
    s.begin = std::max(whole.begin, seconds_of(process.began_ns));
    if (process.ended_ns) {
      const Seconds ended = seconds_of(*process.ended_ns);
      // As for the run as a whole: what a program frees while it shuts down proves nothing.
      const Seconds before = ended - std::max(1.0, 0.02 * (ended - s.begin));
      s.ended = before < whole.end - std::max(1.0, 0.02 * length);
      if (s.ended) s.end = before;
    }
    if (!s.ended && s.begin <= whole.warm_up) continue;
    const Seconds own_length = s.end - s.begin;
    if (own_length < std::max(k.min_seconds, k.own_stretch_share * length)) continue;
    if (clock.counts_requests() && clock.at(s.end) - clock.at(s.begin) < k.min_requests) continue;
    s.warm_up = s.begin <= whole.begin && whole.warm_up < s.begin + 0.4 * own_length
                    ? whole.warm_up
                    : s.begin + k.warm_up_share * own_length;
    // What one function keeps in four workers is four times the evidence.
    const auto with_it = std::find_if(own.begin(), own.end(), [&](const OwnStretch& other) {
      const double near = std::max(2.0, 0.02 * own_length);
      return other.stretch.ended == s.ended && std::abs(other.stretch.begin - s.begin) <= near &&
             std::abs(other.stretch.end - s.end) <= near;
    });
    if (with_it == own.end()) {
      own.push_back(std::move(candidate));
      continue;
    }
    with_it->processes.push_back(process.id);
    with_it->stretch.begin = std::min(with_it->stretch.begin, s.begin);
    with_it->stretch.warm_up = std::max(with_it->stretch.warm_up, s.warm_up);
    with_it->stretch.end = std::min(with_it->stretch.end, s.end);
  }
  // Each is one more place where a false alarm may come from, and the evidence of each is asked for more.
  constexpr std::size_t kMost = 16;
  std::stable_sort(own.begin(), own.end(), [](const OwnStretch& a, const OwnStretch& b) {
    return a.stretch.end - a.stretch.begin > b.stretch.end - b.stretch.begin;
  });
  if (own.size() > kMost) own.resize(kMost);
  return own;
}

}  // namespace camprobe::analysis
