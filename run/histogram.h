// run/histogram.h
//
// A histogram of durations in nanoseconds, log-linear as HDR histograms are: every octave is cut into 64 buckets of
// equal width, so a bucket is never wider than 1/64 of its lower bound, and whatever is read from it (a quantile, a
// mean) is off by less than 1.6 %. Below 128 ns a bucket is one value, hence exact. Two histograms add up without loss,
// which is why seconds, endpoints and processes are kept as histograms and never as quantiles.
//
// Bucket b holds the durations d with bucket_low(b) <= d < bucket_high(b):
//   b < 64     d = b
//   b >= 64    octave o = b / 64 - 1, step s = b % 64: low = (64 + s) << o, width 1 << o.
// 3,776 buckets cover every 64-bit value. Only those in use take memory (10 bytes each).
//
// As text: {"bucket":count,...} with the buckets ascending and no zero counts. The text keeps the buckets only: the
// exact sum, minimum and maximum are not in it, and what is read back takes bucket middles and bounds for them.
//
// Not thread-safe: one writer, or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/result.h"

namespace camprobe::run {

class Histogram {
 public:
  static constexpr unsigned kSubBucketBits = 6;  // 64 buckets an octave
  static constexpr std::uint32_t kBuckets = (64 - kSubBucketBits + 1) << kSubBucketBits;

  static std::uint32_t bucket_of(std::uint64_t ns);
  static std::uint64_t bucket_low(std::uint32_t bucket);   // the smallest duration in it
  static std::uint64_t bucket_high(std::uint32_t bucket);  // the first one above it; 2^64-1 for the last bucket

  void record(std::uint64_t ns, std::uint64_t count = 1);
  void merge(const Histogram& other);

  bool empty() const { return count_ == 0; }
  std::uint64_t count() const { return count_; }
  std::size_t buckets_in_use() const { return buckets_.size(); }  // what it costs: 10 bytes each
  std::uint64_t sum() const { return sum_; }                      // nanoseconds; stays at 2^64-1 once it gets there
  std::optional<double> mean() const;
  std::optional<std::uint64_t> min() const;
  std::optional<std::uint64_t> max() const;

  // The duration that a share `q` of the recorded ones does not exceed; nothing where nothing was recorded. The rank
  // q * count() (at least 1) falls into a bucket, whose values are taken to lie evenly over it: of n values in a bucket
  // the k-th is at low + (high - 1 - low) * k / n. Never below min() or above max(); q <= 0 is min(), q >= 1 is max().
  std::optional<std::uint64_t> quantile(double q) const;

  std::string to_json() const;
  // About half as long where many neighbouring buckets are in use: [first bucket, count, count, ...], one count a
  // bucket from there on; a negative number -n passes over n empty buckets. from_json() reads either.
  std::string to_short_json() const;
  static Result<Histogram> from_json(std::string_view text);

  // Calls visit(bucket, count) for the buckets in use, ascending.
  template <typename Visit>
  void each_bucket(Visit visit) const {
    for (std::size_t i = 0; i < buckets_.size(); ++i) visit(static_cast<std::uint32_t>(buckets_[i]), counts_[i]);
  }

 private:
  void add_to_bucket(std::uint32_t bucket, std::uint64_t count);

  std::vector<std::uint16_t> buckets_;  // ascending
  std::vector<std::uint64_t> counts_;   // one each, never zero
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
  std::uint64_t max_ = 0;
};

}  // namespace camprobe::run
