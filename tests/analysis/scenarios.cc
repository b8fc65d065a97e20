// tests/analysis/scenarios.cc
#include "tests/analysis/scenarios.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace camprobe::ground_truth {

using analysis::kAlive;
using analysis::Life;
using analysis::Population;

namespace {

using Profile = std::function<double(double)>;  // of x in [0, 1], the share of the run

double uniform(Random& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}
double exponential(double mean, Random& random) {
  return std::exponential_distribution<double>(1 / mean)(random);
}

const Profile kFlat = [](double) { return 1.0; };

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
      highest_load_ = std::max(highest_load_, load_((i + 0.5) / steps));
    }
  }

  double H() const { return size_.seconds; }
  Random& random() { return random_; }
  const Size& size() const { return size_; }

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

  Population& stack(bool leaky, analysis::Resource resource = analysis::Resource::kHeap) {
    Population population;
    population.id = scenario_.populations.size() + 1;
    population.resource = resource;
    population.activity.assign(static_cast<std::size_t>(std::ceil(H())), 0.0);
    scenario_.populations.push_back(std::move(population));
    scenario_.leaky.push_back(leaky);
    return scenario_.populations.back();
  }

  // One sampled object, recorded as the run file would: only if it lived a second.
  void live(Population& population, double born, double died) {
    Life life{born, died >= H() ? kAlive : died, 1, 1};
    if (population.resource == analysis::Resource::kHeap) {
      const double p = -std::expm1(-size_.object_bytes / size_.interval);
      life.amount = size_.object_bytes / p;
      life.objects = 1 / p;
    }
    if (born >= 0 && born < H()) population.activity[static_cast<std::size_t>(born)] += life.objects;
    if (std::min(died, H()) - born >= 1) population.lives.push_back(life);
  }
  void keep(Population& population, const std::vector<double>& births) {
    for (const double born : births) live(population, born, kAlive);
  }
  void churn(Population& population, const std::vector<double>& births, const std::function<double()>& lifetime) {
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

  Scenario done() { return std::move(scenario_); }
  Scenario& scenario() { return scenario_; }

 private:
  const Size size_;
  Random& random_;
  Profile load_;
  double highest_load_ = 0;
  Scenario scenario_;
};

Profile between(double from, double to) {
  return [=](double x) { return x >= from && x < to ? 1.0 : 0.0; };
}

// A stack that keeps some of what it makes while most of it is churn.
Scenario kept_among_churn(const std::string& name, const Size& size, Random& random, double churn_per_survivor,
                          double lifetime_share, double since = 0, double until = 1, Profile load = kFlat) {
  Builder b(name, size, random, std::move(load));
  b.leaks(since, until, size.survivors);
  Population& stack = b.stack(true);
  b.keep(stack, b.with_load(size.survivors, between(since, until)));
  const double active = until - since;
  b.churn(stack, b.with_load(size.survivors * churn_per_survivor / active),
          [&] { return exponential(lifetime_share * b.H(), random); });
  return b.done();
}

// Random keys from a finite set, the probability of a new one falling as the set is learnt: exp(-x/tau).
Scenario keyed_cache(const std::string& name, const Size& size, Random& random, double tau, Profile load = kFlat) {
  Builder b(name, size, random, load);
  Population& stack = b.stack(false);
  double total = 0;
  for (int i = 0; i < 400; ++i) total += load((i + 0.5) / 400) / 400;
  const auto done = [&, total](double x) {  // share of the work done by x
    double sum = 0;
    for (int i = 0; i < 100; ++i) sum += load(x * (i + 0.5) / 100) * x / 100;
    return sum / total;
  };
  b.keep(stack, b.with_load(size.births, [&](double x) { return std::exp(-done(x) / tau); }));
  return b.done();
}

// Least recently used entries leave once `full` of the run's births are in.
Scenario lru(const std::string& name, const Size& size, Random& random, double full) {
  Builder b(name, size, random);
  Population& stack = b.stack(false);
  for (const double born : b.with_load(size.births)) {
    // an entry leaves when a capacity's worth of later ones came in; a touch or two delays it
    const double stays = full * b.H() * (1 + 0.03 * std::abs(std::normal_distribution<double>()(random)));
    b.live(stack, born, born + stays);
  }
  return b.done();
}

