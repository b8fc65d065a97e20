// What serving adds up from records: spans by name and provider, sockets by peer, histograms. Records are made by hand,
// as a target would write them, or a hostile one.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <bit>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "collector/serve/access.h"
#include "collector/serve/peer_totals.h"
#include "collector/serve/span_totals.h"

namespace camprobe::serve {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

// Ids 1 to 5 are keys and names; from 100 on "p100", "p101", ...
std::string text_of_id(shm::NameId id) {
  switch (id) {
    case 1:
      return "cam.arbitration";
    case 2:
      return "provider";
    case 3:
      return "cost";
    case 4:
      return "baseline_cost";
    case 5:
      return "status";
    default:
      return id >= 100 ? "p" + std::to_string(id) : "";
  }
}

shm::Attribute number(shm::NameId key, double value) {
  return {key, shm::AttributeType::kNumber, std::bit_cast<std::uint64_t>(value)};
}
shm::Attribute text(shm::NameId key, shm::NameId value) {
  return {key, shm::AttributeType::kText, value};
}

struct Spans {
  SpanTotals totals;
  shm::SpanId next = 1;

  void end(shm::NameId name, std::uint64_t begin_ns, std::uint64_t end_ns, std::vector<shm::Attribute> attributes = {},
           std::uint32_t lane = 0) {
    shm::ReadRecord span;
    span.kind = shm::RecordKind::kSpan;
    span.span = next++;
    span.time_ns = end_ns;
    span.span_end = {};
    span.span_end.name = name;
    span.span_end.begin_ns = begin_ns;
    span.span_end.attributes = static_cast<std::uint32_t>(attributes.size());
    totals.ended(lane, span, text_of_id);
    for (std::size_t i = 0; i < attributes.size(); i += 2) {
      shm::ReadRecord record;
      record.kind = shm::RecordKind::kSpanAttributes;
      record.span = span.span;
      record.attributes = {};
      record.attributes.attribute[0] = attributes[i];
      if (i + 1 < attributes.size()) record.attributes.attribute[1] = attributes[i + 1];
      totals.attributes(lane, record, text_of_id);
    }
  }
};

TEST(SpanTotals, AreByNameAndProviderWithCostAndFailures) {
  Spans spans;
  spans.end(1, 10 * kMs, 12 * kMs, {text(2, 100), number(3, 2), number(4, 5), number(5, 200)});
  spans.end(1, 20 * kMs, 24 * kMs, {text(2, 101), number(3, 1), number(4, 5), number(5, 503)});
  spans.end(1, 30 * kMs, 31 * kMs);
  ASSERT_EQ(spans.totals.totals().size(), 3u);
  const auto& first = spans.totals.totals().at({"cam.arbitration", "p100"});
  EXPECT_EQ(first.durations.count(), 1u);
  EXPECT_DOUBLE_EQ(first.durations.sum_seconds(), 0.002);
  EXPECT_EQ(first.cost, 2);
  EXPECT_EQ(first.baseline_cost, 5);
  EXPECT_EQ(first.failed, 0);
  EXPECT_EQ(spans.totals.totals().at({"cam.arbitration", "p101"}).failed, 1);
  EXPECT_FALSE(spans.totals.totals().at({"cam.arbitration", ""}).has_cost);
}

TEST(SpanTotals, CostWithoutABaselineIsNotAddedUp) {
  Spans spans;
  spans.end(1, 1, 2, {number(3, 2)});
  spans.end(1, 1, 2, {number(3, std::numeric_limits<double>::quiet_NaN()), number(4, 1)});
  spans.end(1, 1, 2, {number(3, -1), number(4, 1)});
  EXPECT_EQ(spans.totals.totals().at({"cam.arbitration", ""}).cost, 0);
  EXPECT_FALSE(spans.totals.totals().at({"cam.arbitration", ""}).has_cost);
}

TEST(SpanTotals, SwitchesAreToldInTheOrderOfBeginningsWhateverRingWasReadFirst) {
  Spans spans;
  spans.end(1, 30 * kMs, 31 * kMs, {text(2, 100)}, 1);  // begun third, read first
  spans.end(1, 10 * kMs, 11 * kMs, {text(2, 100)}, 0);
  spans.end(1, 20 * kMs, 40 * kMs, {text(2, 101)}, 0);
  spans.end(1, 50 * kMs, 51 * kMs, {text(2, 100)}, 1);
  spans.totals.settle(1000 * kMs, text_of_id);
  EXPECT_TRUE(spans.totals.switches().empty()) << "too early to know";
  spans.totals.settle(5000 * kMs, text_of_id);
  EXPECT_EQ(spans.totals.switches().at("cam.arbitration"), 2);
}

TEST(SpanTotals, ATargetThatNamesThingsWithoutEndGetsABoundedNumberOfSeries) {
  Spans spans;
  for (shm::NameId id = 100; id < 40'000; ++id) {
    spans.end(1, 1, 2, {text(2, id)});
    spans.end(id, 1, 2, {text(2, id)});
  }
  spans.totals.settle(~0ull, text_of_id);
  EXPECT_LE(spans.totals.totals().size(), SpanTotals::kMostSeries + 1);
  EXPECT_LE(spans.totals.switches().size(), SpanTotals::kMostSeries + 1);
  EXPECT_GT(spans.totals.totals().at({"cam.arbitration", kOther}).durations.count(), 39'000u);
  std::uint64_t all = 0;
  for (const auto& [labels, totals] : spans.totals.totals()) all += totals.durations.count();
  EXPECT_EQ(all, 2u * 39'900) << "none is dropped";
}

TEST(SpanTotals, LostAttributesLoseNoSpan) {
  Spans spans;
  shm::ReadRecord span;
  span.kind = shm::RecordKind::kSpan;
  span.span = 77;
  span.time_ns = 5;
  span.span_end = {};
  span.span_end.name = 1;
  span.span_end.begin_ns = 9;  // after its end: forged
  span.span_end.attributes = 4'000'000'000u;
  spans.totals.ended(3, span, text_of_id);
  spans.end(1, 1, 2, {}, 3);
  EXPECT_EQ(spans.totals.totals().at({"cam.arbitration", ""}).durations.count(), 2u);
}

shm::Peer peer_of(const char* address) {
  shm::Peer peer{};
  if (::inet_pton(AF_INET, address, peer.address) == 1)
    peer.family = AF_INET;
  else if (::inet_pton(AF_INET6, address, peer.address) == 1)
    peer.family = AF_INET6;
  return peer;
}

TEST(PeerTotals, NetworksAreToldByAddress) {
  const std::pair<const char*, PeerNetwork> cases[] = {
      {"127.0.0.1", PeerNetwork::kLoopback},
      {"127.9.9.9", PeerNetwork::kLoopback},
      {"::1", PeerNetwork::kLoopback},
      {"::ffff:127.0.0.1", PeerNetwork::kLoopback},
      {"10.1.2.3", PeerNetwork::kPrivate},
      {"172.16.0.1", PeerNetwork::kPrivate},
      {"172.32.0.1", PeerNetwork::kPublic},
      {"192.168.7.7", PeerNetwork::kPrivate},
      {"100.64.0.1", PeerNetwork::kPrivate},
      {"100.128.0.1", PeerNetwork::kPublic},
      {"169.254.1.1", PeerNetwork::kPrivate},
      {"fe80::1", PeerNetwork::kPrivate},
      {"fd12::1", PeerNetwork::kPrivate},
      {"2001:db8::1", PeerNetwork::kPublic},
      {"::ffff:192.168.0.1", PeerNetwork::kPrivate},
      {"8.8.8.8", PeerNetwork::kPublic},
  };
  for (const auto& [address, network] : cases) EXPECT_EQ(network_of(peer_of(address)), network) << address;
  EXPECT_EQ(network_of(shm::Peer{}), PeerNetwork::kUnknown);
}

shm::ReadRecord opening(std::int32_t fd, std::uint32_t generation, shm::DescriptorKind kind) {
  shm::ReadRecord record;
  record.kind = shm::RecordKind::kOpen;
  record.open = {};
  record.open.fd = fd;
  record.open.generation = generation;
  record.open.kind = kind;
  record.open.peer = peer_of("127.0.0.1");
  return record;
}
shm::ReadRecord closing(std::int32_t fd, std::uint32_t generation, std::uint64_t read, std::uint64_t written) {
  shm::ReadRecord record;
  record.kind = shm::RecordKind::kClose;
  record.close = {fd, generation, read, written, 1, 2};
  return record;
}

TEST(PeerTotals, TableAndClosingTogetherCountEachByteOnce) {
  PeerTotals totals;
  totals.opened(opening(5, 1, shm::DescriptorKind::kAccept));
  shm::ReadDescriptor entry;
  entry.fd = 5;
  entry.generation = 1;
  entry.kind = shm::DescriptorKind::kAccept;
  entry.peer = peer_of("127.0.0.1");
  entry.read_bytes = 60;
  totals.compare({entry});
  totals.compare({entry});
  totals.closed(closing(5, 1, 100, 7));
  totals.end_round();
  const SocketTotals& loopback = totals.of(PeerRole::kAccepted, PeerNetwork::kLoopback);
  EXPECT_EQ(loopback.read_bytes, 100);
  EXPECT_EQ(loopback.write_bytes, 7);
  EXPECT_EQ(loopback.opened, 1);
}

TEST(PeerTotals, AClosingThatIsReadBeforeItsOpeningWaitsForIt) {
  PeerTotals totals;
  totals.closed(closing(5, 1, 100, 7));
  totals.end_round();
  totals.opened(opening(5, 1, shm::DescriptorKind::kConnect));
  totals.end_round();
  EXPECT_EQ(totals.of(PeerRole::kConnected, PeerNetwork::kLoopback).read_bytes, 100);
  // A closing whose opening never comes is forgotten: the number's next socket has counts of its own.
  totals.closed(closing(6, 1, 100, 7));
  for (int round = 0; round < 5; ++round) totals.end_round();
  totals.opened(opening(6, 1, shm::DescriptorKind::kConnect));
  totals.end_round();
  EXPECT_EQ(totals.of(PeerRole::kConnected, PeerNetwork::kLoopback).read_bytes, 100);
}

TEST(PeerTotals, TheNextSocketOfANumberTakesNothingFromTheLast) {
  PeerTotals totals;
  totals.opened(opening(5, 1, shm::DescriptorKind::kConnect));
  shm::ReadDescriptor entry;
  entry.fd = 5;
  entry.generation = 3;  // the table is ahead of the rings
  entry.kind = shm::DescriptorKind::kConnect;
  entry.peer = peer_of("127.0.0.1");
  entry.read_bytes = 10;
  totals.compare({entry});
  totals.closed(closing(5, 1, 100, 7));
  totals.opened(opening(5, 3, shm::DescriptorKind::kConnect));
  totals.closed(closing(5, 3, 20, 0));
  EXPECT_EQ(totals.of(PeerRole::kConnected, PeerNetwork::kLoopback).read_bytes, 120);
  EXPECT_EQ(totals.of(PeerRole::kConnected, PeerNetwork::kLoopback).opened, 2);
}

TEST(WeightedHistogram, RoundsOnceAndKeepsItsOrder) {
  constexpr double kBounds[] = {1, 2};
  WeightedHistogram histogram(kBounds);
  for (int i = 0; i < 3; ++i) histogram.add(1, 0.4);
  histogram.add(1.5, 0.4);
  histogram.add(5, 0.4);
  std::vector<std::uint64_t> counts;
  histogram.each_bound([&](double, std::uint64_t count) { counts.push_back(count); });
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{1, 2}));  // 1.2, 1.6
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_DOUBLE_EQ(histogram.sum_seconds(), 3 * 0.4 + 1.5 * 0.4 + 5 * 0.4);
}

TEST(Access, OnlyTheWholeTokenIsTheToken) {
  EXPECT_TRUE(is_authorized("Bearer abcdefghijklmnop", "abcdefghijklmnop"));
  EXPECT_TRUE(is_authorized("bearer abcdefghijklmnop", "abcdefghijklmnop"));
  for (const char* wrong : {"", "Bearer", "Bearer ", "abcdefghijklmnop", "Bearer abcdefghijklmno",
                            "Bearer abcdefghijklmnopq", "Bearer  abcdefghijklmnop", "Basic abcdefghijklmnop"})
    EXPECT_FALSE(is_authorized(wrong, "abcdefghijklmnop")) << wrong;
}

TEST(Access, HostsThatNameThisMachine) {
  for (const char* own :
       {"", "localhost", "localhost:9187", "127.0.0.1", "127.0.0.1:9187", "[::1]", "[::1]:9187", "10.0.0.7:80"})
    EXPECT_TRUE(is_own_host(own)) << own;
  for (const char* other : {"example.org", "localhost.example.org", "[::1", "[evil]", "127.0.0.1.example.org:9187"})
    EXPECT_FALSE(is_own_host(other)) << other;
}

}  // namespace
}  // namespace camprobe::serve
