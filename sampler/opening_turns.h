// sampler/opening_turns.h
//
// Which openings of plain files are captured, stack and all. A web server opens a file for each request, and a capture
// costs it more than the request's other hooks together; what the captures are for, where files stay open, a share of
// them tells as well.
//
// Openings come in blocks of N, of each of which one is captured, every one with the same chance. So it stands for N of
// its kind, and sums of what captured openings stand for are unbiased (Horvitz-Thompson). N is a power of two and
// changes between blocks only, by how fast the openings came until then: a thread that opens fewer than some hundred
// files a second has all of them captured, and so are the first of any thread.
//
// One thread's. Called by hooks.
#pragma once

#include <cstdint>

#include "sampler/interval.h"

namespace camprobe::sampler {

class OpeningTurns {
 public:
  static constexpr std::uint32_t kFirst = 256;     // a thread's first openings, which are all captured
  static constexpr std::uint32_t kLargest = 1024;  // N, at most
  // Between two captures: N doubles where the average is less, halves where it is more.
  static constexpr std::uint64_t kTooCloseNs = 2'000'000;
  static constexpr std::uint64_t kTooFarNs = 10'000'000;

  // One more opening at `now_ns`. How many openings it stands for; 0: it is not captured.
  std::uint32_t take(std::uint64_t now_ns, IntervalGenerator& random) {
    if (__builtin_expect(--left_ != 0, 1)) return 0;
    return capture(now_ns, random);
  }

 private:
  [[gnu::noinline]] std::uint32_t capture(std::uint64_t now_ns, IntervalGenerator& random) {
    const std::uint32_t stands_for = one_in_;
    const std::uint32_t rest_of_block = one_in_ - 1 - place_;
    if (captured_ < kFirst)
      ++captured_;
    else
      follow_rate(now_ns);
    last_ns_ = now_ns;
    place_ = static_cast<std::uint32_t>(random.next_bits() >> 32) & (one_in_ - 1);
    left_ = rest_of_block + place_ + 1;
    return stands_for;
  }

  void follow_rate(std::uint64_t now_ns) {
    constexpr std::uint64_t kLongest = 100'000'000;  // a pause counts as no more
    constexpr std::uint64_t kAverageOf = 8;
    std::uint64_t gone = now_ns > last_ns_ ? now_ns - last_ns_ : 0;
    if (gone > kLongest) gone = kLongest;
    between_ns_ = between_ns_ - between_ns_ / kAverageOf + gone / kAverageOf;
    if (between_ns_ < kTooCloseNs && one_in_ < kLargest) {
      one_in_ *= 2;
      between_ns_ *= 2;
    } else if (between_ns_ > kTooFarNs && one_in_ > 1) {
      one_in_ /= 2;
      between_ns_ /= 2;
    }
  }

  std::uint32_t left_ = 1;    // openings until one is captured, itself included
  std::uint32_t one_in_ = 1;  // N of the block that one lies in, and its place there
  std::uint32_t place_ = 0;
  std::uint32_t captured_ = 0;  // no more than kFirst
  std::uint64_t last_ns_ = 0;
  std::uint64_t between_ns_ = kTooCloseNs;  // captures, on a moving average
};

}  // namespace camprobe::sampler
