// The outbox, with a receiver made of a function: order, the bound, what is dropped and counted, when it gives up.
#include "push/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "push/back_off.h"

namespace camprobe::push {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr seconds kLong{60};
const auto kNever = [] { return false; };

Parcel parcel(std::int64_t at_ms, std::size_t bytes = 100) {
  Parcel made;
  made.url = "u";
  made.body.assign(bytes, 'x');
  made.from_ms = made.to_ms = at_ms;
  return made;
}

// Answers what the test wants next; an attempt waits until the test lets it.
class Receiver {
 public:
  Delivery operator()(const Parcel& parcel) {
    std::unique_lock lock(mutex_);
    ++attempts_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
    if (answer_.outcome == Outcome::kDelivered) taken_.push_back(parcel.from_ms);
    return answer_;
  }
  void answer(Delivery delivery) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(delivery);
    is_open_ = true;
    changed_.notify_all();
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  void wait_for_attempts(int attempts) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return attempts_ >= attempts; });
  }
  int attempts() {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }
  std::vector<std::int64_t> taken() {
    const std::lock_guard lock(mutex_);
    return taken_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Delivery answer_;
  bool is_open_ = true;
  int attempts_ = 0;
  std::vector<std::int64_t> taken_;
};

struct OutboxTest : testing::Test {
  Receiver receiver;
  std::vector<std::string> said;
};

TEST_F(OutboxTest, WhatWasPutWhileTheReceiverWasAwayArrivesInOrderAndOnce) {
  receiver.answer({Outcome::kAway, "nobody there"});
  Outbox outbox([this](const Parcel& one) { return receiver(one); },
                {.say = [this](const auto& s) { said.push_back(s); }});
  for (int i = 1; i <= 5; ++i) outbox.put(parcel(i));
  receiver.wait_for_attempts(3);
  EXPECT_THAT(receiver.taken(), ElementsAre());
  receiver.answer({});
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(1, 2, 3, 4, 5));
  const Outbox::Figures figures = outbox.figures();
  EXPECT_EQ(figures.delivered, 5u);
  EXPECT_EQ(figures.dropped + figures.refused + figures.waiting + figures.waiting_bytes, 0u);
  EXPECT_GE(figures.attempts_failed, 3u);
  ASSERT_EQ(said.size(), 2u);  // when it went and when it came back, not at each attempt
  EXPECT_THAT(said[0], testing::StartsWith("nobody there; trying again"));
  EXPECT_THAT(said[1], testing::StartsWith("the receiver is back after"));
}

TEST_F(OutboxTest, BeyondTheBoundTheOldestAreDroppedAndCounted) {
  const std::size_t each = parcel(0).bytes();
  receiver.hold();
  Outbox outbox([this](const Parcel& one) { return receiver(one); },
                {.most_bytes = 3 * each, .say = [this](const auto& s) { said.push_back(s); }});
  outbox.put(parcel(1));
  receiver.wait_for_attempts(1);  // it is on its way
  for (int i = 2; i <= 7; ++i) outbox.put(parcel(i));
  Outbox::Figures figures = outbox.figures();
  EXPECT_EQ(figures.dropped, 4u);
  EXPECT_EQ(figures.waiting, 3u);
  EXPECT_EQ(figures.waiting_bytes, 3 * each);
  EXPECT_EQ(figures.lost_from_ms, 1);
  EXPECT_EQ(figures.lost_to_ms, 4);
  receiver.answer({});
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  // The first was dropped on its way and arrived after all.
  EXPECT_THAT(receiver.taken(), ElementsAre(1, 5, 6, 7));
  figures = outbox.figures();
  EXPECT_EQ(figures.delivered, 4u);
  EXPECT_EQ(figures.dropped, 3u);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], testing::HasSubstr("the oldest are dropped"));
}

