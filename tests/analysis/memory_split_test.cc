// What resident memory is split into, also of a run file that says what no collector writes.
#include "collector/analysis/memory_split.h"

#include <gtest/gtest.h>

#include "collector/metrics.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::analysis {
namespace {

TEST(MemorySplit, AnAllocatorOfNoKnownKindIsNone) {
  const std::pair<double, const char*> kinds[] = {{1, "glibc"}, {4, "mimalloc"}, {4.9, "mimalloc"}, {5, ""}, {-1, ""}};
  for (const auto& [kind, name] : kinds) {
    const run::Scratch scratch;
    auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
    ASSERT_TRUE(writer) << writer.error();
    const run::ProcessId process = writer->add(run::Process{});
    writer->point(metrics::kResidentBytes, process, 3, 1e6);
    writer->point(metrics::kAllocatorKind, process, 3, kind);
    ASSERT_TRUE(writer->finish(10 * run::kTestSecond, run::kComplete));
    auto reader = run::Reader::open(scratch / "a.camrun");
    ASSERT_TRUE(reader) << reader.error();
    const auto memory = memory_at_the_end(*reader);
    ASSERT_EQ(memory.size(), 1u);
    EXPECT_EQ(memory.begin()->second.allocator, name) << kind;
  }
}

}  // namespace
}  // namespace camprobe::analysis
