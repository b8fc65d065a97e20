// What becomes of spans: sums of all, rows of the first, the slowest and all inside them, and what reading them costs.
#include <gmock/gmock.h>

#include <bit>
#include <map>

#include "collector/drain/spans.h"
#include "run/histogram.h"
#include "tests/collector/drain_fixture.h"

namespace camprobe::drain {
namespace {

TEST_F(DrainTest, SamplesCarryTheNameOfTheirSpan) {
  shm::SpanId span = 0;
  shm::SpanSlot* slot = region_->claim_span(0, &span);
  ASSERT_NE(slot, nullptr);
  slot->name = name("cam.arbitration");
  slot->begin_ns = base_;
  slot->id.store(span);
  alloc(1, 1, 64, 8192, stack(0x400000), span);
  ring_.write(base_ + 2 * kMs, RecordKind::kCpu, 0, stack(0x410000), span,
              shm::CpuPayload{10 * kMs, 10 * kMs, 0, 0, 0});
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto arbitration = run.find_name("cam.arbitration");
  ASSERT_TRUE(arbitration);
  EXPECT_EQ(run.alloc({.span_name = arbitration}).size(), 1u);
  ASSERT_EQ(run.cpu({.span_name = arbitration}).size(), 1u);
  EXPECT_DOUBLE_EQ(run.cpu()[0].weight, 10e6);
  int rows = 0;
  run.each_cpu({}, [&](const run::CpuRow& row) {
    ++rows;
    EXPECT_NE(row.thread, run::kNoThread);
  });
  EXPECT_EQ(rows, 1);
  EXPECT_EQ(run.threads().at(0).tid, 4242);
}

TEST_F(DrainTest, SpansHaveHistogramsAttributesAndChangesInOrderOfTheirBeginnings) {
  const shm::NameId arbitration = name("cam.arbitration"), provider = name("provider"), cost = name("cost");
  const char* const providers[] = {"a", "a", "b", "a"};  // by begin time: two changes
  for (const int i : {0, 2, 1, 3}) {                     // ended in another order
    const shm::SpanId id = 0x10000u * static_cast<unsigned>(i + 1) + 1;
    const std::uint64_t begin = base_ + (10 + static_cast<std::uint64_t>(i)) * kMs;
    ring_.write(base_ + 50 * kMs, RecordKind::kSpan, 0, 0, id, shm::SpanPayload{0, begin, arbitration, 4242, 4242, 2});
    shm::AttributesPayload attributes{};
    attributes.attribute[0] = {provider, shm::AttributeType::kText, name(providers[i])};
    attributes.attribute[1] = {cost, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(0.25)};
    ring_.write(base_ + 50 * kMs, RecordKind::kSpanAttributes, 0, 0, id, attributes);
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto stats = run.span_stats();
  ASSERT_EQ(stats.size(), 1u);
  EXPECT_EQ(stats[0].spans, 4);
  EXPECT_EQ(stats[0].max_ns, static_cast<std::int64_t>(40 * kMs));
  EXPECT_EQ(run::Histogram::from_json(stats[0].latency)->count(), 4u);
  std::int64_t changes = 0;
  double costs = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) {
    changes += row.changes;
    costs += row.sum;
    if (row.text == "a") {
      EXPECT_EQ(row.spans, 3);
    }
  }
  EXPECT_EQ(changes, 2);
  EXPECT_DOUBLE_EQ(costs, 1.0);
  const auto spans = run.spans();
  ASSERT_EQ(spans.size(), 4u);
  EXPECT_EQ(spans[0].attributes, R"({"cost":0.25,"provider":"a"})");
}

// Texts are interned: however many spans carry one, it is read from the region once.
TEST_F(DrainTest, ChangesAreCountedOfMoreSpansThanAreHeldBackForTheirOrder) {
  const shm::NameId arbitration = name("cam.arbitration"), provider = name("provider");
  const shm::NameId names[] = {name("a"), name("b")};
  constexpr std::uint64_t kSpans = 100'000, kAtATime = 100;
  static_assert(kSpans > drain::SpanDrain::kMostWaiting);
  for (std::uint64_t i = 0; i < kSpans; ++i) {
    const shm::SpanId id = 0x10000u * (i + 1) + 1;
    const std::uint64_t begin = base_ + i * kMs / 100;  // all within a second: 2 s are held back
    ring_.write(begin + kMs / 200, RecordKind::kSpan, 0, 0, id, shm::SpanPayload{0, begin, arbitration, 4242, 4242, 1});
    shm::AttributesPayload attributes{};
    attributes.attribute[0] = {provider, shm::AttributeType::kText, names[i % 2]};
    ring_.write(begin + kMs / 200, RecordKind::kSpanAttributes, 0, 0, id, attributes);
    if (i % kAtATime == kAtATime - 1) drain_->drain();
  }
  drain_->finish(0);
  run::Reader run = read();
  std::int64_t changes = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) changes += row.changes;
  EXPECT_EQ(changes, static_cast<std::int64_t>(kSpans) - 1);
}

TEST_F(DrainTest, SpansOfTheSameTextsCostNoMoreReads) {
  const shm::NameId request = name("cam.request"), endpoint = name("endpoint"), status = name("status");
  shm::SpanId id = 0x10001;
  const auto spans = [&](int count) {
    for (int i = 0; i < count; ++i, id += 0x10000) {
      ring_.write(base_ + 5 * kMs, RecordKind::kSpan, 0, 0, id,
                  shm::SpanPayload{0, base_ + kMs, request, 4242, 4242, 2});
      shm::AttributesPayload attributes{};
      attributes.attribute[0] = {endpoint, shm::AttributeType::kText, name(i % 2 == 0 ? "/a" : "/b")};
      attributes.attribute[1] = {status, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(200.0)};
      ring_.write(base_ + 5 * kMs, RecordKind::kSpanAttributes, 0, 0, id, attributes);
    }
    const std::uint64_t before = drain_->region().reads();
    EXPECT_EQ(drain_->drain().records, 2u * static_cast<unsigned>(count));
    return drain_->region().reads() - before;
  };
  spans(10);
  EXPECT_EQ(spans(1000), spans(10));
  drain_->finish(0);
  run::Reader run = read();
  ASSERT_EQ(run.span_stats().size(), 1u);
  EXPECT_EQ(run.span_stats()[0].spans, 1020);
  std::int64_t with_endpoint = 0, with_status = 0;
  double statuses = 0;
  for (const run::SpanAttribute& row : run.span_attributes()) {
    (row.text.empty() ? with_status : with_endpoint) += row.spans;
    statuses += row.sum;
  }
  EXPECT_EQ(with_endpoint, 1020);
  EXPECT_EQ(with_status, 1020);
  EXPECT_DOUBLE_EQ(statuses, 1020 * 200.0);
}

TEST_F(DrainTest, OfManySpansTheFirstAndTheSlowestHaveRowsWhicheverRingTheyCameFrom) {
  const shm::NameId request = name("cam.request");
  shm::RingWriter other = region_.ring(region_->acquire_lane(4243, base_));
  // The second ring's ended sooner; its number 70 and the first one's 170 lasted longest.
  for (unsigned i = 0; i < 200; ++i) {
    const bool is_first = i >= 100;
    const std::uint64_t end = base_ + 100 * kMs + i * kMs / 10;
    const std::uint64_t lasted = i == 70 ? 90 * kMs : i == 170 ? 80 * kMs : kMs;
    (is_first ? ring_ : other)
        .write(end, RecordKind::kSpan, 0, 0, 0x10000u * (i + 1) + 1,
               shm::SpanPayload{0, end - lasted, request, 4242, 4242, 0});
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  const auto spans = run.spans();
  ASSERT_EQ(spans.size(), SpanDrain::kFirstRows + SpanDrain::kSlowestRows);
  std::vector<std::int64_t> numbers;
  for (const run::Span& span : spans) numbers.push_back((span.span >> 16) - 1);
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(SpanDrain::kFirstRows); ++first)
    EXPECT_THAT(numbers, ::testing::Contains(first));
  EXPECT_THAT(numbers, ::testing::Contains(70));
  EXPECT_THAT(numbers, ::testing::Contains(170));
}

// What lies in a request comes from any ring, before or after it; of requests that were not chosen it is not kept.
TEST_F(DrainTest, ARequestThatIsKeptIsKeptWithAllInsideIt) {
  const shm::NameId request = name("cam.request"), call = name("cam.call"), part = name("cam.part"),
                    key = name("traceparent");
  shm::RingWriter other = region_.ring(region_->acquire_lane(4243, base_));
  const auto id = [](unsigned number) { return 0x10000u * number + 1; };
  for (unsigned i = 0; i < 100; ++i) {
    const std::uint64_t end = base_ + 100 * kMs + i * kMs;
    const std::uint64_t begin = end - (i == 60 ? 90 : 2) * kMs;
    shm::RingWriter& ring = i % 2 == 0 ? ring_ : other;  // which is read before and after the request's own
    ring.write(end - 2, RecordKind::kSpan, 0, 0, id(1000 + i),
               shm::SpanPayload{id(2000 + i), begin + 1, part, 4243, 4243, 0});
    ring.write(end - 1, RecordKind::kSpan, 0, 0, id(2000 + i),
               shm::SpanPayload{id(1 + i), begin + 1, call, 4243, 4243, 3});
    ring.write(end - 1, RecordKind::kSpanAttributes, 0, 0, id(2000 + i),
               shm::AttributesPayload{
                   {{key, shm::AttributeType::kTraceHigh, 0x10 + i}, {key, shm::AttributeType::kTraceLow, 0xab}}});
    ring.write(end - 1, RecordKind::kSpanAttributes, 0, 0, id(2000 + i),
               shm::AttributesPayload{{{key, shm::AttributeType::kTraceSpan, 0xc}, {}}});
    ring_.write(end, RecordKind::kSpan, 0, 0, id(1 + i), shm::SpanPayload{0, begin, request, 4242, 4242, 0});
  }
  drain_->drain();
  drain_->finish(0);
  run::Reader run = read();
  std::map<std::int64_t, std::vector<std::string>> inside;
  std::map<std::int64_t, std::int64_t> parents;
  for (const run::Span& span : run.spans()) parents[span.span] = span.parent;
  for (const run::Span& span : run.spans()) {
    if (span.span == id(2060)) {
      EXPECT_EQ(span.attributes, R"({"traceparent":"00-000000000000004c00000000000000ab-000000000000000c-00"})");
    }
    if (span.parent == 0) {
      inside[span.span];
      continue;
    }
    const auto above = parents.find(span.parent);
    const std::int64_t root = above == parents.end() || above->second == 0 ? span.parent : above->second;
    if (parents.contains(root)) inside[root].push_back(run.name(span.name));
  }
  ASSERT_EQ(inside.size(), SpanDrain::kFirstRows + SpanDrain::kSlowestRows);
  EXPECT_THAT(inside, ::testing::Contains(::testing::Key(id(61))));
  for (const auto& [request_id, names] : inside)
    EXPECT_THAT(names, ::testing::UnorderedElementsAre("cam.call", "cam.part")) << (request_id >> 16);
  for (const run::SpanAttribute& row : run.span_attributes()) EXPECT_NE(run.name(row.key), "traceparent");
}

}  // namespace
}  // namespace camprobe::drain
