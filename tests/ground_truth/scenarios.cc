// tests/ground_truth/scenarios.cc
#include "tests/ground_truth/scenarios.h"

#include <stdexcept>

#include "tests/ground_truth/builder.h"

namespace camprobe::ground_truth {

using analysis::Population;

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list = [] {
    std::vector<Shape> all = leaky_shapes();
    for (Shape& shape : clean_shapes()) all.push_back(std::move(shape));
    return all;
  }();
  return list;
}

const std::vector<Shape>& held_out_shapes() {
  static const std::vector<Shape> list = [] {
    std::vector<Shape> all = held_out_leaky_shapes();
    for (Shape& shape : held_out_clean_shapes()) all.push_back(std::move(shape));
    return all;
  }();
  return list;
}

const std::vector<Shape>& shapes_under_rising_load() {
  static const std::vector<Shape> list = rising_shapes();
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
