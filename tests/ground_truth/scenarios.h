// tests/ground_truth/scenarios.h
//
// Sampled streams whose truth is known by construction: what the probe would have recorded of a server that leaks in a
// given way, or does not leak and only looks like it. They drive the real analysis; a table of verdicts over many seeds
// is the measure of it. Names L.. leak, C.. are clean; a name says the shape, not the verdict it gets.
//
// Everything is drawn from the generator passed in, so a seed is a run.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/gauges.h"
#include "collector/analysis/input.h"

namespace camprobe::ground_truth {

using Random = std::mt19937_64;

// How long, how busy, how densely sampled.
struct Size {
  double seconds = 4 * 3600;
  double requests_per_second = 250;
  double survivors = 64;  // a leak's expected sampled survivors, over the time it is on
  double births = 640;    // sampled births of a clean shape, over the run
  double object_bytes = 2048;
  double interval = 512 * 1024;
  // Thresholds are chosen on the shapes with the parameters they are named for; what is published comes from seeds that
  // were not looked at and from shapes whose parameters are drawn anew in every run.
  bool held_out = false;
};

struct Truth {
  bool leaks = false;
  bool ambiguous = false;        // no finite run can tell; scored apart
  double since = 0;              // seconds; 0: from the start
  double until = 0;              // seconds; 0: to the end
  double bytes_per_request = 0;  // while on; 0: not a constant
};

struct Scenario {
  std::string name;
  Truth truth;
  std::vector<analysis::Population> populations;
  std::vector<bool> leaky;       // which of them
  analysis::MemoryParts memory;  // where the shape is one of RSS and its parts; else no points
  bool memory_leaks = false;
  analysis::Stretch stretch;
  std::vector<analysis::WorkPoint> work;
};

struct Shape {
  std::string name;
  bool leaks;
  std::function<Scenario(const Size&, Random&)> make;
};

// The shapes that leak, then those that do not. `held_out_shapes` are of neither list: no threshold was chosen on them.
const std::vector<Shape>& shapes();
const std::vector<Shape>& held_out_shapes();
// Under a load that rises: R.. leak, S.. do not. Of none of the lists above, and no threshold was chosen on them.
const std::vector<Shape>& shapes_under_rising_load();
const Shape& shape(const std::string& name);

// The demonstration: a server under a steady load, a heap leak of 2 KiB on a fifth of the requests and an unclosed
// connection on one in two hundred, both switched on at `onset` (share of the run), between clean neighbours: a bounded
// cache that fills slowly, a sawtooth arena, warm-up, churn.
Scenario demonstration(double seconds, double requests_per_second, double interval, double onset, bool with_leaks,
                       Random& random);

// AR(1) noise of unit variance, for gauges.
std::vector<analysis::GaugePoint> autoregressive(std::size_t points, double phi, Random& random);

}  // namespace camprobe::ground_truth
