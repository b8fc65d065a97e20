// tests/analysis/recorded_run.h
//
// The demonstration scenario as the collector would have recorded it: a run file with symbols, a load tool's results,
// spans, /proc series, and a server that frees everything as it shuts down.
#pragma once

#include <string>

#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

struct Recording {
  double seconds = 65;  // of load
  double requests_per_second = 1500;
  double interval = 16 * 1024;
  double later_interval = 0;  // from 70 % of the load on; 0: the same
  double onset = 0.45;        // share of the load
  bool with_leaks = true;
  double slower = 1;              // latency and CPU of a scan at the end, as a factor; from `onset` on
  bool with_load_results = true;  // else only the server's own spans tell of requests
  std::uint64_t seed = 4;
};

// What it will be held against; seconds of the run.
struct Recorded {
  double onset_s = 0;
  double leaked_bytes_per_request = 0;  // while on
  double leaked_descriptors_per_request = 0;
};

Recorded record_run(const std::string& path, const Recording& recording);

}  // namespace camprobe::ground_truth
