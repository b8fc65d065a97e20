// tests/ground_truth/services.h
//
// Services that get slower, or only seem to: what a load tool and the CPU samples would have recorded of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

using OverTime = std::function<double(double)>;  // of x in [0, 1], the share of the run

struct Service {
  double seconds = 70;
  double bucket = 1;  // seconds of a recorded point
  double requests_per_second = 1500;
  double noise = 0.05, phi = 0.5;  // of the logarithm of the level, from one point to the next
  OverTime load = [](double) { return 1.0; };
  OverTime latency = [](double) { return 1.0; };  // factors
  OverTime cpu = [](double) { return 1.0; };
  OverTime tail = [](double) { return 1.0; };  // of the slowest 2 %
  OverTime waiting = [](double) {
    return 0.0;
  };  // share of requests that wait for a lock, ten times as long as the rest
  // A second endpoint that takes this share of the requests, at this factor of latency; 0: there is one only.
  OverTime second_share = [](double) { return 0.0; };
  OverTime second_latency = [](double) { return 1.0; };
  OverTime slow_cache_misses = [](double) { return 0.0; };  // share of requests that take five times as long
};

analysis::ServiceInput record(const Service& service, Random& random);
analysis::Stretch stretch_of(double seconds);

struct ServiceShape {
  std::string name;
  bool degrades;
  std::function<Service(Random&)> make;  // of an hour, held out or not
};
const std::vector<ServiceShape>& service_shapes();

}  // namespace camprobe::ground_truth
