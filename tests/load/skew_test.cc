// tests/load/skew_test.cc: the shift between two clocks that count the same requests.
#include "collector/load/skew.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace camprobe::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct TwoSides {
  RequestSeries load, server;
};

// Requests at Poisson times of the given rate over `length` seconds. The load's clock begins at 100 s and is off by
// `skew`; the server's series reaches `around` seconds beyond on either side, and counts `other` requests a second
// more.
TwoSides drive(double skew, int length, const std::function<double(double)>& rate, int around = 30, double other = 0,
               unsigned seed = 3) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(1);
  TwoSides sides;
  sides.load = {seconds{100}, seconds{1}, std::vector<double>(static_cast<std::size_t>(length), 0)};
  sides.server = {seconds{100 - around}, seconds{1},
                  std::vector<double>(static_cast<std::size_t>(length + 2 * around), 0)};
  const auto count = [](RequestSeries& series, double at) {
    const double place = std::floor(at - std::chrono::duration<double>(series.from).count());
    if (place >= 0 && place < static_cast<double>(series.counts.size()))
      ++series.counts[static_cast<std::size_t>(place)];
  };
  const double highest = 2000;
  std::uniform_real_distribution<double> share(0, 1);
  for (double at = gap(random) / highest; at < length; at += gap(random) / highest) {
    if (share(random) * highest > rate(at)) continue;
    count(sides.load, 100 + at);
    count(sides.server, 100 + at + skew);
  }
  if (other > 0) {
    for (double at = 100 - around; at < 100 + length + around; at += gap(random) / other) count(sides.server, at);
  }
  return sides;
}

double seconds_of(const std::optional<Nanoseconds>& skew) {
  return std::chrono::duration<double>(*skew).count();
}

class KnownSkew : public testing::TestWithParam<double> {};

TEST_P(KnownSkew, IsFoundWithinAQuarterOfABucket) {
  const double skew = GetParam();
  const auto wavy = [](double at) { return 300 + 200 * std::sin(at / 7) * std::sin(at / 2.3); };
  const TwoSides sides = drive(skew, 120, wavy);
  const auto found = estimate_skew(sides.load, sides.server, seconds{60});
  ASSERT_TRUE(found);
  EXPECT_NEAR(seconds_of(found), skew, 0.25);
}

INSTANTIATE_TEST_SUITE_P(Skews, KnownSkew, testing::Values(0.0, 0.3, 0.5, -0.75, 2.0, 3.4, -5.6, 17.25, -25.0));

TEST(Skew, TheCountingNoiseOfASteadyClosedLoopIsEnough) {
  // The same requests on both sides share their chance fluctuations.
  const TwoSides sides = drive(3.0, 180, [](double) { return 400.0; });
  const auto found = estimate_skew(sides.load, sides.server, seconds{25});
  ASSERT_TRUE(found);
  EXPECT_NEAR(seconds_of(found), 3.0, 0.25);
}

TEST(Skew, OtherTrafficOfTheServerDoesNotMatter) {
  const TwoSides sides = drive(
      -4.0, 120, [](double at) { return at < 40   ? 100
                                        : at < 80 ? 900
                                                  : 300; }, 30, 50);
  const auto found = estimate_skew(sides.load, sides.server, seconds{25});
  ASSERT_TRUE(found);
  EXPECT_NEAR(seconds_of(found), -4.0, 0.25);
}

TEST(Skew, AConstantLoadSeenFromWithinTellsNothing) {
  const RequestSeries load{seconds{100}, seconds{1}, std::vector<double>(60, 50)};
  const RequestSeries server{seconds{110}, seconds{1}, std::vector<double>(30, 50)};
  EXPECT_FALSE(estimate_skew(load, server, seconds{5}));
}

TEST(Skew, UnrelatedTrafficTellsNothing) {
  int answers = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const TwoSides one = drive(
        0, 100, [](double) { return 300.0; }, 0, 0, 2 * seed + 1);
    const TwoSides other = drive(
        0, 100, [](double) { return 300.0; }, 30, 0, 2 * seed + 2);
    RequestSeries server = other.server;
    for (double& count : server.counts) count = count == 0 ? 300 : count;  // no edges to agree on
    answers += estimate_skew(one.load, server, seconds{20}).has_value();
  }
  EXPECT_LE(answers, 1);
}

TEST(Skew, APeriodicLoadIsAmbiguous) {
  RequestSeries load{seconds{100}, seconds{1}, {}}, server{seconds{0}, seconds{1}, {}};
  for (int i = 0; i < 60; ++i) load.counts.push_back(i % 5 == 0 ? 500 : 20);
  for (int i = 0; i < 300; ++i) server.counts.push_back(i % 5 == 0 ? 500 : 20);
  EXPECT_FALSE(estimate_skew(load, server, seconds{30}));
}

TEST(Skew, ASkewBeyondTheLimitIsNotReported) {
  const TwoSides sides = drive(20.0, 120, [](double at) { return 300 + 200 * std::sin(at / 3); });
  const auto found = estimate_skew(sides.load, sides.server, seconds{10});
  EXPECT_LE(found ? std::abs(seconds_of(found)) : 0, 10);
}

TEST(Skew, TooLittleTellsNothing) {
  EXPECT_FALSE(estimate_skew({}, {}));
  const RequestSeries few{seconds{0}, seconds{1}, {1, 2, 3}};
  EXPECT_FALSE(estimate_skew(few, few));
  RequestSeries half{seconds{0}, milliseconds{500}, std::vector<double>(100, 9)};
  RequestSeries whole{seconds{0}, seconds{1}, std::vector<double>(100, 9)};
  EXPECT_FALSE(estimate_skew(half, whole));
}

}  // namespace
}  // namespace camprobe::load
