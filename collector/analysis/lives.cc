// collector/analysis/lives.cc: see collector/analysis/lives.h.
#include "collector/analysis/lives.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace camprobe::analysis {

Ruler::Ruler(const Stretch& stretch, const WorkClock& clock, bool by_time) : clock_(clock), by_time_(by_time) {
  from_ = reading(stretch.begin);
  length_ = reading(stretch.end) - from_;
}

Seconds Ruler::when(double place) const {
  const double value = from_ + std::clamp(place, 0.0, 1.0) * length_;
  return by_time_ ? value : clock_.when(value);
}

EvenSampling::EvenSampling(const std::vector<SamplingDensity>& density, const Ruler& ruler) {
  places_.push_back(0);
  double probability = density.empty() ? 1 : density.front().probability;
  std::vector<double> dense;
  for (const SamplingDensity& d : density) {
    const double place = std::clamp(ruler.place(d.from), 0.0, 1.0);
    if (place > places_.back() && place < 1) {
      dense.push_back(probability);
      places_.push_back(place);
    }
    probability = d.probability;
  }
  dense.push_back(probability);
  places_.push_back(1);
  evens_.push_back(0);
  for (std::size_t i = 0; i < dense.size(); ++i) {
    evens_.push_back(evens_.back() + (places_[i + 1] - places_[i]) * std::max(dense[i], 1e-12));
  }
  for (double& even : evens_) even /= evens_.back();
}

double EvenSampling::along(const std::vector<double>& from, const std::vector<double>& to, double x) {
  x = std::clamp(x, 0.0, 1.0);
  const auto after = std::clamp<std::ptrdiff_t>(std::upper_bound(from.begin(), from.end(), x) - from.begin(), 1,
                                                static_cast<std::ptrdiff_t>(from.size()) - 1);
  const auto i = static_cast<std::size_t>(after);
  const double span = from[i] - from[i - 1];
  return span <= 0 ? to[i] : to[i - 1] + (to[i] - to[i - 1]) * (x - from[i - 1]) / span;
}

Hazard hazard_past(double age, const std::vector<Placed>& lives, double born_after) {
  Hazard hazard{age};
  for (const Placed& life : lives) {
    if (life.born <= born_after) continue;
    const double exposure = std::max(0.0, std::min(life.died, 1.0) - life.born - age);
    hazard.exposure += exposure * life.kept_of;
    hazard.seen += exposure;
    if (life.died <= 1 && life.died - life.born > age) hazard.deaths += life.kept_of;
  }
  return hazard;
}

double Events::amount() const {
  return std::accumulate(lives.begin(), lives.end(), 0.0, [](double sum, const Placed& l) { return sum + l.amount; });
}

double Events::objects() const {
  return std::accumulate(lives.begin(), lives.end(), 0.0, [](double sum, const Placed& l) { return sum + l.objects; });
}

double Events::effective() const {
  double squares = 0;
  for (const Placed& life : lives) squares += life.amount * life.amount;
  const double sum = amount();
  return squares > 0 ? sum * sum / squares : 0;
}

std::vector<double> Events::times(double from) const {
  std::vector<double> times;
  times.reserve(lives.size());
  for (const Placed& life : lives) times.push_back(life.even - from);
  return times;
}

std::vector<double> Events::histogram(double from, double to, int parts) const {
  std::vector<double> counts(static_cast<std::size_t>(parts), 0.0);
  for (const Placed& life : lives) {
    const double place = (life.even - from) / (to - from);
    if (place < -1e-9 || place > 1 + 1e-9) continue;  // the ends themselves belong to it, whatever their rounding
    counts[std::min(static_cast<std::size_t>(std::max(place, 0.0) * parts), counts.size() - 1)] += 1;
  }
  return counts;
}

Events survivors_of(const std::vector<Placed>& lives, double after, double age) {
  Events events;
  for (const Placed& life : lives) {
    if (life.born > after && life.born <= 1 - age && life.died > 1) events.lives.push_back(life);
  }
  return events;
}

Events born_after(const Events& events, double from) {
  Events later;
  for (const Placed& life : events.lives) {
    if (life.born >= from - 1e-9) later.lives.push_back(life);
  }
  return later;
}

bool is_sampled(const Events& events) {
  return events.objects() > 1.1 * events.count();  // one sample stands for more than itself
}

bool is_one_growing_buffer(const std::vector<Placed>& lives, double warm_up, double at_least) {
  int steps = 0;
  const Placed* previous = nullptr;
  double at_warm_up = 0;
  for (const Placed& life : lives) {
    if (previous != nullptr) {
      const bool replaced = previous->died <= 1 && std::abs(previous->died - life.born) < 0.02;
      if (!replaced || life.amount < 1.05 * previous->amount) return false;
    }
    if (life.born <= warm_up) at_warm_up = life.amount;
    if (life.born > warm_up) ++steps;
    previous = &life;
  }
  return previous != nullptr && previous->died > 1 && steps >= 2 && previous->amount - at_warm_up >= at_least &&
         previous->amount >= 1.5 * at_warm_up;
}

}  // namespace camprobe::analysis
