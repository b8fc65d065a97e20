// exporters/whole_numbers.cc: see whole_numbers.h.
#include "exporters/whole_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace camprobe::exporters {

std::vector<std::int64_t> whole_numbers(const std::vector<double>& figures) {
  constexpr double kMost =
      9e15;  // a hundred days in nanoseconds, nine petabytes: exact in a double, whatever a file says
  std::vector<std::int64_t> whole;
  std::vector<double> rest;
  double lost = 0;
  for (const double figure : figures) {
    const double floor = std::floor(std::clamp(figure, -kMost, kMost));
    whole.push_back(static_cast<std::int64_t>(floor));
    rest.push_back(std::clamp(figure - floor, 0.0, 1.0));
    lost += rest.back();
  }
  std::vector<std::size_t> order(figures.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rest[a] > rest[b]; });
  std::int64_t missing = std::llround(lost);
  for (std::size_t i = 0; i < order.size() && missing > 0; ++i, --missing) ++whole[order[i]];
  return whole;
}

}  // namespace camprobe::exporters
