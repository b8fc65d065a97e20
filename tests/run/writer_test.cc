// A run while it is written: sums over flushes, readers beside it, a killed writer, places that cannot be written to.
#include "run/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "run/histogram.h"
#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::run {
namespace {

using ::testing::HasSubstr;

TEST(Writer, AddsToABucketThatAnEarlierFlushWrote) {
  Scratch scratch;
  auto writer = Writer::create(scratch / "a.camrun", sample_meta());
  ASSERT_TRUE(writer) << writer.error();
  const SampleIds ids = write_sample(*writer);
  ASSERT_TRUE(writer->flush());
  writer->count(CpuRow{ids.server, 9, ids.main_thread, ids.copy, ids.arbitration, 1, 5e7});
  writer->count(Writer::SpanEnd{ids.server, 9, ids.arbitration, 77'000'000});
  writer->count(Lost{ids.server, 4, "cpu", 2});
  writer->count(AllocRow{ids.server, 9, ids.leak, kNoName, 1, 1, 64, 1});
  ASSERT_TRUE(writer->finish(10 * kTestSecond, kComplete));

  auto reader = Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  const Slice last{.from_ns = 9 * kTestSecond};
  EXPECT_EQ(reader->cpu(last)[0].samples, 11);
  EXPECT_DOUBLE_EQ(reader->cpu(last)[0].weight, 1.5e8);
  const auto stats = reader->span_stats(last);
  ASSERT_EQ(stats.size(), 1u);
  EXPECT_EQ(stats[0].spans, 11);
  EXPECT_EQ(stats[0].max_ns, 77'000'000);
  EXPECT_EQ(Histogram::from_json(stats[0].latency)->count(), 11u);
  EXPECT_EQ(reader->lost()[0].records, 5);
  EXPECT_DOUBLE_EQ(reader->alloc(last)[0].weight, 6464);
}

// A load tool whose clock is ahead of ours begins before the run does.
TEST(Writer, KeepsTheSecondsOfALoadBeforeTheFirst) {
  Scratch scratch;
  auto writer = Writer::create(scratch / "a.camrun", sample_meta());
  ASSERT_TRUE(writer) << writer.error();
  const SourceId source = writer->add(LoadSource{});
  for (const std::int64_t second : {-1, 0}) {
    LoadBucket bucket;
    bucket.source = source;
    bucket.second = second;
    bucket.requests = 100 + second;
    writer->put(bucket);
  }
  ASSERT_TRUE(writer->finish(kTestSecond, kComplete));
  auto reader = Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  const auto buckets = reader->load_buckets();
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0].requests, 99);
  EXPECT_EQ(buckets[1].requests, 100);
  EXPECT_EQ(buckets[0].width, 1);
}

TEST(Writer, GivesTheSameTextTheSameName) {
  Scratch scratch;
  auto writer = Writer::create(scratch / "a.camrun", sample_meta());
  ASSERT_TRUE(writer);
  const NameId first = writer->name("x");
  EXPECT_EQ(writer->name("x"), first);
  ASSERT_TRUE(writer->flush());
  EXPECT_EQ(writer->name("x"), first);
  EXPECT_NE(writer->name("y"), first);
  EXPECT_EQ(writer->name(""), kNoName);
  ASSERT_TRUE(writer->flush());
}

TEST(Writer, AFinishedRunIsOnePlainFile) {
  Scratch scratch;
  auto writer = Writer::create(scratch / "a.camrun", sample_meta());
  ASSERT_TRUE(writer);
  write_sample(*writer);
  ASSERT_TRUE(writer->finish(10 * kTestSecond, kComplete));
  auto reader = Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch.path())) ++files;
  EXPECT_EQ(files, 1);
}

TEST(Writer, IsReadAndMarkedWhileItRecords) {
  Scratch scratch;
  auto writer = Writer::create(scratch / "a.camrun", sample_meta());
  ASSERT_TRUE(writer);
  const SampleIds ids = write_sample(*writer);
  ASSERT_TRUE(writer->flush());
  auto reader = Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_EQ(reader->meta().state, kRecording);
  EXPECT_EQ(reader->duration_ns(), 10 * kTestSecond);
  ASSERT_TRUE(add_mark(scratch / "a.camrun", {0, 5 * kTestSecond, "deploy", "user"}));
  reader->pin();
  EXPECT_EQ(reader->marks().size(), 2u);
  writer->count(CpuRow{ids.server, 10, ids.main_thread, ids.copy, kNoName, 1, 1e7});
  ASSERT_TRUE(writer->flush());
  EXPECT_EQ(reader->cpu()[0].samples, 100) << "pinned";
  reader->unpin();
  EXPECT_EQ(reader->cpu()[0].samples, 101);
}

