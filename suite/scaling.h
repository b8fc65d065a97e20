// suite/scaling.h
//
// How throughput grows with N (cores, instances, users), by two laws:
//   Universal Scalability Law (Gunther 1993)   X(N) = l N / (1 + s (N - 1) + k N (N - 1))
//   Amdahl's law                               the same without coherency, k = 0
// l is the throughput of one, s the contention (share of work that waits for the others), k the coherency (each pair of
// them costs something; where k > 0 throughput has a peak, at sqrt((1 - s) / k)).
//
// Fitted by least squares of X (Levenberg-Marquardt, terms kept at zero or above), as the R package usl does. Intervals
// are percentiles of 500 residual bootstraps with a fixed seed.
#pragma once

#include <optional>
#include <vector>

namespace camprobe::suite {

struct ScalePoint {
  double n = 0, throughput = 0;
};

struct ScaleFit {
  double single = 0, contention = 0, coherency = 0;
  double contention_low = 0, contention_high = 0, coherency_low = 0, coherency_high = 0;  // 95 %
  std::optional<double> peak_at;
  double r_squared = 0;
  double at(double n) const;
};

// Need four points of at least four different N; Amdahl's three. Nothing where there are fewer.
std::optional<ScaleFit> fit_usl(const std::vector<ScalePoint>& points);
std::optional<ScaleFit> fit_amdahl(const std::vector<ScalePoint>& points);

}  // namespace camprobe::suite
