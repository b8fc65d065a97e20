// tests/ground_truth/otava.h
//
// Apache Otava (formerly Hunter), re-implemented from its source at 1ceb1537a49d (otava/analysis.py and
// otava/change_point_divisive/), with its defaults: E-divisive over a sliding window of 50 points, weak change points
// at p <= 0.01, merged while their p is not below 0.001, minimum magnitude 0, Student's t on both sides. Its standard
// deviations divide by n, not by n - 1 (numpy's default), though the test takes them for the other; kept as it is.
//
// Published as: Fleming et al., "Hunter: Using Change Point Detection to Hunt for Performance Regressions", ICPE 2023,
// after Matteson and James, JASA 109 (2014).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace camprobe::ground_truth::otava {

struct ChangePoint {
  std::size_t index = 0;  // of the first value after the change
  double mean_before = 0, mean_after = 0;
  double p_value = 1;
};

std::vector<ChangePoint> change_points(std::span<const double> series, std::size_t window = 50,
                                       double max_p_value = 0.001, double min_magnitude = 0);

}  // namespace camprobe::ground_truth::otava
