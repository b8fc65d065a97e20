// tests/ground_truth/builder.h
//
// What shapes are made of: a load, stacks whose births follow it, and objects that live as long as the shape says.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

using Profile = std::function<double(double)>;  // of x in [0, 1], the share of the run

inline double uniform(Random& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}
inline double exponential(double mean, Random& random) {
  return std::exponential_distribution<double>(1 / mean)(random);
}

inline const Profile kFlat = [](double) { return 1.0; };

inline Profile between(double from, double to) {
  return [=](double x) { return x >= from && x < to ? 1.0 : 0.0; };
}

// Builds one scenario: the load first, then stacks whose births follow it.
class Builder {
 public:
  Builder(std::string name, const Size& size, Random& random, Profile load = kFlat)
      : size_(size), random_(random), load_(std::move(load)) {
    scenario_.name = std::move(name);
    scenario_.stretch = {0, size.seconds, 0.1 * size.seconds};
    scenario_.stretch.rss_bytes = 256.0 * 1024 * 1024;
    double total = 0;
    const int steps = 400;
    scenario_.work.push_back({0, 0});
    for (int i = 0; i < steps; ++i) {
      total += load_((i + 0.5) / steps) * size.requests_per_second * size.seconds / steps;
      scenario_.work.push_back({(i + 1) * size.seconds / steps, total});
    }
  }

  double H() const { return size_.seconds; }
  Random& random() { return random_; }
  const Size& size() const { return size_; }
  // A shape's parameter: the one it is named for, or, held out, any of a range about it.
  double vary(double named, double low, double high) {
    return size_.held_out ? low + (high - low) * uniform(random_) : named;
  }

  // Times of events at a rate proportional to profile(x), `expected` of them in the run. Thinned from the profile's
  // top.
  std::vector<double> times(double expected, const Profile& profile) {
    double top = 0, mean = 0;
    for (int i = 0; i < 400; ++i) {
      const double value = profile((i + 0.5) / 400);
      top = std::max(top, value);
      mean += value / 400;
    }
    if (mean <= 0) return {};
    std::vector<double> times;
    const long tries = std::poisson_distribution<long>(expected * top / mean)(random_);
    for (long i = 0; i < tries; ++i) {
      const double x = uniform(random_);
      if (uniform(random_) * top < profile(x)) times.push_back(x * H());
    }
    std::sort(times.begin(), times.end());
    return times;
  }

  // With the load, times a profile of its own.
  std::vector<double> with_load(double expected, const Profile& profile = kFlat) {
    return times(expected, [&](double x) { return load_(x) * profile(x); });
  }

  analysis::Population& stack(bool leaky, analysis::Resource resource = analysis::Resource::kHeap) {
    analysis::Population population;
    population.id = scenario_.populations.size() + 1;
    population.resource = resource;
    population.activity_width = std::max(1.0, H() / 3600);
    population.activity.assign(static_cast<std::size_t>(std::ceil(H() / population.activity_width)), 0.0);
    scenario_.populations.push_back(std::move(population));
    scenario_.leaky.push_back(leaky);
    return scenario_.populations.back();
  }

  // One sampled object, recorded as the run file would: only if it lived a second.
  void live(analysis::Population& population, double born, double died) {
    analysis::Life life{born, died >= H() ? analysis::kAlive : died, 1, 1};
    if (population.resource == analysis::Resource::kHeap) {
      const double p = -std::expm1(-size_.object_bytes / size_.interval);
      life.amount = size_.object_bytes / p;
      life.objects = 1 / p;
    }
    if (born >= 0 && born < H()) {
      const auto part = static_cast<std::size_t>(born / population.activity_width);
      population.activity[std::min(part, population.activity.size() - 1)] += life.objects;
    }
    if (std::min(died, H()) - born >= 1) population.lives.push_back(life);
  }
  void keep(analysis::Population& population, const std::vector<double>& births) {
    for (const double born : births) live(population, born, analysis::kAlive);
  }
  void churn(analysis::Population& population, const std::vector<double>& births,
             const std::function<double()>& lifetime) {
    for (const double born : births) live(population, born, born + lifetime());
  }

  // `survivors` sampled objects expected while on.
  Builder& leaks(double since, double until, double survivors) {
    scenario_.truth.leaks = true;
    scenario_.truth.since = since * H();
    scenario_.truth.until = until >= 1 ? 0 : until * H();
    double work = 0;
    for (int i = 0; i < 1000; ++i) {
      const double x = (i + 0.5) / 1000;
      if (x >= since && x < until) work += load_(x) * size_.requests_per_second * H() / 1000;
    }
    const double p = -std::expm1(-size_.object_bytes / size_.interval);
    scenario_.truth.bytes_per_request = survivors * size_.object_bytes / p / work;
    return *this;
  }

  // When something is emptied, `times` in the run; each interval is off by up to half of `jitter`. Ends beyond the run.
  std::vector<double> resets(double times, double jitter) {
    std::vector<double> at = {H() / times * uniform(random_)};
    while (at.back() <= H()) at.push_back(at.back() + H() / times * (1 - jitter / 2 + jitter * uniform(random_)));
    return at;
  }

  // RSS on a level of 256 MiB that grows by `rss` bytes, of which the allocator keeps `retained`; AR(1) noise of that
  // share of the level. The live heap is flat.
  void memory(const Profile& rss, const Profile& retained, double noise, double phi) {
    const double level = 256.0 * 1024 * 1024;
    const auto wobble = autoregressive(240, phi, random_);
    for (std::size_t i = 0; i < wobble.size(); ++i) {
      const double x = (static_cast<double>(i) + 0.5) / 240;
      const double at = x * H();
      scenario_.memory.rss.points.push_back({at, level * (1 + noise * wobble[i].value) + rss(x)});
      scenario_.memory.live_heap.points.push_back({at, 0.5 * level});
      scenario_.memory.retained.points.push_back({at, 0.1 * level + retained(x)});
    }
  }

  Scenario done() { return std::move(scenario_); }
  Scenario& scenario() { return scenario_; }

 private:
  const Size size_;
  Random& random_;
  Profile load_;
  Scenario scenario_;
};

using MakeShape = std::function<Scenario(const std::string&, const Size&, Random&)>;
inline void add_shape(std::vector<Shape>& list, const char* name, bool leaks, MakeShape make) {
  list.push_back({name, leaks, [name, make](const Size& size, Random& random) { return make(name, size, random); }});
}

std::vector<Shape> leaky_shapes();
std::vector<Shape> clean_shapes();
std::vector<Shape> rising_shapes();
std::vector<Shape> held_out_leaky_shapes();
std::vector<Shape> held_out_clean_shapes();

}  // namespace camprobe::ground_truth
