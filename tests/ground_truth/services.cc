// tests/ground_truth/services.cc
#include "tests/ground_truth/services.h"

#include <cmath>

#include "tests/ground_truth/builder.h"

namespace camprobe::ground_truth {

using analysis::CpuSeries;
using analysis::LatencyPoint;
using analysis::ServiceInput;

ServiceInput record(const Service& service, Random& random) {
  ServiceInput input;
  const auto points = static_cast<std::size_t>(service.seconds / service.bucket);
  const auto wobble = autoregressive(points, service.phi, random);
  const auto cpu_wobble = autoregressive(points, service.phi, random);
  std::normal_distribution<double> normal;
  CpuSeries scan{1, "scan_history", {}}, handle{2, "handle_request", {}}, parse{3, "parse", {}};
  const bool has_second = service.second_share(0.5) > 0;
  analysis::LatencySeries first{"/first", {}}, second{"/second", {}};
  for (std::size_t s = 0; s < points; ++s) {
    const double x = (static_cast<double>(s) + 0.5) / static_cast<double>(points);
    LatencyPoint all, of_first, of_second;
    all.at = of_first.at = of_second.at = static_cast<double>(s) * service.bucket;
    all.width = of_first.width = of_second.width = service.bucket;
    all.requests =
        std::poisson_distribution<int>(service.requests_per_second * service.bucket * service.load(x))(random);
    const double level = 5e6 * service.latency(x) * std::exp(service.noise * wobble[s].value);
    for (int i = 0; i < all.requests; i += 5) {  // a fifth of them, each for five
      double ns = level * std::exp(0.4 * normal(random));
      if (i % 50 == 0) ns *= 4 * service.tail(x);
      if (uniform(random) < service.waiting(x)) ns *= 10;
      if (uniform(random) < service.slow_cache_misses(x)) ns *= 5;
      const bool is_second = has_second && uniform(random) < service.second_share(x);
      if (is_second) ns *= service.second_latency(x);
      all.latency.record(static_cast<std::uint64_t>(ns), 5);
      if (!has_second) continue;
      LatencyPoint& point = is_second ? of_second : of_first;
      point.latency.record(static_cast<std::uint64_t>(ns), 5);
      point.requests += 5;
    }
    const double cpu = all.requests * 200e3 * std::exp(service.noise * cpu_wobble[s].value);
    const double extra = cpu * (service.cpu(x) - 1);
    input.cpu.push_back({all.at, cpu + extra});
    scan.nanoseconds.push_back({all.at, 0.1 * cpu + extra});
    handle.nanoseconds.push_back({all.at, 0.8 * cpu + extra});
    parse.nanoseconds.push_back({all.at, 0.3 * cpu});
    input.all.points.push_back(std::move(all));
    if (has_second) first.points.push_back(std::move(of_first)), second.points.push_back(std::move(of_second));
  }
  input.frames = {handle, parse, scan};
  if (has_second) input.endpoints = {std::move(first), std::move(second)};
  return input;
}

analysis::Stretch stretch_of(double seconds) {
  analysis::Stretch stretch;
  stretch.end = seconds;
  stretch.warm_up = 0.1 * seconds;
  return stretch;
}

namespace {

OverTime step(double at, double factor) {
  return [=](double x) { return x >= at ? factor : 1.0; };
}

// An hour at 300 requests a second in points of five seconds; how restless it is differs from run to run.
Service an_hour(Random& random) {
  Service service;
  service.seconds = 3600;
  service.bucket = 5;
  service.requests_per_second = 300;
  service.noise = 0.02 + 0.04 * uniform(random);
  service.phi = 0.2 + 0.6 * uniform(random);
  return service;
}

double half_way(Random& random) {
  return 0.35 + 0.3 * uniform(random);
}

std::vector<ServiceShape> make_service_shapes() {
  std::vector<ServiceShape> list;
  const auto add = [&](const char* name, bool degrades, std::function<void(Service&, Random&)> change) {
    list.push_back({name, degrades, [change](Random& random) {
                      Service service = an_hour(random);
                      change(service, random);
                      return service;
                    }});
  };
  add("D01 CPU +10 %", true, [](auto& s, auto& r) { s.cpu = step(half_way(r), 1.1); });
  add("D02 p95 +10 %", true, [](auto& s, auto& r) { s.latency = step(half_way(r), 1.1); });
  add("D03 CPU +5 %", true, [](auto& s, auto& r) { s.cpu = step(half_way(r), 1.05); });
  add("D04 drift to +10 %", true, [](auto& s, auto&) { s.cpu = s.latency = [](double x) { return 1 + 0.1 * x; }; });
  add("D05 p99 only", true, [](auto& s, auto& r) { s.tail = step(half_way(r), 1.6); });
  add("D06 one endpoint", true, [](auto& s, auto& r) {
    s.second_share = [](double) { return 0.2; };
    s.second_latency = step(half_way(r), 1.2);
  });
  add("D07 lock convoy", true, [](auto& s, auto&) { s.waiting = [](double x) { return 0.1 * x; }; });
  add("D08 O(n) scan", true, [](auto& s, auto&) {
    s.cpu = [](double x) { return 1 + 0.3 * x; };
    s.latency = [](double x) { return 1 + 0.2 * x; };
  });
  add("N01 quiet", false, [](auto&, auto&) {});
  add("N02 restless", false, [](auto& s, auto&) { s.noise = 0.08, s.phi = 0.95; });
  add("N03 load ramp", false, [](auto& s, auto&) {
    s.load = [](double x) { return 0.5 + x; };
    s.latency = [](double x) { return 1 + 0.5 * x; };
  });
  add("N04 mix shift", false, [](auto& s, auto& r) {
    const double at = half_way(r);
    s.second_share = [at](double x) { return x < at ? 0.2 : 0.45; };
    s.second_latency = [](double) { return 2.0; };
  });
  add("N05 neighbour's burst", false, [](auto& s, auto& r) {
    const double from = half_way(r), to = from + 0.05 + 0.15 * uniform(r);
    s.latency = [=](double x) { return x > from && x < to ? 1.5 : 1.0; };
    s.cpu = [=](double x) { return x > from && x < to ? 1.15 : 1.0; };
  });
  add("N06 faster later", false,
      [](auto& s, auto&) { s.latency = s.cpu = [](double x) { return 1 + 0.3 * std::exp(-x / 0.2); }; });
  add("N07 frequency drift", false, [](auto& s, auto& r) {
    const double phase = uniform(r);
    s.latency = s.cpu = [phase](double x) { return 1 + 0.02 * std::sin(2 * M_PI * (2 * x + phase)); };
  });
  add("N08 bimodal latency", false, [](auto& s, auto& r) {
    const double phase = uniform(r);  // a cache's hit rate swings a little
    s.slow_cache_misses = [phase](double x) { return 0.2 + 0.02 * std::sin(2 * M_PI * (5 * x + phase)); };
  });
  return list;
}

}  // namespace

const std::vector<ServiceShape>& service_shapes() {
  static const std::vector<ServiceShape> list = make_service_shapes();
  return list;
}

}  // namespace camprobe::ground_truth
