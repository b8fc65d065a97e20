// The outbox, with a receiver made of a function: order, the bound, what is dropped and counted, when it gives up.
#include "push/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
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

class SpoolTest : public OutboxTest {
 protected:
  SpoolTest() : directory_(std::filesystem::temp_directory_path() / ("camprobe-spool-" + std::to_string(::getpid()))) {}
  ~SpoolTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Spool> open(const std::string& address = "http://receiver") {
    auto opened = Spool::open(directory_.string(), address);
    why_not = opened ? "" : opened.error();
    return opened ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<Outbox> outbox(std::size_t most_bytes = 1 << 20) {
    return std::make_unique<Outbox>([this](const Parcel& one) { return receiver(one); },
                                    OutboxOptions{.most_bytes = most_bytes}, open());
  }
  static Parcel spooled(std::int64_t at_ms) {
    Parcel made = parcel(at_ms);
    made.url = "http://receiver/write";
    made.headers = {"Content-Type: text/plain", "X: y"};
    made.body = std::string("\0\n\nbinary", 9);
    return made;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory_), {})) -
           1;  // the lock
  }

  std::filesystem::path directory_;
  std::string why_not;
};

TEST_F(SpoolTest, WhatOnePusherCouldNotDeliverTheNextOneDoesFirst) {
  receiver.answer({Outcome::kAway, "nobody there"});
  {
    const auto first = outbox();
    for (int i = 1; i <= 3; ++i) first->put(spooled(i));
    receiver.wait_for_attempts(1);
    EXPECT_EQ(first->figures().waiting, 3u);
  }
  EXPECT_EQ(files(), 3u);
  receiver.answer({});
  const auto second = outbox();
  second->put(spooled(4));
  EXPECT_TRUE(second->wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(files(), 0u);
}

TEST_F(SpoolTest, AParcelComesBackAsItWas) {
  const auto spool = open();
  const Parcel before = spooled(7);
  const auto entry = spool->put(before);
  ASSERT_TRUE(entry);
  const auto after = spool->read(*entry);
  ASSERT_TRUE(after);
  EXPECT_EQ(std::tie(after->method, after->url, after->headers, after->body, after->from_ms, after->to_ms),
            std::tie(before.method, before.url, before.headers, before.body, before.from_ms, before.to_ms));
}

TEST_F(SpoolTest, TheBoundHoldsForWhatWasLeftAsWell) {
  receiver.answer({Outcome::kAway, "nobody there"});
  {
    const auto first = outbox();
    for (int i = 1; i <= 5; ++i) first->put(spooled(i));
  }
  const std::size_t each = spooled(0).bytes();
  receiver.answer({});
  const auto second = outbox(2 * each);
  EXPECT_TRUE(second->wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(4, 5));
  EXPECT_EQ(second->figures().dropped, 3u);
  EXPECT_EQ(files(), 0u);
}

TEST_F(SpoolTest, WhatIsNoWholeParcelIsRemovedAndHoldsNothingUp) {
  {
    const auto spool = open();
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(spool->put(spooled(i)));
  }
  std::filesystem::resize_file(directory_ / "0000000000000001.parcel", 70);
  std::ofstream(directory_ / "0000000000000002.parcel") << "not one of ours\n";
  std::ofstream(directory_ / "0000000000000009.parcel.part") << "half";
  receiver.answer({});
  const auto next = outbox();
  EXPECT_TRUE(next->wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(3));
  EXPECT_EQ(files(), 0u);
}

// A user may name a directory that has other things in it: a browser's half downloads, say.
TEST_F(SpoolTest, WhatIsNotOursStaysWhereItIs) {
  ASSERT_TRUE(open());
  std::ofstream(directory_ / "a film.mkv.part") << "half of it";
  std::ofstream(directory_ / "1.parcel") << "a parcel of somebody else's";
  ASSERT_TRUE(open());
  EXPECT_TRUE(std::filesystem::exists(directory_ / "a film.mkv.part"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "1.parcel"));
}

// A full disk, or a directory that went away: the bound on disk may be gigabytes, that of memory may not.
TEST_F(SpoolTest, WhatDoesNotGoToDiskIsKeptInMemoryWithinABoundOfItsOwn) {
  const std::size_t each = spooled(0).bytes();
  receiver.answer({Outcome::kAway, "nobody there"});
  Outbox outbox([this](const Parcel& one) { return receiver(one); },
                {.most_bytes = 100 * each,
                 .most_bytes_beside_spool = 3 * each,
                 .say = [this](const auto& s) { said.push_back(s); }},
                open());
  outbox.put(spooled(1));
  receiver.wait_for_attempts(1);
  const std::filesystem::path away = directory_.string() + "-away";
  std::filesystem::rename(directory_, away);
  for (int i = 2; i <= 6; ++i) outbox.put(spooled(i));
  Outbox::Figures figures = outbox.figures();
  EXPECT_EQ(figures.waiting, 4u) << "one on disk, three in memory";
  EXPECT_EQ(figures.in_memory, 3u);
  EXPECT_EQ(figures.dropped, 2u);
  EXPECT_EQ(figures.lost_from_ms, 2);
  EXPECT_EQ(figures.lost_to_ms, 3);
  EXPECT_EQ(std::count_if(said.begin(), said.end(),
                          [](const auto& s) { return s.find("cannot be written") != std::string::npos; }),
            1)
      << "once, not at each";
  std::filesystem::rename(away, directory_);
  receiver.answer({});
  EXPECT_TRUE(outbox.wait_until_at_most(0, kLong, kNever));
  EXPECT_THAT(receiver.taken(), ElementsAre(1, 4, 5, 6));
  EXPECT_EQ(outbox.figures().in_memory, 0u);
}

TEST_F(SpoolTest, WhatTheReceiverTookAsItEndedIsNotSentAgain) {
  receiver.hold();
  std::thread answering;
  {
    const auto first = outbox();
    first->put(spooled(1));
    first->put(spooled(2));
    receiver.wait_for_attempts(1);
    answering = std::thread([this] {
      std::this_thread::sleep_for(milliseconds(100));  // by then the outbox has been told to end, mostly
      receiver.answer({});
    });
  }
  answering.join();
  EXPECT_GE(receiver.taken().size(), 1u);
  EXPECT_EQ(files(), 2 - receiver.taken().size());
}

TEST_F(SpoolTest, ADirectoryHasOnePusherAndOneReceiverAndNobodyElseWritesThere) {
  auto spool = open();
  ASSERT_TRUE(spool);
  EXPECT_FALSE(open());
  EXPECT_THAT(why_not, testing::HasSubstr("another camprobe push uses it"));
  ASSERT_TRUE(spool->put(spooled(1)));
  spool.reset();
  EXPECT_FALSE(open("http://receive"));
  EXPECT_THAT(why_not, testing::HasSubstr("what waits there is for http://receiver/write"));
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  EXPECT_FALSE(open());
  EXPECT_THAT(why_not, testing::HasSubstr("somebody else may write there"));
  directory_ = "/proc/nowhere";
  EXPECT_FALSE(open());
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
