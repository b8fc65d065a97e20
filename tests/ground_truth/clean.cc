// tests/ground_truth/clean.cc: shapes that do not leak, and look like it.
#include "tests/ground_truth/builder.h"

namespace camprobe::ground_truth {

using analysis::kAlive;
using analysis::Population;

namespace {

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

}  // namespace

std::vector<Shape> clean_shapes() {
  std::vector<Shape> list;
  add_shape(list, "C01 churn", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.churn(b.stack(false), b.with_load(10 * size.births), [&] { return exponential(1, random); });
    return b.done();
  });
  add_shape(list, "C02 churn30", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double lifetime = b.vary(0.125, 0.06, 0.16);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(lifetime * b.H(), random); });
    return b.done();
  });
  add_shape(list, "C03 heavy", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double alpha = b.vary(1.2, 1.15, 1.5), least = b.vary(0.004, 0.001, 0.01);
    b.churn(b.stack(false), b.with_load(size.births),
            [&] { return least * b.H() * std::pow(uniform(random), -1 / alpha); });
    return b.done();
  });
  add_shape(list, "C04 lognormal", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double typical = b.vary(0.01, 0.003, 0.015), spread = b.vary(2, 1.5, 2.1);
    b.churn(b.stack(false), b.with_load(size.births),
            [&] { return typical * b.H() * std::exp(spread * std::normal_distribution<double>()(random)); });
    return b.done();
  });
  add_shape(list, "C05 lru-early", false, [](auto& name, auto& size, auto& random) {
    return lru(name, size, random, size.held_out ? 0.15 + 0.3 * uniform(random) : 0.25);
  });
  add_shape(list, "C06 lru-late", false, [](auto& name, auto& size, auto& random) {
    return lru(name, size, random, size.held_out ? 0.7 + 0.2 * uniform(random) : 0.85 + 0.05 * uniform(random));
  });
  add_shape(list, "C07 keyed", false, [](auto& name, auto& size, auto& random) {
    return keyed_cache(name, size, random, size.held_out ? 0.25 + 0.2 * uniform(random) : 0.3 + 0.1 * uniform(random));
  });
  add_shape(list, "C07b keyed, few", false, [](auto& name, auto& size, auto& random) {
    Size few = size;  // as many births as a leak of that size has survivors
    few.births = size.survivors;
    return keyed_cache(name, few, random, 0.25 + 0.15 * uniform(random));
  });
  add_shape(list, "C08 ttl", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double lifetime = b.vary(0.5, 0.3, 0.6);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return lifetime * b.H(); });
    return b.done();
  });
  add_shape(list, "C09 ttl-long", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double lifetime = b.vary(0.75, 0.65, 0.8);
    b.churn(b.stack(false), b.with_load(size.births), [&] { return lifetime * b.H(); });
    return b.done();
  });
  add_shape(list, "C10 startup", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    b.keep(stack, b.times(size.births, between(0, 0.08)));
    b.churn(stack, b.with_load(size.births), [&] { return exponential(0.01 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "C11 phase", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a new endpoint, met for the first time at half time: what it keeps, it keeps once
    Population& stack = b.stack(false);
    const double width = 0.02 + 0.06 * uniform(random), begins = b.vary(0.5, 0.3, 0.6);
    b.keep(stack,
           b.with_load(size.births / 4, [=](double x) { return x < begins ? 0.0 : std::exp(-(x - begins) / width); }));
    b.churn(stack, b.with_load(size.births, between(begins, 1)), [&] { return exponential(0.01 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "C12 late-init", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    const double at = b.vary(0.4, 0.2, 0.8);
    b.keep(b.stack(false), b.times(size.births / 4, between(at, at + 0.01)));
    return b.done();
  });
  add_shape(list, "C13 ramp", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 3 * x; });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 24, random); });
    return b.done();
  });
  add_shape(list, "C13b ramp+keyed", false, [](auto& name, auto& size, auto& random) {
    return keyed_cache(name, size, random, 0.35, [](double x) { return 1 + 3 * x; });
  });
  add_shape(list, "C14 step", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return x < 0.7 ? 1.0 : 3.0; });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 24, random); });
    return b.done();
  });
  add_shape(list, "C15 diurnal", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 0.8 * std::sin(4 * M_PI * x); });
    b.churn(b.stack(false), b.with_load(size.births), [&] { return exponential(b.H() / 16, random); });
    return b.done();
  });
  add_shape(list, "C16 flush", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    const double period = (0.14 + 0.26 * uniform(random)) * b.H();
    for (const double born : b.with_load(size.births)) b.live(stack, born, (std::floor(born / period) + 1) * period);
    return b.done();
  });
  add_shape(list, "C17 reload", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a new configuration every so often, the two youngest generations kept
    Population& stack = b.stack(false);
    const double period = b.vary(0.11, 0.08, 0.18) * b.H(), phase = uniform(random) * period;
    for (double at = phase - 2 * period; at < b.H(); at += period) {
      const long objects = std::poisson_distribution<long>(size.births * period / b.H())(random);
      for (long i = 0; i < objects; ++i) b.live(stack, std::max(0.0, at + 0.05 * uniform(random)), at + 2 * period);
    }
    return b.done();
  });
  add_shape(list, "C18 high-water", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.keep(b.stack(false), b.times(size.births / 4, [](double x) { return 1 / std::max(x, 0.01); }));
    return b.done();
  });
  add_shape(list, "C19 sawtooth", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    const std::vector<double> resets = b.resets(b.vary(12, 8, 20), 0.6);
    for (const double born : b.with_load(size.births)) {
      b.live(stack, born, *std::upper_bound(resets.begin(), resets.end(), born));
    }
    return b.done();
  });
  add_shape(list, "C20 arenas", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // the allocator keeps what it got at every peak; the live heap is flat
    const double each = size.survivors * 512 * 1024 / 12;
    b.memory([&](double x) { return each * std::floor(12 * x); }, [&](double x) { return each * std::floor(12 * x); },
             0.01, 0.5);
    return b.done();
  });
  add_shape(list, "C21 growing sawtooth", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    const std::vector<double> resets = b.resets(b.vary(12, 8, 20), 0.4);
    for (const double born : b.with_load(size.births, [](double x) { return 1 + 2 * x; }))
      b.live(stack, born, *std::upper_bound(resets.begin(), resets.end(), born));
    return b.done();
  });
  add_shape(list, "C22 vector", false, [](auto& name, auto& size, auto& random) {
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
  add_shape(list, "C23 noise", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // RSS wanders; inside a bound, or about a level
    const bool bounded_walk = uniform(random) < 0.5;
    double level = 0;
    const double step = 0.05, bound = 1;
    std::vector<double> walk;
    for (int i = 0; i < 241; ++i) {
      level += step * std::normal_distribution<double>()(random);
      level = level > bound ? 2 * bound - level : level < -bound ? -2 * bound - level : level;
      walk.push_back(level);
    }
    const double height = size.survivors * 256 * 1024;
    b.memory([&](double x) { return bounded_walk ? height * walk[static_cast<std::size_t>(240 * x)] : 0; },
             [](double) { return 0.0; }, bounded_walk ? 0.005 : 0.03, 0.95);
    return b.done();
  });
  add_shape(list, "C24 null-many", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    for (int i = 0; i < 300; ++i) {
      const double lifetime = std::pow(10, -3 + 2 * uniform(random)) * b.H();
      b.churn(b.stack(false), b.with_load(80), [&] { return exponential(lifetime, random); });
    }
    return b.done();
  });
  add_shape(list, "C25 connections", false, [](auto& name, auto& size, auto& random) {
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

std::vector<Shape> held_out_clean_shapes() {
  std::vector<Shape> list;
  add_shape(list, "K01 weibull", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    std::weibull_distribution<double> lifetime(0.6, 0.03 * b.H());
    b.churn(b.stack(false), b.with_load(size.births), [&] { return lifetime(random); });
    return b.done();
  });
  add_shape(list, "K02 sessions", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // each use puts the end of a session off: a geometric number of uses
    const double timeout = (0.03 + 0.07 * uniform(random)) * b.H();
    b.churn(b.stack(false), b.with_load(size.births), [&] {
      double lifetime = timeout;
      while (uniform(random) < 0.6) lifetime += timeout * uniform(random);
      return lifetime;
    });
    return b.done();
  });
  add_shape(list, "K03 lru among churn", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    Population& stack = b.stack(false);
    const double full = 0.3 + 0.4 * uniform(random);
    for (const double born : b.with_load(size.births))
      b.live(stack, born, born + full * b.H() * (1 + 0.1 * std::abs(std::normal_distribution<double>()(random))));
    b.churn(stack, b.with_load(2 * size.births), [&] { return exponential(0.01 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "K04 keyed, diurnal", false, [](auto& name, auto& size, auto& random) {
    return keyed_cache(name, size, random, 0.25 + 0.1 * uniform(random),
                       [](double x) { return 1 + 0.7 * std::sin(4 * M_PI * x); });
  });
  add_shape(list, "K05 pool", false, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // workers that are replaced as they wear out, after a quick start
    Population& stack = b.stack(false);
    const double wears = (0.2 + 0.4 * uniform(random)) * b.H();
    for (double i = 0; i < size.births / 4; ++i) {
      double born = 0.03 * b.H() * uniform(random);
      while (born < b.H()) {
        const double died = born + exponential(wears, random);
        b.live(stack, born, died);
        born = died;
      }
    }
    std::sort(stack.lives.begin(), stack.lives.end(), [](const auto& a, const auto& o) { return a.born < o.born; });
    return b.done();
  });
  return list;
}

}  // namespace camprobe::ground_truth
