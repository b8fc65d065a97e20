#include "collector/analysis/load_rises.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <utility>

#include "collector/analysis/lives.h"

namespace camprobe::analysis {
namespace {

constexpr double kRise = 1.25;       // of the level before
constexpr double kFewestMore = 4;    // connections: below that a quarter is next to nothing
constexpr std::size_t kFewest = 3;   // rises within what is judged: with fewer the rest of the judgement does well
constexpr double kTogether = 0.025;  // of the stretch: rises this close are one, a thousand clients connecting

// Where the load stays: of each time between two rises the second half, because a pool needs a while to get to its
// size, without the last tenth, in which the clients of the next rise may be arriving.
std::vector<std::pair<Seconds, Seconds>> settled_parts(const std::vector<Seconds>& rises, const Stretch& stretch) {
  const Seconds near = kTogether * (stretch.end - stretch.begin);
  std::vector<std::pair<Seconds, Seconds>> parts;
  std::size_t seen = 0;
  Seconds since = stretch.warm_up;  // the load it had by then is as old as the warm-up
  bool is_settled = true;
  const auto end_at = [&](Seconds until) {
    const Seconds from = is_settled ? since : since + (until - since) / 2;
    const Seconds to = until < stretch.end ? until - (until - since) / 10 : until;
    if (until - since > near) parts.emplace_back(from, to);
  };
  for (const Seconds rise : rises) {
    if (rise <= stretch.warm_up || rise >= stretch.end) continue;
    end_at(rise);
    if (rise - since > near || is_settled) ++seen;
    since = rise;
    is_settled = false;
  }
  end_at(stretch.end);
  if (seen < kFewest) parts.clear();
  return parts;
}

}  // namespace

Concurrency concurrency_of(const std::vector<Life>& accepted) {
  std::vector<std::pair<Seconds, double>> changes;
  for (const Life& life : accepted) {
    changes.emplace_back(life.born, life.objects);
    if (life.died < kAlive) changes.emplace_back(life.died, -life.objects);
  }
  std::sort(changes.begin(), changes.end());  // of one instant what closes first
  Concurrency out;
  double open = 0, level = 0;
  for (const auto& [at, change] : changes) {
    open += change;
    out.peak = std::max(out.peak, open);
    if (open < std::max(kRise * level, level + kFewestMore)) continue;
    level = open;
    out.rises.push_back(at);
  }
  return out;
}

GrowthWithLoad growth_with_load(const Population& population, const Stretch& stretch, const WorkClock& clock,
                                const SurvivalVerdict& verdict, const Thresholds& thresholds) {
  GrowthWithLoad out;
  const auto parts = settled_parts(population.rises, stretch);
  const Ruler ruler(stretch, clock, verdict.on_time_clock);
  if (parts.empty() || !ruler.usable()) return out;
  const double first = ruler.place(stretch.warm_up), last = 1 - verdict.survivor_age;
  double settled = 0;
  for (const auto& [from, to] : parts)
    settled += std::max(0.0, std::min(ruler.place(to), last) - std::max(ruler.place(from), first));
  const double share = last > first ? settled / (last - first) : 0;
  double all = 0;
  for (const Life& life : population.lives) {
    const double born = ruler.place(life.born);
    if (life.died < stretch.end || born <= first || born > last) continue;
    ++all;
    const bool came_between = std::any_of(parts.begin(), parts.end(), [&](const auto& part) {
      return life.born >= part.first && life.born < part.second;
    });
    if (came_between) ++out.between;
  }
  if (share <= 0 || share >= 1 || all <= 0) return out;
  out.follows = out.between < thresholds.between_rises_share * share * all &&
                boost::math::cdf(boost::math::binomial(all, share), out.between) < thresholds.between_rises_probability;
  return out;
}

}  // namespace camprobe::analysis
