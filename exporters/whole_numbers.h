// exporters/whole_numbers.h: figures as whole numbers whose sum is that of the figures.
#pragma once

#include <cstdint>
#include <vector>

namespace camprobe::exporters {

// Each rounded down, and the units that this loses in total given to those that lost most, the first of equals first:
// so that sums over a file and over the run agree. Figures may be below zero.
std::vector<std::int64_t> whole_numbers(const std::vector<double>& figures);

}  // namespace camprobe::exporters
