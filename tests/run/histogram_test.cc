// tests/run/histogram_test.cc: the buckets' bounds, the promised error, and the text form.
#include "run/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace camprobe::run {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};

TEST(Histogram, BucketsTileAllValuesWithoutGapOrOverlap) {
  EXPECT_EQ(Histogram::bucket_low(0), 0u);
  for (std::uint32_t bucket = 0; bucket + 1 < Histogram::kBuckets; ++bucket) {
    const std::uint64_t low = Histogram::bucket_low(bucket);
    const std::uint64_t high = Histogram::bucket_high(bucket);
    ASSERT_LT(low, high);
    ASSERT_EQ(high, Histogram::bucket_low(bucket + 1));
    ASSERT_EQ(Histogram::bucket_of(low), bucket);
    ASSERT_EQ(Histogram::bucket_of(high - 1), bucket);
    ASSERT_EQ(Histogram::bucket_of(high), bucket + 1);
  }
  EXPECT_EQ(Histogram::bucket_of(kMost), Histogram::kBuckets - 1);
  EXPECT_EQ(Histogram::bucket_high(Histogram::kBuckets - 1), kMost);
}

TEST(Histogram, NoBucketIsWiderThanOneSixtyFourthOfItsLowerBound) {
  for (std::uint32_t bucket = 1; bucket < Histogram::kBuckets; ++bucket) {
    const std::uint64_t low = Histogram::bucket_low(bucket);
    const std::uint64_t width = Histogram::bucket_high(bucket) - low;
    if (low < 128) {
      ASSERT_EQ(width, 1u) << low;
    } else {
      ASSERT_LE(width, low / 64) << low;
    }
  }
}

TEST(Histogram, AnEmptyOneTellsNothing) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_FALSE(histogram.quantile(0.5));
  EXPECT_FALSE(histogram.mean());
  EXPECT_FALSE(histogram.min());
  EXPECT_FALSE(histogram.max());
  EXPECT_EQ(histogram.to_json(), "{}");
}

TEST(Histogram, QuantilesOfSkewedDurationsAreWithinThePromisedError) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> draw(std::log(3e6), 1.2);
  std::vector<std::uint64_t> truth;
  Histogram histogram;
  for (int i = 0; i < 20000; ++i) {
    truth.push_back(static_cast<std::uint64_t>(draw(random)));
    histogram.record(truth.back());
  }
  std::sort(truth.begin(), truth.end());
  for (const double q : {0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(truth.size())));
    const auto exact = static_cast<double>(truth[rank - 1]);
    EXPECT_NEAR(static_cast<double>(*histogram.quantile(q)), exact, exact * 0.016) << q;
  }
  EXPECT_EQ(histogram.quantile(0), truth.front());
  EXPECT_EQ(histogram.quantile(1), truth.back());
  EXPECT_EQ(histogram.min(), truth.front());
  EXPECT_EQ(histogram.max(), truth.back());
}

TEST(Histogram, QuantilesNeverDecrease) {
  Histogram histogram;
  histogram.record(1'000'000, 3);
  histogram.record(1'005'000, 2);
  histogram.record(90'000'000);
  std::uint64_t before = 0;
  for (int i = 0; i <= 1000; ++i) {
    const std::uint64_t now = *histogram.quantile(i / 1000.0);
    ASSERT_GE(now, before) << i;
    before = now;
  }
  EXPECT_FALSE(histogram.quantile(std::nan("")));
}

TEST(Histogram, OneValueIsEveryQuantile) {
  Histogram histogram;
  histogram.record(123'456'789);
  for (const double q : {0.0, 0.3, 0.5, 0.99, 1.0}) EXPECT_EQ(histogram.quantile(q), 123'456'789u);
}

TEST(Histogram, CountsAndSumsAreExact) {
  Histogram histogram;
  histogram.record(10, 4);
  histogram.record(1'000'003, 2);
  histogram.record(5, 0);
  EXPECT_EQ(histogram.count(), 6u);
  EXPECT_EQ(histogram.sum(), 2'000'046u);
  EXPECT_DOUBLE_EQ(*histogram.mean(), 2'000'046.0 / 6);
  EXPECT_EQ(histogram.min(), 10u);
}

