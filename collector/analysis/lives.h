// collector/analysis/lives.h
//
// The objects of one population as the judgement sees them: birth and death on [0, 1] of the judged stretch, on the
// clock in use (requests, or time), and what can be counted of them. Says nothing about leaks; survival.cc does.
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"

namespace camprobe::analysis {

// Places instants on [0, 1] of the judged stretch, by requests or by time. Keeps a reference to the clock.
class Ruler {
 public:
  Ruler(const Stretch& stretch, const WorkClock& clock, bool by_time);
  bool usable() const { return length_ > 0; }
  double place(Seconds t) const { return (reading(t) - from_) / length_; }
  Seconds when(double place) const;
  double length() const { return length_; }  // requests, or seconds

 private:
  double reading(Seconds t) const { return by_time_ ? t : clock_.at(t); }
  const WorkClock& clock_;
  bool by_time_;
  double from_ = 0, length_ = 0;
};

// Stretches [0, 1] so that sampling is equally dense everywhere: births at an even rate are then even, whatever the
// sampling interval did meanwhile. Places in time and ages stay on the ruler; only births are counted here.
class EvenSampling {
 public:
  EvenSampling(const std::vector<SamplingDensity>& density, const Ruler& ruler);
  double even(double place) const { return along(places_, evens_, place); }
  double place(double even) const { return along(evens_, places_, even); }

 private:
  static double along(const std::vector<double>& from, const std::vector<double>& to, double x);
  std::vector<double> places_, evens_;  // ascending, from 0 to 1
};

struct Placed {
  double born, died, amount, objects;  // died > 1: alive at the end of the stretch
  double even;                         // birth, where sampling is equally dense
  double kept_of = 1;                  // one of so many that died
};

// Deaths past an age, and how long objects of that age were there to die. `seen`: of it, by those that are there to be
// seen; where not all that died were kept, a few of these stand for much exposure and yet say little.
struct Hazard {
  double age = 0;
  double deaths = 0, exposure = 0, seen = 0;
  double rate() const { return (deaths + 0.5) / exposure; }
};
Hazard hazard_past(double age, const std::vector<Placed>& lives, double born_after);

struct Events {
  std::vector<Placed> lives;  // ascending by birth
  double count() const { return static_cast<double>(lives.size()); }
  double amount() const;
  double objects() const;
  double effective() const;  // of equal weight: (sum w)^2 / sum w^2
  // Births from `from` on, and how many fall into each of `parts` of [from, to]; places are those of even sampling.
  std::vector<double> times(double from) const;
  std::vector<double> histogram(double from, double to, int parts) const;
};

// Alive at the end and born in (after, 1 - age].
Events survivors_of(const std::vector<Placed>& lives, double after, double age);
Events born_after(const Events& events, double from);
// Whether one event stands for more than itself.
bool is_sampled(const Events& events);

// One block that is freed and replaced by a larger one, again and again: survival never sees it (one object is alive),
// and while it doubles, three steps of a leak and three steps of a vector on its way to its final size are the same
// data.
bool is_one_growing_buffer(const std::vector<Placed>& lives, double warm_up, double at_least);

}  // namespace camprobe::analysis
