#include "suite/effect.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace camprobe::suite {

std::optional<Difference> difference_of(const std::vector<double>& first, const std::vector<double>& second) {
  struct Side {
    double n = 0, mean = 0, variance = 0;
  };
  const auto side_of = [](const std::vector<double>& values) {
    Side side;
    side.n = static_cast<double>(values.size());
    for (const double value : values) side.mean += value / side.n;
    for (const double value : values) side.variance += std::pow(value - side.mean, 2) / (side.n - 1);
    return side;
  };
  if (first.size() < 2 || second.size() < 2) return std::nullopt;
  const Side a = side_of(first), b = side_of(second);
  const double va = a.variance / a.n, vb = b.variance / b.n;
  Difference out;
  out.value = out.low = out.high = a.mean - b.mean;
  if (va + vb <= 0) return out;
  const double degrees = std::max(1.0, std::pow(va + vb, 2) / (va * va / (a.n - 1) + vb * vb / (b.n - 1)));
  const double reach = boost::math::quantile(boost::math::students_t(degrees), 0.975) * std::sqrt(va + vb);
  out.low -= reach;
  out.high += reach;
  const double pooled = std::sqrt(((a.n - 1) * a.variance + (b.n - 1) * b.variance) / (a.n + b.n - 2));
  if (pooled > 0) out.hedges_g = out.value / pooled * (1 - 3 / (4 * (a.n + b.n - 2) - 1));
  return out;
}

std::optional<Effect> effect_of(const std::vector<double>& first, const std::vector<double>& second) {
  std::vector<double> a, b;
  for (const auto& [from, to] : {std::pair{&first, &a}, {&second, &b}}) {
    for (const double value : *from) {
      if (!(value > 0)) return std::nullopt;
      to->push_back(std::log(value));
    }
  }
  const auto difference = difference_of(a, b);
  if (!difference) return std::nullopt;
  return Effect{std::exp(difference->value), std::exp(difference->low), std::exp(difference->high),
                difference->hedges_g};
}

}  // namespace camprobe::suite
