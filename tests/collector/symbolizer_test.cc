// What the naming thread may hold at a time, however many stacks a run has.
#include "collector/drain/symbolizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::drain {
namespace {

// A run with one process, this one.
class SymbolizerTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(writer) << writer.error(); }

  static run::Process a_process() {
    run::Process row;
    row.pid = getpid();
    return row;
  }

  const run::Scratch directory;
  const std::string path = directory / "named.camrun";
  run::Result<run::Writer> writer = run::Writer::create(path, run::sample_meta());
  const run::ProcessId process = writer ? writer->add(a_process()) : run::ProcessId{};
};

TEST_F(SymbolizerTest, WaitsUntilNamesAreTakenInsteadOfHoldingThemAll) {
  constexpr int kStacks = 1000;
  constexpr std::size_t kDepth = 200;
  constexpr std::size_t kMostBytes = std::size_t{3} << 20;  // its own bound, and a stack more
  const RunClock clock{1};

  Symbolizer symbolizer;
  const std::size_t number = symbolizer.add_process(process, 0, 0);
  std::vector<std::uint64_t> addresses(kDepth);
  for (std::size_t depth = 0; depth < kDepth; ++depth) addresses[depth] = 0x1000 + depth;
  for (int i = 0; i < kStacks; ++i) symbolizer.add_stack(number, writer->add_stack(process, false), addresses, true, 2);
  ASSERT_TRUE(symbolizer.finish(std::chrono::seconds(20)));
  write(symbolizer.take(), clock, *writer);
  ASSERT_TRUE(writer->flush());

  symbolizer.name_all(path);
  int named = 0;
  int pieces = 0;
  for (bool is_done = false; !is_done; ++pieces) {
    ASSERT_LT(pieces, kStacks);
    is_done = symbolizer.finish(std::chrono::seconds(20));
    const Symbolizer::Results results = symbolizer.take();
    std::size_t bytes = 0;
    for (const Symbolizer::Named& stack : results.named) bytes += stack.leaf_first.size() * sizeof(run::Frame);
    EXPECT_LE(bytes, kMostBytes);
    named += static_cast<int>(results.named.size());
  }
  EXPECT_EQ(named, kStacks);
  EXPECT_GT(pieces, 5) << "a thousand stacks of two hundred frames are more than 30 MiB";
}

// Most stacks are those of CPU samples, and reading their names is most of what naming costs.
TEST_F(SymbolizerTest, NamesOnlyWhatLeaksAreJudgedByWhereThatIsAsked) {
  Symbolizer symbolizer;
  const std::size_t number = symbolizer.add_process(process, 0, 0);
  std::vector<run::StackId> stacks;
  for (int i = 0; i < 6; ++i) {
    stacks.push_back(writer->add_stack(process, false));
    symbolizer.add_stack(number, stacks.back(), {0x1000u + static_cast<unsigned>(i)}, true, 2);
  }
  run::HeapObject object;
  object.process = process, object.sample = 1, object.stack = stacks[0], object.size = 1;
  object.died_ns = 5;  // also of what died: its stack may have given way to another of the same function
  writer->put(object);
  run::Descriptor descriptor;
  descriptor.process = process, descriptor.stack = stacks[1];
  writer->add(descriptor);
  run::Thread thread;
  thread.process = process, thread.stack = stacks[2];
  writer->add(thread);
  run::Mapping mapping;
  mapping.process = process, mapping.stack = stacks[3];
  writer->add(mapping);
  run::CpuRow sample;
  sample.process = process, sample.stack = stacks[4], sample.samples = 1;
  writer->count(sample);
  ASSERT_TRUE(symbolizer.finish(std::chrono::seconds(20)));
  write(symbolizer.take(), RunClock{1}, *writer);
  ASSERT_TRUE(writer->flush());

  const auto named = [&](run::StacksOf which) {
    symbolizer.name_all(path, which);
    EXPECT_TRUE(symbolizer.finish(std::chrono::seconds(20)));
    const Symbolizer::Results results = symbolizer.take();
    std::vector<run::StackId> ids;
    for (const Symbolizer::Named& stack : results.named) ids.push_back(stack.stack);
    return ids;
  };
  EXPECT_EQ(named(run::StacksOf::kWhatIsJudged), std::vector(stacks.begin(), stacks.begin() + 4));
  EXPECT_EQ(named(run::StacksOf::kEverything), stacks);
}

TEST_F(SymbolizerTest, EndsThoughNobodyTakesTheNames) {
  Symbolizer symbolizer;
  const std::size_t number = symbolizer.add_process(process, 0, 0);
  for (int i = 0; i < 500; ++i)
    symbolizer.add_stack(number, writer->add_stack(process, false), std::vector<std::uint64_t>(200, 0x1000), true, 2);
  ASSERT_TRUE(symbolizer.finish(std::chrono::seconds(20)));
  write(symbolizer.take(), RunClock{1}, *writer);
  ASSERT_TRUE(writer->flush());
  symbolizer.name_all(path);
  EXPECT_FALSE(symbolizer.finish(std::chrono::seconds(20))) << "it waits for room";
  // Its destructor must not wait for it.
}

}  // namespace
}  // namespace camprobe::drain
