// tests/gates/measured_run.h
//
// A run of which every metric is known by construction: 100 seconds of load on two endpoints, in a ramp and a steady
// window.
#pragma once

#include <cstdint>
#include <string>

namespace camprobe::tests {

struct MeasuredRun {
  int seconds = 100;  // of load, from second 2 on; the first tenth is the ramp
  double requests_per_second = 100;
  double slower = 1;          // factor of all latencies
  double cpu_factor = 1;      // of CPU per request
  double allocations = 50;    // a request
  double rss_per_second = 0;  // growth in bytes
  double noise = 0;           // of the logarithm of latency and CPU, second by second
  double level = 0;           // shift of that logarithm for the whole run: what differs from run to run
  bool with_burst = true;     // of CPU, five seconds long
  int outage_seconds = 0;     // in the middle: nothing is answered
  bool with_load_results = true;
  bool only_quantiles = false;  // as Artillery: no histograms
  bool with_new_stack = false;  // a function that takes a tenth of the CPU and was not there before
  std::uint64_t seed = 1;
};

// One request in a thousand fails; nine in ten take 10 ms, one in 12.5 80 ms, one in fifty 200 ms, times `slower`;
// /chat gets four of five. CPU is 5 ms a request, and two processors for five seconds at 60 % of the load. 20
// descriptors, 8 threads.
void measured_run(const std::string& path, const MeasuredRun& run = {});

}  // namespace camprobe::tests
