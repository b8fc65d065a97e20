// collector/analysis/lifetimes.h
//
// Are the old objects of a population a kind of their own, that stays, or the tail of the kind that dies?
//
// Where what dies lives long, some of it is always among the old, and dies there: a death rate at old age cannot tell a
// tenth that leaks among sessions of an eighth of the run from sessions with a long tail. Two models of all ages can:
// "a part stays for good, the rest dies at a constant rate" (a cure model: Berkson and Gage, JASA 47 (1952)) against
// every usual lifetime that ends: Weibull, log-normal, Lomax (Pareto), and a mixture of two exponentials of which the
// slower still dies within the run. All by maximum likelihood, censored where an object is alive, and conditional on
// having lived to `from` (objects that die sooner say nothing about the tail, and the youngest are not even recorded).
#pragma once

#include <vector>

#include "collector/analysis/lives.h"

namespace camprobe::analysis {

struct LifetimeMixture {
  bool fitted = false;
  double staying_share = 0;   // of the objects that lived to `from`
  double staying = 0;         // how many that is
  double death_rate = 0;      // of the others, per object and stretch
  double log_likelihood = 0;  // of the cure model, less that of the best of those without one
  double from = 0;
  // The chance that an object alive at that age is of the kind that dies.
  double still_to_die(double age) const;
  // The age at which that chance has fallen to `share`.
  double age_when(double share) const;
};

// `slowest`: the lowest death rate (per object and stretch) that a kind may have and still count as one that dies.
LifetimeMixture fit_lifetimes(const std::vector<Placed>& lives, double born_after, double from, double slowest);

}  // namespace camprobe::analysis