// The writer is killed while flushes follow each other as fast as they can; whatever the instant, the file opens, every
// row refers to rows that are there, and meta says that the recording never ended.
TEST(Writer, AKilledWriterLeavesAConsistentRun) {
  for (int delay_ms = 5; delay_ms <= 45; delay_ms += 10) {
    Scratch scratch;
    const std::string path = scratch / "a.camrun";
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto writer = Writer::create(path, sample_meta());
      if (!writer) _exit(1);
      const SampleIds ids = write_sample(*writer);
      if (!writer->flush() || write(ready[1], "x", 1) != 1) _exit(1);
      for (std::int64_t second = 10;; ++second) {
        const StackId stack = writer->add_stack(ids.server, false);
        writer->set_frames(stack, {native("f" + std::to_string(second), "f.cc", second)});
        writer->count(CpuRow{ids.server, second, ids.main_thread, stack, writer->name(std::to_string(second)), 1, 1e7});
        if (!writer->flush()) _exit(1);
      }
    }
    close(ready[1]);
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    usleep(static_cast<useconds_t>(delay_ms) * 1000);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));

    auto reader = Reader::open(path);
    ASSERT_TRUE(reader) << reader.error();
    EXPECT_EQ(reader->meta().state, kRecording);
    std::int64_t rows = 0;
    reader->each_cpu({.from_ns = 10 * kTestSecond}, [&](const CpuRow& row) {
      ++rows;
      const Stack& stack = reader->stack(row.stack);
      ASSERT_EQ(stack.frames.size(), 1u);
      EXPECT_EQ(reader->frame(stack.frames[0]).function, "f" + std::to_string(row.second));
      EXPECT_EQ(reader->name(row.span_name), std::to_string(row.second));
    });
    EXPECT_GT(rows, 0);
    EXPECT_FALSE(reader->error()) << reader->error()->sentence;
  }
}

TEST(Writer, NeverWritesOverAFile) {
  Scratch scratch;
  { std::ofstream(scratch / "mine") << "precious"; }
  auto writer = Writer::create(scratch / "mine", sample_meta());
  ASSERT_FALSE(writer);
  EXPECT_THAT(writer.error(), HasSubstr("exists already"));
  EXPECT_EQ(std::filesystem::file_size(scratch / "mine"), 8u);
}

TEST(Writer, SaysWhereItCannotWrite) {
  Scratch scratch;
  const auto writer = Writer::create(scratch / "no/such/directory/a.camrun", sample_meta());
  ASSERT_FALSE(writer);
  EXPECT_THAT(writer.error(), HasSubstr("No such file or directory"));
}

// A file size limit stands in for a full disk: the kernel fails the write in the same place.
TEST(Writer, AFullDiskIsSaidOnceAndTheRestIsReadable) {
  Scratch scratch;
  const std::string path = scratch / "a.camrun";
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto writer = Writer::create(path, sample_meta());
    if (!writer) _exit(10);
    const SampleIds ids = write_sample(*writer);
    if (!writer->flush()) _exit(11);
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    int errors = 0;
    for (std::int64_t second = 10; second < 400; ++second) {
      for (int i = 0; i < 20; ++i) {
        const NameId name = writer->name("a rather long name of a span " + std::to_string(second * 100 + i));
        writer->count(CpuRow{ids.server, second, ids.main_thread, ids.copy, name, 1, 1e7});
      }
      if (!writer->flush()) ++errors;
    }
    if (!writer->finish(400 * kTestSecond, kComplete)) ++errors;
    _exit(errors == 1 ? 0 : 20 + errors);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  auto reader = Reader::open(path);
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_GT(reader->cpu()[0].samples, 100);
  EXPECT_FALSE(reader->error()) << reader->error()->sentence;
}

TEST(Reader, NeedsNoWritePermission) {
  Scratch scratch;
  const std::string path = scratch / "a.camrun";
  const pid_t child = fork();
  if (child == 0) {
    auto writer = Writer::create(path, sample_meta());
    if (!writer) _exit(1);
    write_sample(*writer);
    if (!writer->flush()) _exit(1);
    _exit(0);  // no destructor: the log stays, as after a crash
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  std::filesystem::remove(path + "-shm");
  ASSERT_TRUE(std::filesystem::exists(path + "-wal"));
  chmod(path.c_str(), 0444);
  chmod(scratch.path().c_str(), 0555);
  const pid_t reader_process = fork();
  if (reader_process == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(3);  // root may write anywhere
    auto reader = Reader::open(path);
    if (!reader) _exit(4);
    _exit(reader->cpu().size() == 1 && reader->cpu()[0].samples == 100 && !reader->error() ? 0 : 5);
  }
  ASSERT_EQ(waitpid(reader_process, &status, 0), reader_process);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace camprobe::run