TEST(Histogram, MergingGivesWhatRecordingAllInOneWouldHave) {
  std::mt19937_64 random(11);
  Histogram all, left, right;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t ns = random() >> (random() % 60);
    all.record(ns);
    (i % 3 == 0 ? left : right).record(ns);
  }
  left.merge(right);
  left.merge(Histogram{});
  EXPECT_EQ(left.to_json(), all.to_json());
  EXPECT_EQ(left.count(), all.count());
  EXPECT_EQ(left.sum(), all.sum());
  EXPECT_EQ(left.min(), all.min());
  EXPECT_EQ(left.max(), all.max());
}

TEST(Histogram, MergingWithItselfDoubles) {
  Histogram histogram;
  histogram.record(500, 2);
  histogram.record(70'000);
  histogram.merge(histogram);
  EXPECT_EQ(histogram.count(), 6u);
  EXPECT_EQ(histogram.sum(), 142'000u);
}

TEST(Histogram, TheLargestValuesDoNotOverflow) {
  Histogram histogram;
  histogram.record(kMost, 3);
  histogram.record(1, kMost);
  EXPECT_EQ(histogram.count(), kMost);
  EXPECT_EQ(histogram.sum(), kMost);
  EXPECT_EQ(histogram.max(), kMost);
}

TEST(Histogram, TheTextIsSparseSortedAndReadsBack) {
  Histogram histogram;
  histogram.record(1'000'000, 2);
  histogram.record(7);
  histogram.record(63, 5);
  const std::string text = histogram.to_json();
  EXPECT_EQ(text, "{\"7\":1,\"63\":5,\"" + std::to_string(Histogram::bucket_of(1'000'000)) + "\":2}");

  const Result<Histogram> read = Histogram::from_json(text);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().to_json(), text);
  EXPECT_EQ(read.value().count(), 8u);
  EXPECT_EQ(read.value().min(), 7u);
  EXPECT_NEAR(static_cast<double>(read.value().sum()), static_cast<double>(histogram.sum()),
              0.016 * static_cast<double>(histogram.sum()));
  EXPECT_NEAR(static_cast<double>(*read.value().max()), 1e6, 0.016e6);
}

TEST(Histogram, TheShortFormSaysTheSame) {
  Histogram histogram;
  EXPECT_EQ(histogram.to_short_json(), "{}");
  for (const std::uint64_t ns : {5, 6, 6, 9, 1'000'000}) histogram.record(ns);
  EXPECT_EQ(histogram.to_short_json().substr(0, 11), "[5,1,2,-2,1");
  const Result<Histogram> read = Histogram::from_json(histogram.to_short_json());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().to_json(), histogram.to_json());
}

TEST(Histogram, AnEmptyTextObjectIsAnEmptyHistogram) {
  const Result<Histogram> read = Histogram::from_json(" {} ");
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read.value().empty());
}

TEST(Histogram, MalformedTextIsRefusedWithTheReason) {
  for (const char* text : {"",
                           "{",
                           "[]",
                           "null",
                           "17",
                           "{\"7\":1",
                           "{\"7\":1}x",
                           "{\"x\":1}",
                           "{\"\":1}",
                           "{\"-1\":1}",
                           "{\"7 \":1}",
                           "{\"3776\":1}",
                           "{\"99999999999\":1}",
                           "{\"7\":0}",
                           "{\"7\":-1}",
                           "{\"7\":1.5}",
                           "{\"7\":\"1\"}",
                           "[-1,1]",
                           "[7,0]",
                           "[7,1,-3776,1]",
                           "[3776,1]",
                           "[7,1.5]",
                           "[\"7\",1]",
                           "{\"7\":18446744073709551616}",
                           "{\"7\":18446744073709551615,\"8\":1}"}) {
    const Result<Histogram> read = Histogram::from_json(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.error().find("histogram: "), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace camprobe::run