std::vector<Shape> make_shapes() {
  std::vector<Shape> list;
  const auto add = [&](const char* name, bool leaks,
                       std::function<Scenario(const std::string&, const Size&, Random&)> make) {
    list.push_back({name, leaks, [name, make](const Size& size, Random& random) { return make(name, size, random); }});
  };

  add("L01 steady", true,
      [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 0, 0.001); });
  add("L02 tenth", true,
      [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.005); });
  add("L03 drip", true,
      [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 200, 0.0005); });
  add("L05 late", true,
      [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.005, 0.6); });
  add("L06 burst", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    Population& stack = b.stack(true);
    const double phase = uniform(random);
    b.keep(stack,
           b.with_load(size.survivors, [&](double x) { return std::fmod(6 * x + phase, 1.0) < 0.15 ? 1.0 : 0.0; }));
    b.churn(stack, b.with_load(5 * size.survivors), [&] { return exponential(0.005 * b.H(), random); });
    return b.done();
  });
  add("L10 decelerating", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.scenario().truth.ambiguous = true;
    b.keep(b.stack(true), b.with_load(size.survivors, [](double x) { return 1 / std::sqrt(std::max(x, 0.01)); }));
    return b.done();
  });
  add("L11 accelerating", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.keep(b.stack(true), b.with_load(size.survivors, [](double x) { return x; }));
    return b.done();
  });
  add("L12 load-falls", true, [](auto& name, auto& size, auto& random) {
    return kept_among_churn(name, size, random, 9, 0.005, 0, 1, [](double x) { return 4 - 3 * x; });
  });
  add("L13 idle-leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random,
              [](double x) { return std::fmod(4 * x, 1.0) < 0.6 ? 1.0 : 0.02; });  // load comes and goes
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.keep(b.stack(true), b.times(size.survivors, kFlat));
    return b.done();
  });
  add("L15 grow-vector", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, 1);
    b.scenario().truth.bytes_per_request = 0;
    b.scenario().truth.ambiguous = true;  // no run tells it from C22
    Population& stack = b.stack(true);
    double bytes = 64 * 1024, at = b.H() / 512 * (1 + uniform(random));
    double born = 0;
    for (; at < b.H(); at *= 2, bytes *= 2) {
      stack.lives.push_back({born, at, bytes, 1});
      born = at;
    }
    stack.lives.push_back({born, kAlive, bytes, 1});
    return b.done();
  });
  add("L18 fd", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = size.survivors / (size.requests_per_second * size.seconds);
    Population& stack = b.stack(true, analysis::Resource::kDescriptors);
    b.keep(stack, b.with_load(size.survivors));
    b.churn(stack, b.with_load(20 * size.survivors), [&] { return exponential(0.002 * b.H(), random); });
    return b.done();
  });
  add("L19 thread", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = size.survivors / (size.requests_per_second * size.seconds);
    b.keep(b.stack(true, analysis::Resource::kThreads), b.with_load(size.survivors));
    return b.done();
  });
  add("L22 long-life mix", true,
      [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.125); });
  add("L23 stops at 60 %", true, [](auto& name, auto& size, auto& random) {
    Scenario scenario = kept_among_churn(name, size, random, 5, 0.005, 0, 0.6);
    return scenario;
  });
  add("L24 multi", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    for (int i = 0; i < 300; ++i) {
      const bool leaky = i % 60 == 0;
      Population& stack = b.stack(leaky);
      if (leaky) b.keep(stack, b.with_load(size.survivors));
      b.churn(stack, b.with_load(80), [&] { return exponential((i % 7 + 1) * 0.01 * b.H(), random); });
    }
    return b.done();
  });

  add("C01 churn", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(10 * size.births), [&] { return exponential(1, random); });
    return b.done();
  });
  add("C02 churn30", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 8, random); });
    return b.done();
  });
  add("C03 heavy", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(size.births),
            [&] { return 0.004 * b.H() * std::pow(uniform(random), -1 / 1.2); });
    return b.done();
  });
  add("C04 lognormal", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(size.births),
            [&] { return 0.01 * b.H() * std::exp(2 * std::normal_distribution<double>()(random)); });
    return b.done();
  });
  add("C05 lru-early", false, [](auto& name, auto& size, auto& random) { return lru(name, size, random, 0.25); });
  add("C06 lru-late", false,
      [](auto& name, auto& size, auto& random) { return lru(name, size, random, 0.85 + 0.05 * uniform(random)); });
  add("C07 keyed", false, [](auto& name, auto& size, auto& random) {
    return keyed_cache(name, size, random, 0.3 + 0.1 * uniform(random));
  });
  add("C08 ttl", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return 0.5 * b.H(); });
    return b.done();
  });
  add("C09 ttl-long", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return 0.75 * b.H(); });
    return b.done();
  });
  add("C10 startup", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    b.keep(stack, b.times(size.births, between(0, 0.08)));
    b.churn(stack, b.with_load(size.births), [&] { return exponential(0.01 * b.H(), random); });
    return b.done();
  });
  add("C11 phase", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a new endpoint, met for the first time at half time: what it keeps, it keeps once
    Population& stack = b.stack(false);
    const double width = 0.02 + 0.06 * uniform(random);
    b.keep(stack, b.with_load(size.births / 4, [=](double x) { return x < 0.5 ? 0.0 : std::exp(-(x - 0.5) / width); }));
    b.churn(stack, b.with_load(size.births, between(0.5, 1)), [&] { return exponential(0.01 * b.H(), random); });
    return b.done();
  });
  add("C12 late-init", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.keep(b.stack(false), b.times(size.births / 4, between(0.4, 0.41)));
    return b.done();
  });
  add("C13 ramp", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 3 * x; });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 24, random); });
    return b.done();
  });
  add("C13b ramp+keyed", false, [](auto& name, auto& size, auto& random) {
    return keyed_cache(name, size, random, 0.35, [](double x) { return 1 + 3 * x; });
  });
  add("C14 step", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return x < 0.7 ? 1.0 : 3.0; });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 24, random); });
    return b.done();
  });
  add("C15 diurnal", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 0.8 * std::sin(4 * M_PI * x); });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 16, random); });
    return b.done();
  });
  add("C16 flush", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    const double period = (0.14 + 0.26 * uniform(random)) * b.H();
    for (const double born : b.with_load(size.births)) b.live(stack, born, (std::floor(born / period) + 1) * period);
    return b.done();
  });
  add("C17 reload", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a new configuration every so often, the two youngest generations kept
    Population& stack = b.stack(false);
    const double period = 0.11 * b.H(), phase = uniform(random) * period;
    for (double at = phase - 2 * period; at < b.H(); at += period) {
      const long objects = std::poisson_distribution<long>(size.births / 9)(random);
      for (long i = 0; i < objects; ++i) b.live(stack, std::max(0.0, at + 0.05 * uniform(random)), at + 2 * period);
    }
    return b.done();
  });
  add("C18 high-water", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.keep(b.stack(false), b.times(size.births / 4, [](double x) { return 1 / std::max(x, 0.01); }));
    return b.done();
  });
  add("C19 sawtooth", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    std::vector<double> resets;
    for (double at = 0; at < b.H();) {
      at += b.H() / 12 * (0.7 + 0.6 * uniform(random));
      resets.push_back(at);
    }
    for (const double born : b.with_load(size.births)) {
      b.live(stack, born, *std::upper_bound(resets.begin(), resets.end(), born));
    }
    return b.done();
  });
  add("C22 vector", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    double bytes = 64 * 1024, at = 0.7 * b.H() / 256, born = 0;
    for (; at <= 0.7001 * b.H(); at *= 2, bytes *= 2) {
      stack.lives.push_back({born, at, bytes, 1});
      born = at;
    }
    stack.lives.push_back({born, kAlive, bytes, 1});
    return b.done();
  });
  add("C24 null-many", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    for (int i = 0; i < 300; ++i) {
      const double lifetime = std::pow(10, -3 + 2 * uniform(random)) * b.H();
      b.churn(b.stack(false), b.with_load(80), [&] { return exponential(lifetime, random); });
    }
    return b.done();
  });
  add("C25 connections", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // keep-alive connections: opened as the load arrives, reopened now and then
    Population& stack = b.stack(false, analysis::Resource::kDescriptors);
    for (int i = 0; i < 50; ++i) {
      double born = 0.02 * b.H() * uniform(random);
      while (born < b.H()) {
        const double stays = exponential(2 * b.H(), random);
        b.live(stack, born, born + stays);
        born += stays;
      }
    }
    return b.done();
  });
  return list;
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list = make_shapes();
  return list;
}

