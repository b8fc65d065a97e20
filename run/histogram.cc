// run/histogram.cc: see run/histogram.h for the buckets and what may be expected of them.
#include "run/histogram.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace camprobe::run {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};
constexpr std::uint32_t kSubBuckets = 1u << Histogram::kSubBucketBits;

std::uint64_t add_saturating(std::uint64_t a, std::uint64_t b) {
  return a > kMost - b ? kMost : a + b;
}

std::uint64_t multiply_saturating(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kMost : product;
}

}  // namespace

std::uint32_t Histogram::bucket_of(std::uint64_t ns) {
  if (ns < kSubBuckets) return static_cast<std::uint32_t>(ns);
  const unsigned octave = static_cast<unsigned>(std::bit_width(ns)) - 1 - kSubBucketBits;
  return (octave << kSubBucketBits) + static_cast<std::uint32_t>(ns >> octave);
}

std::uint64_t Histogram::bucket_low(std::uint32_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const unsigned octave = (bucket >> kSubBucketBits) - 1;
  return static_cast<std::uint64_t>(kSubBuckets + (bucket & (kSubBuckets - 1))) << octave;
}

std::uint64_t Histogram::bucket_high(std::uint32_t bucket) {
  return bucket + 1 >= kBuckets ? kMost : bucket_low(bucket + 1);
}

void Histogram::add_to_bucket(std::uint32_t bucket, std::uint64_t count) {
  // A lower bound without branches: which half a latency lies in cannot be predicted, and a load tool's file of a
  // hundred million requests comes by here twice for each.
  const std::uint16_t* from = buckets_.data();
  for (std::size_t n = buckets_.size(); n > 0;) {
    const std::size_t half = (n + 1) / 2;
    from += from[half - 1] < bucket ? half : 0;
    n -= half;
  }
  const auto index = from - buckets_.data();
  const auto at = buckets_.begin() + index;
  if (at != buckets_.end() && *at == bucket) {
    counts_[static_cast<std::size_t>(index)] = add_saturating(counts_[static_cast<std::size_t>(index)], count);
  } else {
    buckets_.insert(at, static_cast<std::uint16_t>(bucket));
    counts_.insert(counts_.begin() + index, count);
  }
  count_ = add_saturating(count_, count);
}

void Histogram::record(std::uint64_t ns, std::uint64_t count) {
  if (count == 0) return;
  add_to_bucket(bucket_of(ns), count);
  sum_ = add_saturating(sum_, multiply_saturating(ns, count));
  min_ = std::min(min_, ns);
  max_ = std::max(max_, ns);
}

void Histogram::merge(const Histogram& other) {
  if (&other == this) {
    merge(Histogram(other));
    return;
  }
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) add_to_bucket(other.buckets_[i], other.counts_[i]);
  sum_ = add_saturating(sum_, other.sum_);
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

std::optional<double> Histogram::mean() const {
  if (empty()) return std::nullopt;
  return static_cast<double>(sum_) / static_cast<double>(count_);
}

std::optional<std::uint64_t> Histogram::min() const {
  if (empty()) return std::nullopt;
  return min_;
}

std::optional<std::uint64_t> Histogram::max() const {
  if (empty()) return std::nullopt;
  return max_;
}

std::optional<std::uint64_t> Histogram::quantile(double q) const {
  if (empty() || std::isnan(q)) return std::nullopt;
  if (q <= 0) return min_;
  if (q >= 1) return max_;
  const double rank = std::max(1.0, q * static_cast<double>(count_));
  double below = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const auto here = static_cast<double>(counts_[i]);
    if (below + here < rank) {
      below += here;
      continue;
    }
    const std::uint64_t low = bucket_low(buckets_[i]);
    const auto spread = static_cast<double>(bucket_high(buckets_[i]) - 1 - low);
    const std::uint64_t inside = low + static_cast<std::uint64_t>(std::llround(spread * ((rank - below) / here)));
    return std::clamp(inside, min_, max_);
  }
  return max_;  // only where rounding in `below` ran past the end
}

std::string Histogram::to_json() const {
  std::string text = "{";
  char digits[24];
  const auto append = [&](std::uint64_t number) {
    text.append(digits, std::to_chars(std::begin(digits), std::end(digits), number).ptr);
  };
  each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
    text += text.size() == 1 ? "\"" : ",\"";
    append(bucket);
    text += "\":";
    append(count);
  });
  text += '}';
  return text;
}

std::string Histogram::to_short_json() const {
  if (empty()) return "{}";
  std::string text = "[";
  char digits[24];
  const auto append = [&](std::int64_t number) {
    if (text.size() > 1) text += ',';
    text.append(digits, std::to_chars(std::begin(digits), std::end(digits), number).ptr);
  };
  std::optional<std::uint32_t> next;  // bucket
  each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
    if (!next) append(bucket);
    if (next && *next != bucket) append(static_cast<std::int64_t>(*next) - static_cast<std::int64_t>(bucket));
    append(static_cast<std::int64_t>(std::min<std::uint64_t>(count, std::numeric_limits<std::int64_t>::max())));
    next = bucket + 1;
  });
  text += ']';
  return text;
}

Result<Histogram> Histogram::from_json(std::string_view text) {
  const auto malformed = [](const std::string& what) {
    return Error{"histogram: " + what + "; expected {\"bucket\":count,...} as run/histogram.h describes it"};
  };
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  Histogram histogram;
  const auto add = [&](std::uint64_t bucket, std::uint64_t count) {
    if (count > kMost - histogram.count_) return false;
    const std::uint64_t low = bucket_low(static_cast<std::uint32_t>(bucket));
    const std::uint64_t last = bucket_high(static_cast<std::uint32_t>(bucket)) - 1;
    histogram.add_to_bucket(static_cast<std::uint32_t>(bucket), count);
    histogram.sum_ = add_saturating(histogram.sum_, multiply_saturating(low + (last - low) / 2, count));
    histogram.min_ = std::min(histogram.min_, low);
    histogram.max_ = std::max(histogram.max_, last);
    return true;
  };
  if (object.is_array() && !object.empty()) {
    std::uint64_t bucket = 0;
    for (std::size_t i = 0; i < object.size(); ++i) {
      if (!object[i].is_number_integer()) return malformed("an entry of the short form is not a whole number");
      const auto value = object[i].get<std::int64_t>();
      if (i == 0 || value < 0) {
        if ((i == 0 && value < 0) || std::abs(static_cast<double>(value)) >= kBuckets)
          return malformed("there is no such bucket");
        bucket += static_cast<std::uint64_t>(std::abs(value));
        continue;
      }
      if (value == 0 || bucket >= kBuckets) return malformed("the short form has an empty or an impossible bucket");
      if (!add(bucket++, static_cast<std::uint64_t>(value)))
        return malformed("the counts add up to more than 64 bits hold");
    }
    return histogram;
  }
  if (!object.is_object()) return malformed("the text is not a JSON object");
  for (const auto& [key, value] : object.items()) {
    std::uint32_t bucket = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bucket);
    if (error != std::errc{} || end != key.data() + key.size() || bucket >= kBuckets) {
      return malformed("no bucket is called \"" + key.substr(0, 40) + "\"");
    }
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0) {
      return malformed("the count of bucket " + key + " is not a positive whole number");
    }
    const auto count = value.get<std::uint64_t>();
    if (!add(bucket, count)) return malformed("the counts add up to more than 64 bits hold");
  }
  return histogram;
}

}  // namespace camprobe::run
