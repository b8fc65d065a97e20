// What a reader answers over a small known run, and what it says to files that are none.
#include "run/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "run/histogram.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::run {
namespace {

using ::testing::HasSubstr;

class ReaderOfSample : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = Writer::create(path_, sample_meta());
    ASSERT_TRUE(writer) << writer.error();
    ids_ = write_sample(*writer);
    ASSERT_TRUE(writer->finish(10 * kTestSecond, kComplete));
    auto reader = Reader::open(path_);
    ASSERT_TRUE(reader) << reader.error();
    reader_ = std::make_unique<Reader>(std::move(*reader));
  }
  void TearDown() override {
    if (!reader_) return;
    EXPECT_FALSE(reader_->error()) << reader_->error()->sentence;
  }

  Scratch scratch_;
  std::string path_ = scratch_ / "sample.camrun";
  SampleIds ids_;
  std::unique_ptr<Reader> reader_;
};

TEST_F(ReaderOfSample, MetaSaysWhatWasRecorded) {
  const Meta meta = reader_->meta();
  EXPECT_EQ(meta.run_id.size(), 16u);
  EXPECT_EQ(meta.command, (std::vector<std::string>{"server", "--port", "8080"}));
  EXPECT_EQ(meta.state, kComplete);
  EXPECT_EQ(meta.ended_ns, 10 * kTestSecond);
  EXPECT_EQ(meta.cpus, 4);
  EXPECT_EQ(meta.started_realtime_ns, 1'790'000'000'000'000'000);
  EXPECT_EQ(meta.heap_object_min_age_ns, kTestSecond);
  EXPECT_EQ(reader_->duration_ns(), 10 * kTestSecond);
}

TEST_F(ReaderOfSample, ProcessesAndThreadsComeBackWhole) {
  const auto processes = reader_->processes();
  ASSERT_EQ(processes.size(), 2u);
  EXPECT_EQ(processes[0].pid, 4100);
  EXPECT_FALSE(processes[0].parent_pid);
  EXPECT_EQ(processes[0].memory_limit_bytes, std::int64_t{512} << 20);
  EXPECT_EQ(processes[1].parent_pid, 4100);
  EXPECT_EQ(processes[1].ended_how, "exited");
  EXPECT_EQ(processes[1].exit_status, 0);
  EXPECT_EQ(reader_->threads(ids_.server).size(), 2u);
  EXPECT_EQ(reader_->threads(ids_.worker).size(), 0u);
  EXPECT_EQ(reader_->modules().at(0).base, 0x555555554000);
}

TEST_F(ReaderOfSample, SeriesIsFoundByItsName) {
  const auto points = reader_->series("process_resident_bytes", ids_.server);
  ASSERT_EQ(points.size(), 10u);
  EXPECT_EQ(points[9].second, 9);
  EXPECT_DOUBLE_EQ(points[9].value, 1.09e8);
  EXPECT_TRUE(reader_->series("no_such_metric").empty());
  ASSERT_EQ(reader_->metrics().size(), 1u);
  EXPECT_EQ(reader_->metrics()[0].unit, "bytes");
}

TEST_F(ReaderOfSample, CpuOfASliceCountsTheSecondsThatBeginInIt) {
  const auto all = reader_->cpu();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].samples, 100);
  EXPECT_DOUBLE_EQ(all[0].weight, 1e9);
  EXPECT_EQ(reader_->cpu({.from_ns = 2 * kTestSecond, .to_ns = 4 * kTestSecond})[0].samples, 20);
  EXPECT_EQ(reader_->cpu({.from_ns = 2 * kTestSecond + 1, .to_ns = 4 * kTestSecond + 1})[0].samples, 20);
  EXPECT_TRUE(reader_->cpu({.process = ids_.worker}).empty());
  EXPECT_TRUE(reader_->cpu({.thread = ids_.worker_thread}).empty());
  EXPECT_EQ(reader_->cpu({.span_name = ids_.arbitration}).size(), 1u);
  EXPECT_TRUE(reader_->cpu({.span_name = kNoName}).empty());
  EXPECT_EQ(reader_->wait({.thread = ids_.worker_thread})[0].samples, 50);
}

