// tests/probe/span_test.cc
//
// The public span API, with and without the probe.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <map>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

using shm::RecordKind;

struct Seen {
  shm::SpanPayload span;
  shm::SpanId id = 0;
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> texts;
  std::vector<std::pair<shm::AttributeType, std::uint64_t>> trace;
};

TEST(Spans, NestCarryAttributesAndEndOnOtherThreads) {
  Probed probed({.arguments = {target(), "spans"}, .environment = {{"CAMPROBE_HEAP_INTERVAL", "64"}}});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.err;
  EXPECT_EQ(probed.printed("loaded"), 1);
  EXPECT_EQ(probed.printed("handles"), 1);
  auto region = probed.region();
  std::map<std::string, Seen> seen;
  std::map<shm::SpanId, std::string> name_of;
  std::map<std::uint64_t, shm::SpanId> span_of_size;
  std::vector<std::string> marks;
  for (const auto& event : events_of(region)) {
    const auto& record = event.record;
    if (record.kind == RecordKind::kSpan) {
      const std::string name = region.name(record.span_end.name).value();
      EXPECT_FALSE(seen.count(name)) << name << " ended twice";
      seen[name].span = record.span_end;
      seen[name].id = record.span;
      name_of[record.span] = name;
      EXPECT_GE(record.time_ns, record.span_end.begin_ns);
    }
    if (record.kind == RecordKind::kSpanAttributes) {
      for (const auto& attribute : record.attributes.attribute) {
        if (attribute.key == 0) continue;
        double number;
        std::memcpy(&number, &attribute.value, sizeof number);
        const std::string key = region.name(attribute.key).value();
        if (attribute.type == shm::AttributeType::kNumber) seen[name_of[record.span]].numbers[key] = number;
        if (attribute.type == shm::AttributeType::kText)
          seen[name_of[record.span]].texts[key] = region.name(static_cast<shm::NameId>(attribute.value)).value();
        if (key == "traceparent") seen[name_of[record.span]].trace.emplace_back(attribute.type, attribute.value);
      }
    }
    if (record.kind == RecordKind::kAlloc) span_of_size[record.alloc.size] = record.span;
    if (record.kind == RecordKind::kMark) marks.push_back(region.name(record.mark.text).value());
  }
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen["outer"].span.parent, 0u);
  EXPECT_EQ(seen["inner"].span.parent, seen["outer"].id);
  EXPECT_EQ(seen["handed"].span.parent, seen["outer"].id);
  EXPECT_EQ(seen["root"].span.parent, 0u);
  EXPECT_NE(seen["handed"].span.begin_tid, seen["handed"].span.end_tid);
  EXPECT_EQ(seen["outer"].texts["provider"], "openai");
  EXPECT_EQ(seen["outer"].numbers["cost"], 0.25);
  EXPECT_EQ(seen["inner"].numbers["tokens"], 42);
  // A traceparent is no text: every request has another one, and the name table forgets none.
  using shm::AttributeType;
  const decltype(Seen::trace) trace{{AttributeType::kTraceHigh, 0x0123456789abcdef},
                                    {AttributeType::kTraceLow, 0xfedcba9876543211},
                                    {AttributeType::kTraceSpanSampled, 0x00f067aa0ba902b8}};
  EXPECT_EQ(seen["root"].trace, trace);
  EXPECT_EQ(seen["root"].span.attributes, 5u);
  EXPECT_EQ(seen["root"].numbers["after"], 2);
  EXPECT_EQ(seen["outer"].span.attributes, 8u);
  EXPECT_EQ(region.status()->lost[static_cast<int>(shm::Loss::kAttributeFull)], 4u);

  EXPECT_EQ(span_of_size[50'001], seen["inner"].id);
  EXPECT_EQ(span_of_size[50'002], seen["outer"].id);
  EXPECT_EQ(span_of_size[50'003], seen["handed"].id);
  EXPECT_EQ(span_of_size[50'004], 0u);
  EXPECT_EQ(span_of_size[50'005], seen["root"].id);
  EXPECT_EQ(span_of_size[50'006], seen["outer"].id);
  EXPECT_EQ(span_of_size[50'007], 0u);
  EXPECT_EQ(marks, std::vector<std::string>{"deployed"});

  const auto open = region.open_spans();
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(region.name(open[0].name), "still open");
}

TEST(Spans, AProgramLinkedWithNothingRunsWithAndWithoutTheProbe) {
  Probed without({.arguments = {CAMPROBE_PLAIN}, .preload = ""});
  EXPECT_EQ(without.status, 6);
  EXPECT_EQ(without.out, "loaded 0\n");
  Probed with({.arguments = {CAMPROBE_PLAIN}});
  EXPECT_EQ(with.status, 6);
  EXPECT_EQ(with.out, "loaded 1\n");
  auto region = with.region();
  std::map<RecordKind, int> count;
  for (const auto& event : events_of(region)) ++count[event.record.kind];
  EXPECT_EQ(count[RecordKind::kSpan], 1);
  EXPECT_EQ(count[RecordKind::kSpanAttributes], 1);
  EXPECT_EQ(count[RecordKind::kMark], 1);
}

TEST(Spans, ACProgramMayOpenACppLibraryThatAllocatesAndThrows) {
  Probed without({.arguments = {CAMPROBE_PLAIN, CAMPROBE_CPP_PLUGIN}, .preload = ""});
  Probed with(
      {.arguments = {CAMPROBE_PLAIN, CAMPROBE_CPP_PLUGIN}, .environment = {{"CAMPROBE_HEAP_INTERVAL", "1KiB"}}});
  EXPECT_EQ(without.out, "loaded 0\nworked 1\n");
  EXPECT_EQ(with.out, "loaded 1\nworked 1\n");
  EXPECT_EQ(with.status, 6);
}

TEST(Modules, OpenedLibrariesAreKnownByTheirSamplesAndClosedOnesMarked) {
  Probed probed({.arguments = {target(), "libraries", CAMPROBE_PLUGIN},
                 .environment = {{"CAMPROBE_HEAP_INTERVAL", "1KiB"}, {"CAMPROBE_CPU_HZ", "1000"}}});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_EQ(probed.printed("no_error"), 1);
  auto region = probed.region();
  int loaded = 0, closed = 0;
  shm::ReadModule last;
  for (const auto& module : region.modules()) {
    if (region.name(module.path).value_or("") != CAMPROBE_PLUGIN) continue;
    module.loaded ? ++loaded : ++closed;
    EXPECT_EQ(module.build_id.size(), 40u);
    if (module.loaded) last = module;
    if (!module.loaded) {
      EXPECT_GE(module.closed_ns, module.opened_ns);
    }
  }
  EXPECT_EQ(loaded, 1);
  EXPECT_EQ(closed, 100);
  for (const auto& live : region.live_samples()) {
    if (live.sample.size != 41'000) continue;
    const auto stack = region.stack(live.sample.stack);
    EXPECT_TRUE(stack->frames[0] >= last.low && stack->frames[0] < last.high);
  }
}

}  // namespace
}  // namespace camprobe::tests
