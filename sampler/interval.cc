// sampler/interval.cc: see sampler/interval.h.
#include "sampler/interval.h"

namespace camprobe::sampler {

IntervalGenerator::IntervalGenerator(std::uint64_t seed) {
  // splitmix64's finalizer: seeds that differ in one bit (thread ids, times) start far apart.
  seed += 0x9e3779b97f4a7c15ull;
  seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9ull;
  seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebull;
  seed ^= seed >> 31;
  state_ = seed != 0 ? seed : 1;
}

std::uint64_t IntervalGenerator::next_bits() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545f4914f6cdd1dull;
}

std::int64_t IntervalGenerator::next_gap(SampleInterval interval) {
  const double gap = -log_of_uniform(next_bits() >> 11) * static_cast<double>(interval.bytes);
  // At most T * 36.8, which fits for every T up to kLargestInterval.
  return static_cast<std::int64_t>(gap) + 1;
}

double log_of_uniform(std::uint64_t bits) {
  constexpr double kLn2 = 0.693147180559945309417;
  const std::uint64_t one_based = bits + 1;  // in [1, 2^53]
  const int magnitude = 63 - __builtin_clzll(one_based);
  // one_based = mantissa * 2^magnitude, mantissa in [1, 2), moved to [0.75, 1.5) where the series is short.
  double mantissa = static_cast<double>(one_based) / static_cast<double>(std::uint64_t{1} << magnitude);
  int exponent = magnitude - 53;
  if (mantissa > 1.5) {
    mantissa *= 0.5;
    exponent += 1;
  }
  // log m = 2 atanh((m - 1) / (m + 1)), |argument| <= 0.2
  const double s = (mantissa - 1) / (mantissa + 1);
  const double q = s * s;
  const double series =
      1 +
      q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13 + q * (1.0 / 15)))))));
  return exponent * kLn2 + 2 * s * series;
}

}  // namespace camprobe::sampler