TEST_F(ReaderOfSample, StacksHaveTheirFramesLeafFirst) {
  const Stack& leak = reader_->stack(ids_.leak);
  ASSERT_EQ(leak.frames.size(), 3u);
  EXPECT_EQ(reader_->frame(leak.frames[0]).function, "leak");
  EXPECT_EQ(reader_->frame(leak.frames[0]).file, "leak.cc");
  EXPECT_EQ(reader_->frame(leak.frames[0]).line, 12);
  EXPECT_FALSE(leak.truncated);
  const Stack& copy = reader_->stack(ids_.copy);
  EXPECT_TRUE(copy.truncated);
  EXPECT_EQ(copy.frames.back(), leak.frames.back()) << "equal frames are one row";
  EXPECT_TRUE(reader_->stack(kUnknownStack).frames.empty());
  EXPECT_TRUE(reader_->stack(StackId{999999}).frames.empty());
}

TEST_F(ReaderOfSample, LiveAndRetainedFollowBirthAndDeath) {
  // At 4.5 s: five leaked objects (born 0..4); of the churning ones, those born at 3 and 4 (each lives two seconds).
  const auto live = reader_->live(4 * kTestSecond + kTestSecond / 2);
  ASSERT_EQ(live.size(), 2u);
  EXPECT_EQ(live[0].stack, ids_.leak);
  EXPECT_EQ(live[0].samples, 5);
  EXPECT_DOUBLE_EQ(live[0].weight, 5 * 6400);
  EXPECT_DOUBLE_EQ(live[0].objects, 500);
  EXPECT_EQ(live[1].samples, 2);
  const auto retained = reader_->retained({.from_ns = 2 * kTestSecond, .to_ns = 5 * kTestSecond});
  ASSERT_EQ(retained.size(), 2u);
  EXPECT_EQ(retained[0].samples, 3);
  EXPECT_EQ(retained[1].samples, 1) << "born at 4, dies at 6; the one born at 3 dies at 5";
}

TEST_F(ReaderOfSample, AllocationsAddUpByStack) {
  const auto alloc = reader_->alloc({.to_ns = 5 * kTestSecond});
  ASSERT_EQ(alloc.size(), 2u);
  EXPECT_DOUBLE_EQ(alloc[0].weight, 5 * 6400);
  EXPECT_DOUBLE_EQ(alloc[1].temporary_objects, 125);
  int rows = 0;
  reader_->each_alloc({.process = ids_.server}, [&](const AllocRow&) { ++rows; });
  EXPECT_EQ(rows, 20);
  EXPECT_EQ(reader_->heap_objects().size(), 20u);
  EXPECT_EQ(reader_->lifetimes().size(), 10u);
  EXPECT_EQ(reader_->mappings().size(), 1u);
}

TEST_F(ReaderOfSample, DescriptorsIoAndSpans) {
  const auto descriptors = reader_->descriptors(ids_.server);
  ASSERT_EQ(descriptors.size(), 1u);
  EXPECT_EQ(descriptors[0].peer, "127.0.0.1:9000");
  EXPECT_FALSE(descriptors[0].closed_ns);
  EXPECT_EQ(reader_->descriptor_sums().size(), 10u);
  EXPECT_EQ(reader_->io({.from_ns = 0, .to_ns = kTestSecond})[0].bytes, 1000);
  const auto stats = reader_->span_stats();
  ASSERT_EQ(stats.size(), 10u);
  EXPECT_EQ(stats[0].spans, 10);
  EXPECT_EQ(stats[0].max_ns, 10'000'000);
  const auto latency = Histogram::from_json(stats[0].latency);
  ASSERT_TRUE(latency) << latency.error();
  EXPECT_EQ(latency->count(), 10u);
  EXPECT_EQ(reader_->name(stats[0].name), "cam.arbitration");
  EXPECT_EQ(reader_->find_name("provider"), ids_.provider);
  EXPECT_FALSE(reader_->find_name("nobody"));
  EXPECT_EQ(reader_->span_attributes()[0].changes, 2);
  EXPECT_EQ(reader_->spans({.from_ns = 0, .to_ns = kTestSecond}).size(), 1u);
}

