// tests/run/fold_test.cc
#include "run/fold.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "run/reader.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

using namespace camprobe::run;

namespace {

constexpr std::int64_t kSeconds = 7 * 1800;

// Some hours of one process, flushed every second as a collector does; made once.
class FoldedRun {
 public:
  FoldedRun() {
    auto writer = Writer::create(path(), sample_meta());
    EXPECT_TRUE(writer);
    Process process;
    process.pid = 1;
    process_ = writer->add(process);
    for (int i = 0; i < kStacks; ++i) stacks_.push_back(writer->add_stack(process_, false));
    name_ = writer->name("work");
    key_ = writer->name("user");
    const Metric gauge{0, "level", "bytes", "gauge"};
    for (std::int64_t second = 0; second < kSeconds; ++second) {
      writer->point(gauge, process_, second, static_cast<double>(second % 60 == 7 ? 1000 : second % 60));
      writer->count(IoRow{process_, second, "socket_read", 3, 100, 0, 7});
      for (int i = 0; i < 8; ++i) {
        const int stack = static_cast<int>((second * 37 + i * 101) % kStacks);
        const double weight = 1e7 * (1 + stack % 5);
        writer->count(CpuRow{process_, second, kNoThread, stacks_[static_cast<std::size_t>(stack)], name_, 1, weight});
        truth_[stacks_[static_cast<std::size_t>(stack)]] += weight;
      }
      for (int i = 1; i <= 20; ++i) writer->count(Writer::SpanEnd{process_, second, name_, i * 1'000'000 + second});
      for (int i = 0; i < 8; ++i) {
        writer->count(SpanAttribute{process_, second, name_, key_, "user " + std::to_string(second * 20 + i), 1, 2, 0});
        writer->put(
            Span{process_, second * 20 + i, 0, name_, second * kTestSecond, second * kTestSecond + i, {}, {}, "{}"});
      }
      for (int i = 0; i < 3; ++i) {
        const auto died = i == 0 ? std::optional<std::int64_t>{} : (second + i) * kTestSecond;
        writer->put(HeapObject{process_,
                               second * 3 + i + 1,
                               stacks_[static_cast<std::size_t>(i)],
                               {},
                               {},
                               64,
                               8192,
                               8192,
                               128,
                               second * kTestSecond,
                               died});
      }
      EXPECT_TRUE(writer->flush());
    }
    EXPECT_TRUE(writer->finish(kSeconds * kTestSecond, kComplete));
    reader_.emplace(std::move(*Reader::open(path())));
  }

  std::map<StackId, double> truth_;  // CPU time
  std::optional<Reader> reader_;

 private:
  std::string path() const { return scratch_ / "folded.camrun"; }

  static constexpr int kStacks = 700;
  Scratch scratch_;
  ProcessId process_{};
  std::vector<StackId> stacks_;
  NameId name_{}, key_{};
};

class Folded : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { run_ = new FoldedRun; }
  static void TearDownTestSuite() { delete run_; }
  static inline FoldedRun* run_ = nullptr;
  Reader* reader_ = &*run_->reader_;
  const std::map<StackId, double>& truth_ = run_->truth_;
};

}  // namespace

TEST_F(Folded, OldBucketsAreWiderAndSumsStayExact) {
  std::map<std::int64_t, std::int64_t> buckets;
  std::int64_t ops = 0;
  for (const IoRow& row : reader_->io()) {
    ++buckets[row.width];
    ops += row.ops;
    EXPECT_EQ(row.ops, 3 * row.width);
    EXPECT_EQ(row.second % row.width, 0);
  }
  EXPECT_EQ(ops, 3 * kSeconds);
  EXPECT_EQ(buckets.size(), 3u) << "seconds, tens and minutes";
  EXPECT_NEAR(static_cast<double>(buckets[1]), Folder::kTenAfter, 2 * Folder::kTen);
  EXPECT_NEAR(static_cast<double>(buckets[60]), (kSeconds - Folder::kMinuteAfter) / 60.0, 2);
}

