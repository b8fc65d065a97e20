#include "suite/effect.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace camprobe::suite {
namespace {

struct Side {
  double n = 0, mean = 0, variance = 0;
};

std::optional<Side> side_of(const std::vector<double>& values) {
  if (values.size() < 2) return std::nullopt;
  Side side;
  side.n = static_cast<double>(values.size());
  for (const double value : values) {
    if (!(value > 0)) return std::nullopt;
    side.mean += std::log(value) / side.n;
  }
  for (const double value : values) side.variance += std::pow(std::log(value) - side.mean, 2) / (side.n - 1);
  return side;
}

}  // namespace

std::optional<Effect> effect_of(const std::vector<double>& first, const std::vector<double>& second) {
  const auto a = side_of(first), b = side_of(second);
  if (!a || !b) return std::nullopt;
  const double difference = a->mean - b->mean, va = a->variance / a->n, vb = b->variance / b->n;
  Effect effect;
  effect.ratio = std::exp(difference);
  effect.low = effect.high = effect.ratio;
  if (va + vb <= 0) return effect;
  const double degrees = std::max(1.0, std::pow(va + vb, 2) / (va * va / (a->n - 1) + vb * vb / (b->n - 1)));
  const double reach = boost::math::quantile(boost::math::students_t(degrees), 0.975) * std::sqrt(va + vb);
  effect.low = std::exp(difference - reach);
  effect.high = std::exp(difference + reach);
  const double pooled = std::sqrt(((a->n - 1) * a->variance + (b->n - 1) * b->variance) / (a->n + b->n - 2));
  if (pooled > 0) effect.hedges_g = difference / pooled * (1 - 3 / (4 * (a->n + b->n - 2) - 1));
  return effect;
}

}  // namespace camprobe::suite