TEST_F(ReaderOfSample, LoadMarksLostAndSettings) {
  ASSERT_EQ(reader_->load_sources().size(), 1u);
  EXPECT_EQ(reader_->load_sources()[0].errors, 3);
  EXPECT_EQ(reader_->load_buckets().size(), 20u);
  EXPECT_EQ(reader_->load_buckets("").size(), 10u);
  EXPECT_EQ(reader_->load_buckets("/chat").size(), 10u);
  EXPECT_EQ(reader_->load_windows().at(0).kind, "steady");
  EXPECT_EQ(reader_->marks().at(0).text, "failover");
  EXPECT_EQ(reader_->lost().at(0).records, 3);
  EXPECT_EQ(reader_->settings().at(0).value, 8192);
}

// A finished run is no longer in WAL mode: whoever adds to it waits for pins. One that is being recorded goes on.
TEST(ReaderOfARecording, SeesOneStateUntilItsLastPinIsTakenBack) {
  const Scratch scratch;
  const std::string path = scratch / "a.camrun";
  auto writer = Writer::create(path, sample_meta());
  ASSERT_TRUE(writer) << writer.error();
  write_sample(*writer);
  ASSERT_TRUE(writer->flush());
  auto reader = Reader::open(path);
  ASSERT_TRUE(reader) << reader.error();
  reader->pin();
  reader->pin();
  ASSERT_EQ(reader->marks().size(), 1u);
  writer->put(Mark{0, 5, "later", "user"});
  ASSERT_TRUE(writer->flush());
  EXPECT_EQ(reader->marks().size(), 1u);
  reader->unpin();
  EXPECT_EQ(reader->marks().size(), 1u);
  reader->unpin();
  EXPECT_EQ(reader->marks().size(), 2u);
  EXPECT_FALSE(reader->error());
}

TEST_F(ReaderOfSample, UnpinnedLetsOthersAddMarks) {
  reader_->pin();
  ASSERT_EQ(reader_->marks().size(), 1u);
  reader_->unpin();
  ASSERT_TRUE(add_mark(path_, {0, 5, "later", "user"}));
  EXPECT_EQ(reader_->marks().size(), 2u);
}

class ReaderOfAnythingElse : public ::testing::Test {
 protected:
  std::string why_not(const std::string& path) {
    auto reader = Reader::open(path);
    return reader ? "it opened" : reader.error();
  }
  std::string write(const std::string& content) {
    const std::string path = scratch_ / "file.camrun";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string database(const char* sql) {
    const std::string path = scratch_ / "other.camrun";
    sqlite3* handle = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
    return path;
  }
  Scratch scratch_;
};

TEST_F(ReaderOfAnythingElse, SaysWhatAFileIsNot) {
  EXPECT_THAT(why_not(scratch_ / "nothing"), HasSubstr("No such file"));
  EXPECT_THAT(why_not(scratch_.path()), HasSubstr("not a regular file"));
  EXPECT_THAT(why_not(write("")), HasSubstr("is empty"));
  EXPECT_THAT(why_not(write("hello")), HasSubstr("is not a camprobe run"));
  EXPECT_THAT(why_not(write(std::string(4096, 'x'))), HasSubstr("is not a camprobe run"));
  EXPECT_THAT(why_not(database("CREATE TABLE t(x)")), HasSubstr("another program's SQLite database"));
}

TEST_F(ReaderOfAnythingElse, TellsANewerRunApart) {
  EXPECT_THAT(why_not(database("PRAGMA application_id = 0x63616d70; PRAGMA user_version = 9; CREATE TABLE t(x)")),
              HasSubstr("newer camprobe"));
}

TEST_F(ReaderOfAnythingElse, RefusesViewsAndTriggers) {
  EXPECT_THAT(why_not(database(
                  "PRAGMA application_id = 0x63616d70; PRAGMA user_version = 1; CREATE TABLE meta(key, value);"
                  "INSERT INTO meta VALUES ('run_id', 'x');"
                  "CREATE VIEW cpu AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i FROM r) SELECT i FROM r")),
              HasSubstr("views or triggers"));
}

TEST_F(ReaderOfAnythingElse, AMissingTableIsAnErrorNotARow) {
  auto reader = Reader::open(
      database("PRAGMA application_id = 0x63616d70; PRAGMA user_version = 1; CREATE TABLE meta(key, value);"
               "INSERT INTO meta VALUES ('run_id', 'x')"));
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_TRUE(reader->cpu().empty());
  ASSERT_TRUE(reader->error());
  EXPECT_THAT(reader->error()->sentence, HasSubstr("no such table: cpu"));
}

}  // namespace
}  // namespace camprobe::run
