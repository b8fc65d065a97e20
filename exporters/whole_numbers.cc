// exporters/whole_numbers.cc: see whole_numbers.h.
#include "exporters/whole_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace camprobe::exporters {

std::vector<std::int64_t> whole_numbers(const std::vector<double>& figures) {
  std::vector<std::int64_t> whole;
  std::vector<double> rest;
  double exact = 0;
  std::int64_t given = 0;
  for (const double figure : figures) {
    const double floor = std::floor(figure);
    whole.push_back(static_cast<std::int64_t>(floor));
    rest.push_back(figure - floor);
    exact += figure;
    given += whole.back();
  }
  std::vector<std::size_t> order(figures.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rest[a] > rest[b]; });
  std::int64_t missing = std::llround(exact) - given;
  for (std::size_t i = 0; i < order.size() && missing > 0; ++i, --missing) ++whole[order[i]];
  return whole;
}

}  // namespace camprobe::exporters
