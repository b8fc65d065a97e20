// push/back_off.h
//
// How long to wait before a receiver that did not answer is asked again: twice as long each time, from a quarter of a
// second to half a minute, and a random part of it less, so that many pushers do not come back in the same instant when
// the receiver does. What the receiver itself asks for (Retry-After) counts, up to five minutes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace camprobe::push {

class BackOff {
 public:
  static constexpr std::chrono::milliseconds kFirst{250}, kLongest{30'000}, kMostAskedFor{300'000};

  explicit BackOff(std::uint64_t seed) : random_(seed) {}

  // Between half of the present step and all of it; the next step is twice as long. Never less than `asked_for`.
  std::chrono::milliseconds next(std::optional<std::chrono::seconds> asked_for = {}) {
    std::uniform_int_distribution<std::int64_t> part(step_.count() / 2, step_.count());
    const std::chrono::milliseconds wait{part(random_)};
    step_ = std::min(2 * step_, kLongest);
    if (!asked_for) return wait;
    return std::max(wait, std::min<std::chrono::milliseconds>(*asked_for, kMostAskedFor));
  }

  void reset() { step_ = kFirst; }

 private:
  std::mt19937_64 random_;
  std::chrono::milliseconds step_ = kFirst;
};

}  // namespace camprobe::push
