// A run whose collector was killed and that is gone on with: what its file says of that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include "collector/drain/run_clock.h"
#include "collector/metrics.h"
#include "collector/recording_target.h"
#include "run/reader.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe {
namespace {

// A run that began ten seconds ago, and whose file has a value of this second.
void leave_behind(const std::string& path, std::int64_t last_second) {
  run::Meta meta = run::sample_meta();
  meta.started_monotonic_ns = static_cast<std::int64_t>(drain::clock_ns(CLOCK_MONOTONIC)) - 10 * run::kTestSecond;
  auto writer = run::Writer::create(path, meta);
  ASSERT_TRUE(writer) << writer.error();
  writer->set_meta("boot_id", boot_id());
  run::Process process;
  process.pid = 1 << 22;  // the kernel gives none so high
  process.start_ticks = 1;
  process.began_ns = run::kTestSecond;
  process.ended_how = "running";
  writer->point(metrics::kResidentBytes, writer->add(process), last_second, 1e6);
  ASSERT_TRUE(writer->flush());
}

std::string mark_after_resuming(const std::string& path) {
  {
    auto recording = Recording::resume(path);
    EXPECT_TRUE(recording) << recording.error();
    if (!recording) return "";
    (*recording)->poll();
    EXPECT_TRUE((*recording)->finish(run::kComplete));
  }
  auto reader = run::Reader::open(path);
  EXPECT_TRUE(reader) << reader.error();
  const std::vector<run::Process> processes = reader->processes();
  EXPECT_EQ(processes.size(), 1u);
  EXPECT_EQ(processes[0].ended_how, "lost");
  EXPECT_GT(processes[0].ended_ns, processes[0].began_ns);
  EXPECT_LE(processes[0].ended_ns, reader->duration_ns()) << "nothing ends after the run";
  EXPECT_EQ(reader->marks().size(), 1u);
  return reader->marks().empty() ? "" : reader->marks()[0].text;
}

TEST(Resume, SaysHowLongNobodyRecorded) {
  const run::Scratch scratch;
  leave_behind(scratch / "a.camrun", 4);
  EXPECT_THAT(mark_after_resuming(scratch / "a.camrun"),
              testing::MatchesRegex("recording went on, [0-9]+\\.[0-9] s after its last second"));
}

// The second that a collector was killed in ends after the next one began, if that comes soon.
TEST(Resume, WithinTheLastSecondIsNoTimeBeforeIt) {
  const run::Scratch scratch;
  leave_behind(scratch / "a.camrun", 60);
  EXPECT_EQ(mark_after_resuming(scratch / "a.camrun"), "recording went on within its last second");
}

}  // namespace
}  // namespace camprobe
