// tests/ground_truth/leaky.cc: shapes that leak.
#include "tests/ground_truth/builder.h"

namespace camprobe::ground_truth {

using analysis::kAlive;
using analysis::Population;

namespace {

// A stack that keeps some of what it makes while most of it is churn.
Scenario kept_among_churn(const std::string& name, const Size& size, Random& random, double churn_per_survivor,
                          double lifetime_share, double since = 0, double until = 1, Profile load = kFlat) {
  Builder b(name, size, random, std::move(load));
  if (since > 0) since = b.vary(since, since - 0.15, since + 0.1);
  if (until < 1) until = b.vary(until, until - 0.1, until + 0.15);
  const double lifetime = lifetime_share * b.vary(1, 0.6, 1.5);
  const double churned = churn_per_survivor * b.vary(1, 0.5, 2);
  b.leaks(since, until, size.survivors);
  Population& stack = b.stack(true);
  b.keep(stack, b.with_load(size.survivors, between(since, until)));
  b.churn(stack, b.with_load(size.survivors * churned / (until - since)),
          [&] { return exponential(lifetime * b.H(), random); });
  return b.done();
}

}  // namespace

std::vector<Shape> leaky_shapes() {
  std::vector<Shape> list;
  add_shape(list, "L01 steady", true,
            [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 0, 0.001); });
  add_shape(list, "L02 tenth", true,
            [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.005); });
  add_shape(list, "L03 drip", true,
            [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 200, 0.0005); });
  add_shape(list, "L04 big-rare", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // 8 MiB every so often: sampled for certain
    b.leaks(0, 1, size.survivors);
    const double bytes = b.vary(8, 4, 16) * 1024 * 1024, period = b.H() / size.survivors;
    b.scenario().truth.bytes_per_request = 0;
    Population& stack = b.stack(true);
    for (double at = period * uniform(random); at < b.H(); at += period * (0.8 + 0.4 * uniform(random)))
      stack.lives.push_back({at, kAlive, bytes, 1});
    return b.done();
  });
  add_shape(list, "L05 late", true,
            [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.005, 0.6); });
  add_shape(list, "L06 burst", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    Population& stack = b.stack(true);
    const double phase = uniform(random), bursts = b.vary(6, 5, 9), width = b.vary(0.15, 0.1, 0.3);
    b.keep(stack, b.with_load(size.survivors,
                              [&](double x) { return std::fmod(bursts * x + phase, 1.0) < width ? 1.0 : 0.0; }));
    b.churn(stack, b.with_load(5 * size.survivors), [&] { return exponential(0.005 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "L07 error-path", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // whatever makes requests fail comes three times an hour, and then many fail
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    Population& stack = b.stack(true);
    const double clusters = b.vary(3, 2.5, 5) * b.H() / 3600;
    for (const double at : b.times(clusters, kFlat)) {
      const long objects = std::poisson_distribution<long>(size.survivors / clusters)(random);
      for (long i = 0; i < objects; ++i) b.live(stack, std::min(at + 0.005 * b.H() * uniform(random), b.H()), kAlive);
    }
    std::sort(stack.lives.begin(), stack.lives.end(), [](const auto& a, const auto& o) { return a.born < o.born; });
    return b.done();
  });
  add_shape(list, "L08 in-lru", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    const double full = b.vary(0.25, 0.15, 0.35);
    for (const double born : b.with_load(size.survivors / (0.05 + 0.05 * uniform(random))))
      b.live(stack, born, born + full * b.H() * (1 + 0.03 * std::abs(std::normal_distribution<double>()(random))));
    return b.done();
  });
  add_shape(list, "L09 masked", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a cache shrinks by as much as the leak grows: the total is flat
    b.leaks(0, 1, size.survivors);
    b.keep(b.stack(true), b.with_load(size.survivors));
    Population& cache = b.stack(false);
    const std::vector<double> leaves = b.with_load(size.survivors);
    for (const double died : leaves) b.live(cache, 0.05 * b.H() * uniform(random), died);
    return b.done();
  });
  add_shape(list, "L10 decelerating", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.scenario().truth.ambiguous = true;
    b.keep(b.stack(true), b.with_load(size.survivors, [](double x) { return 1 / std::sqrt(std::max(x, 0.01)); }));
    return b.done();
  });
  add_shape(list, "L11 accelerating", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.keep(b.stack(true), b.with_load(size.survivors, [](double x) { return x; }));
    return b.done();
  });
  add_shape(list, "L12 load-falls", true, [](auto& name, auto& size, auto& random) {
    return kept_among_churn(name, size, random, 9, 0.005, 0, 1, [](double x) { return 4 - 3 * x; });
  });
  add_shape(list, "L13 idle-leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random,
              [](double x) { return std::fmod(4 * x, 1.0) < 0.6 ? 1.0 : 0.02; });  // load comes and goes
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.keep(b.stack(true), b.times(size.survivors, kFlat));
    return b.done();
  });
  add_shape(list, "L14 touched", true, [](auto& name, auto& size, auto& random) {
    // The leaked list is scanned by every request: no matter to survival (its CPU is the degradation table's).
    return kept_among_churn(name, size, random, 30, 0.001);
  });
  add_shape(list, "L15 grow-vector", true, [](auto& name, auto& size, auto& random) {
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
  add_shape(list, "L16 map-tombstones", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // erased keys give their values back and keep their nodes
    b.leaks(0, 1, size.survivors);
    b.keep(b.stack(true), b.with_load(size.survivors));
    const double lifetime = b.vary(0.04, 0.01, 0.1);
    b.churn(b.stack(false), b.with_load(4 * size.survivors), [&] { return exponential(lifetime * b.H(), random); });
    return b.done();
  });
  add_shape(list, "L17 cycle", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 0.5 * std::sin(4 * M_PI * x); });
    b.leaks(0, 1, size.survivors);  // a cycle a session: session, buffer and control block stay together
    b.scenario().truth.bytes_per_request = 0;
    const std::vector<double> sessions = b.with_load(size.survivors);
    for (int part = 0; part < 3; ++part) b.keep(b.stack(true), sessions);
    return b.done();
  });
  add_shape(list, "L18 fd", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = size.survivors / (size.requests_per_second * size.seconds);
    Population& stack = b.stack(true, analysis::Resource::kDescriptors);
    b.keep(stack, b.with_load(size.survivors));
    b.churn(stack, b.with_load(20 * size.survivors), [&] { return exponential(0.002 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "L19 thread", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = size.survivors / (size.requests_per_second * size.seconds);
    b.keep(b.stack(true, analysis::Resource::kThreads), b.with_load(size.survivors));
    return b.done();
  });
  add_shape(list, "L20 mmap", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // RSS that no part explains
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.memory([&](double x) { return size.survivors * 512 * 1024 * x; }, [](double) { return 0.0; }, 0.01, 0.5);
    b.scenario().memory_leaks = true;
    return b.done();
  });
  add_shape(list, "L21 sawtooth+leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // an arena freed every so often, and a leak of a fifth of its height over the run
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    const double cycles = b.vary(12, 9, 20);
    const std::vector<double> resets = b.resets(cycles, 0.6);
    for (const double born : b.with_load(5 * cycles * size.survivors))
      b.live(stack, born, *std::upper_bound(resets.begin(), resets.end(), born));
    return b.done();
  });
  add_shape(list, "L22 long-life mix", true,
            [](auto& name, auto& size, auto& random) { return kept_among_churn(name, size, random, 9, 0.125); });
  add_shape(list, "L23 stops at 60 %", true, [](auto& name, auto& size, auto& random) {
    Scenario scenario = kept_among_churn(name, size, random, 5, 0.005, 0, 0.6);
    return scenario;
  });
  add_shape(list, "L24 multi", true, [](auto& name, auto& size, auto& random) {
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
  add_shape(list, "L25 start-up+leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // what fills at start-up, and then leaks, through the same stack
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    const double first = b.vary(2, 1, 5) * size.survivors;
    b.keep(stack, b.times(first, between(0, b.vary(0.08, 0.02, 0.09))));
    std::sort(stack.lives.begin(), stack.lives.end(), [](const auto& a, const auto& o) { return a.born < o.born; });
    return b.done();
  });
  return list;
}