TEST_F(OutboxTest, AParcelLargerThanTheBoundIsDroppedAlone) {
  receiver.hold();
  Outbox outbox([this](const Parcel& one) { return receiver(one); }, {.most_bytes = 1000});
  outbox.put(parcel(1, 5000));
  EXPECT_EQ(outbox.figures().dropped, 1u);
  EXPECT_EQ(outbox.figures().waiting_bytes, 0u);
  receiver.answer({});
}

TEST_F(OutboxTest, ARefusedOneIsNotSentAgainAndHoldsNothingUp) {
  receiver.answer({Outcome::kRefused, "HTTP 400: no"});
  Outbox outbox([this](const Parcel& one) { return receiver(one); },
                {.say = [this](const auto& s) { said.push_back(s); }});
  outbox.put(parcel(1));
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  receiver.answer({});
  outbox.put(parcel(2));
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(2));
  EXPECT_EQ(receiver.attempts(), 2);
  EXPECT_EQ(outbox.figures().refused, 1u);
  EXPECT_EQ(outbox.figures().refused_why, "HTTP 400: no");
}

TEST_F(OutboxTest, BeingBarredIsFinalAtFirstAndAnOutageLater) {
  receiver.answer({Outcome::kBarred, "HTTP 401"});
  {
    Outbox outbox([this](const Parcel& one) { return receiver(one); }, {});
    outbox.put(parcel(1));
    EXPECT_FALSE(outbox.wait_until_at_most(0, kLong, kNever));
    EXPECT_EQ(outbox.barred(), "HTTP 401");
  }
  receiver.answer({});
  Outbox outbox([this](const Parcel& one) { return receiver(one); }, {});
  outbox.put(parcel(2));
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  receiver.answer({Outcome::kBarred, "HTTP 401"});
  const int before = receiver.attempts();
  outbox.put(parcel(3));
  receiver.wait_for_attempts(before + 2);
  EXPECT_FALSE(outbox.barred());
  receiver.answer({});
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(2, 3));
}

TEST_F(OutboxTest, WhereOnlyTheNewestCountsItReplacesTheOthersAndNothingIsLost) {
  receiver.hold();
  Outbox outbox([this](const Parcel& one) { return receiver(one); }, {.newest_only = true});
  outbox.put(parcel(1));
  receiver.wait_for_attempts(1);
  outbox.put(parcel(2));
  outbox.put(parcel(3));
  EXPECT_EQ(outbox.figures().waiting, 1u);
  receiver.answer({});
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(1, 3));
  EXPECT_EQ(outbox.figures().dropped, 0u);
}

TEST_F(OutboxTest, WaitingEndsWhenTheReceiverHasBeenAwayForTooLong) {
  receiver.answer({Outcome::kAway, "nobody there"});
  Outbox outbox([this](const Parcel& one) { return receiver(one); }, {});
  outbox.put(parcel(1));
  receiver.wait_for_attempts(1);
  EXPECT_FALSE(outbox.wait_until_at_most(0, seconds(1), kNever));
  EXPECT_FALSE(outbox.wait_until_at_most(0, kLong, [] { return true; }));
  EXPECT_EQ(outbox.away_why(), "nobody there");
}

TEST(BackOffTest, WaitsTwiceAsLongEachTimeWithinHalfOfIt) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    BackOff back_off(seed);
    milliseconds step = BackOff::kFirst;
    for (int i = 0; i < 12; ++i) {
      const milliseconds wait = back_off.next();
      EXPECT_GE(wait, step / 2);
      EXPECT_LE(wait, step);
      step = std::min(2 * step, BackOff::kLongest);
    }
    EXPECT_EQ(step, BackOff::kLongest);
    back_off.reset();
    EXPECT_LE(back_off.next(), BackOff::kFirst);
  }
}

TEST(BackOffTest, WaitsAsLongAsItIsAskedToAndNoLongerThanFiveMinutes) {
  BackOff back_off(1);
  EXPECT_EQ(back_off.next(seconds(7)), seconds(7));
  EXPECT_EQ(back_off.next(seconds(86400)), BackOff::kMostAskedFor);
}

}  // namespace
}  // namespace camprobe::push