const Shape& shape(const std::string& name) {
  for (const Shape& shape : shapes()) {
    if (shape.name.substr(0, name.size()) == name) return shape;
  }
  throw std::invalid_argument("no such shape: " + name);
}

Scenario demonstration(double seconds, double requests_per_second, double interval, double onset, bool with_leaks,
                       Random& random) {
  Size size;
  size.seconds = seconds;
  size.requests_per_second = requests_per_second;
  size.interval = interval;
  Builder b("demonstration", size, random);
  const double requests = seconds * requests_per_second;
  const double p = -std::expm1(-size.object_bytes / interval);
  const double H = seconds;

  if (with_leaks) {
    b.leaks(onset, 1, 0.2 * requests * (1 - onset) * p);
    b.keep(b.stack(true), b.with_load(0.2 * requests * (1 - onset) * p, between(onset, 1)));
    b.keep(b.stack(true, analysis::Resource::kDescriptors),
           b.with_load(requests / 200 * (1 - onset), between(onset, 1)));
  }
  // churn of every request, one stack of short lives and one of some seconds
  b.churn(b.stack(false), b.with_load(0.02 * requests * p), [&] { return exponential(0.05, random); });
  b.churn(b.stack(false), b.with_load(0.02 * requests * p), [&] { return exponential(4, random); });
  // a bounded cache: keys from a finite set; full, for most of it, at half time
  b.keep(b.stack(false), b.with_load(0.02 * requests * p, [](double x) { return std::exp(-x / 0.17); }));
  // the same as least-recently-used with eviction
  Population& evicting = b.stack(false);
  for (const double born : b.with_load(0.05 * requests * p)) b.live(evicting, born, born + 0.4 * H);
  // a sawtooth arena, freed every eighth of the run or so
  Population& arena = b.stack(false);
  std::vector<double> resets;
  for (double at = 0; at < H; resets.push_back(at)) at += H / 8 * (0.8 + 0.4 * uniform(random));
  for (const double born : b.with_load(0.1 * requests * p)) {
    b.live(arena, born, *std::upper_bound(resets.begin(), resets.end(), born));
  }
  // warm-up, and connections of the load tool
  b.keep(b.stack(false), b.times(200, between(0, 0.07)));
  b.keep(b.stack(false, analysis::Resource::kDescriptors), b.times(64, between(0, 0.01)));
  // pooled connections to the providers: replaced as they wear out, never more than the pool
  Population& pool = b.stack(false, analysis::Resource::kDescriptors);
  for (int i = 0; i < 16; ++i) {
    for (double born = uniform(random) * 0.02 * H; born < H;) {
      const double died = born + exponential(H / 6, random);
      b.live(pool, born, died);
      born = died;
    }
  }
  return b.done();
}

std::vector<analysis::GaugePoint> autoregressive(std::size_t points, double phi, Random& random) {
  std::normal_distribution<double> normal;
  std::vector<analysis::GaugePoint> series;
  series.reserve(points);
  double value = normal(random);
  const double innovation = std::sqrt(1 - phi * phi);
  for (std::size_t i = 0; i < points; ++i) {
    series.push_back({static_cast<double>(i), value});
    value = phi * value + innovation * normal(random);
  }
  return series;
}

}  // namespace camprobe::ground_truth