std::vector<Shape> held_out_leaky_shapes() {
  std::vector<Shape> list;
  add_shape(list, "H01 weibull+leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // many short lives and a long tail, and a tenth that stays
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    std::weibull_distribution<double> lifetime(0.6, 0.02 * b.H());
    b.churn(stack, b.with_load(9 * size.survivors), [&] { return lifetime(random); });
    return b.done();
  });
  add_shape(list, "H02 diurnal leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random, [](double x) { return 1 + 0.7 * std::sin(6 * M_PI * x); });
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    b.churn(stack, b.with_load(6 * size.survivors), [&] { return exponential(0.02 * b.H(), random); });
    return b.done();
  });
  add_shape(list, "H03 uniform+leak", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);
    b.leaks(0, 1, size.survivors);
    Population& stack = b.stack(true);
    b.keep(stack, b.with_load(size.survivors));
    b.churn(stack, b.with_load(5 * size.survivors), [&] { return 0.25 * b.H() * uniform(random); });
    return b.done();
  });
  add_shape(list, "H04 two rates", true, [](auto& name, auto& size, auto& random) {
    Builder b(name, size, random);  // a second caller begins to leak through the same stack
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    const double second = 0.3 + 0.4 * uniform(random);
    b.keep(b.stack(true), b.with_load(size.survivors, [=](double x) { return x < second ? 1.0 : 2.5; }));
    return b.done();
  });
  return list;
}

}  // namespace camprobe::ground_truth