TEST_F(Folded, AGaugeKeepsItsLastValueAndItsPeak) {
  int minutes = 0;
  for (const Point& point : reader_->series("level")) {
    EXPECT_EQ(point.width, reader_->width_at(point.second));
    if (point.width != 60) continue;
    ++minutes;
    EXPECT_EQ(point.value, 59);
    EXPECT_EQ(point.peak, 1000);
  }
  EXPECT_GT(minutes, 20);
}

TEST_F(Folded, LatenciesAreMergedNotAveraged) {
  for (const SpanStat& row : reader_->span_stats()) {
    if (row.width != 60) continue;
    EXPECT_EQ(row.spans, 20 * 60);
    Histogram truth;
    for (std::int64_t second = row.second; second < row.second + 60; ++second) {
      for (int i = 1; i <= 20; ++i) truth.record(static_cast<std::uint64_t>(i * 1'000'000 + second));
    }
    const auto merged = Histogram::from_json(row.latency);
    ASSERT_TRUE(merged);
    EXPECT_EQ(merged->to_json(), truth.to_json());
  }
}

TEST_F(Folded, StacksKeepTheirWeightOnTheWhole) {
  double all = 0, wanted = 0, off = 0;
  std::map<StackId, double> got;
  for (const StackWeight& row : reader_->cpu()) got[row.stack] += row.weight;
  for (const auto& [stack, weight] : truth_) {
    all += got[stack];
    wanted += weight;
    off += std::pow(got[stack] - weight, 2) / weight;
  }
  EXPECT_NEAR(all / wanted, 1, 0.02);
  // Each stack by itself: rows of a minute that weigh 1 to 5 samples stand for up to 5 at a time.
  EXPECT_LT(off / static_cast<double>(truth_.size()), 20 * 1e7);
  std::map<std::int64_t, std::size_t> rows;
  reader_->each_cpu({}, [&](const CpuRow& row) {
    if (row.width == 60) ++rows[row.second];
  });
  for (const auto& [second, count] : rows) EXPECT_LE(count, 51u);
}

TEST_F(Folded, WhatLivesIsAllThereAndWhatDiedIsWeighed) {
  std::size_t alive = 0, dead = 0;
  double dead_objects = 0;
  reader_->each_heap_object({}, [&](const HeapObject& row) {
    row.died_ns ? ++dead : ++alive;
    if (row.died_ns) dead_objects += row.objects;
  });
  EXPECT_EQ(alive, static_cast<std::size_t>(kSeconds));
  EXPECT_LT(dead, static_cast<std::size_t>(kSeconds)) << "two a second died";
  const double truth = 2.0 * 128 * kSeconds;
  EXPECT_NEAR(dead_objects / truth, 1, 0.05);
}

TEST_F(Folded, TextsWithoutEndBecomeOthers) {
  std::map<std::int64_t, std::int64_t> texts, spans;
  for (const SpanAttribute& row : reader_->span_attributes()) {
    if (row.width != 60) continue;
    ++texts[row.second];
    spans[row.second] += row.spans;
  }
  ASSERT_FALSE(texts.empty());
  for (const auto& [second, count] : texts) EXPECT_LE(count, 51);
  for (const auto& [second, count] : spans) EXPECT_EQ(count, 8 * 60);
  std::map<std::int64_t, int> single;
  for (const Span& span : reader_->spans()) ++single[*span.ended_ns / kTestSecond / 60];
  EXPECT_EQ(single[5], 2);
}

TEST(ChancesToKeep, FollowTheWeightAndAddUp) {
  std::vector<double> weights;
  for (int i = 1; i <= 1000; ++i) weights.push_back(i == 1000 ? 1e6 : i);
  const std::vector<double> chances = chances_to_keep(weights, 100);
  EXPECT_EQ(chances.back(), 1) << "what outweighs the rest is surely kept";
  EXPECT_NEAR(std::accumulate(chances.begin(), chances.end(), 0.0), 100, 1e-6);
  EXPECT_NEAR(chances[499] / chances[249], 2, 1e-9);
  for (const double chance : chances) EXPECT_TRUE(chance > 0 && chance <= 1);
  EXPECT_EQ(chances_to_keep({1, 2, 3}, 3), std::vector<double>({1, 1, 1}));
}
