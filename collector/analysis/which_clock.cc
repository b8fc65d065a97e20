#include "collector/analysis/which_clock.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "collector/analysis/lives.h"

namespace camprobe::analysis {

double time_over_work(const Population& population, const Stretch& stretch, const WorkClock& clock) {
  constexpr int kParts = 24;
  const Seconds end = stretch.end - 0.05 * (stretch.end - stretch.begin);
  const double width = (end - stretch.warm_up) / kParts;
  if (width <= 0) return 0;
  std::array<double, kParts> births{};
  double total = 0;
  for (const Life& life : population.lives) {
    if (life.died < stretch.end || life.born < stretch.warm_up || life.born >= end) continue;
    births[std::min<std::size_t>(static_cast<std::size_t>((life.born - stretch.warm_up) / width), kParts - 1)] += 1;
    total += 1;
  }
  const Ruler by_time(stretch, clock, true), by_work(stretch, clock, false);
  const EvenSampling even_time(population.density, by_time), even_work(population.density, by_work);
  const auto share = [&](const Ruler& ruler, const EvenSampling& sampling, Seconds from, Seconds to) {
    const auto at = [&](Seconds t) { return sampling.even(ruler.place(t)); };
    return std::max((at(to) - at(from)) / (at(end) - at(stretch.warm_up)), 1e-3 / kParts);
  };
  double ratio = 0;
  for (int i = 0; i < kParts; ++i) {
    const Seconds from = stretch.warm_up + i * width, to = from + width;
    ratio += births[static_cast<std::size_t>(i)] *
             (std::log(share(by_time, even_time, from, to)) - std::log(share(by_work, even_work, from, to)));
  }
  return total > 0 ? ratio : 0;
}

LoadShape load_shape(const Stretch& stretch, const WorkClock& clock) {
  LoadShape shape;
  constexpr int kParts = 8;
  const double width = (stretch.end - stretch.warm_up) / kParts;
  double highest = 0, lowest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kParts; ++i) {
    const Seconds from = stretch.warm_up + i * width;
    const double rate = clock.at(from + width) - clock.at(from);
    if (rate < 0.7 * highest) shape.falls = true;
    highest = std::max(highest, rate);
    lowest = std::min(lowest, rate);
  }
  shape.varies = highest > 1.5 * lowest;
  return shape;
}

}  // namespace camprobe::analysis
