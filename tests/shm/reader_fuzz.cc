// tests/shm/reader_fuzz.cc
//
// Hostile regions (tests/shm/hostile_region.h), read as a collector reads them: rounds of draining and of copying
// tables, with whatever the edits change before and during each. Nothing may crash, hang or read outside its copies
// (asan says), and what comes out keeps the bounds that region_reader.h promises.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "shm/region_reader.h"
#include "tests/shm/hostile_region.h"

namespace {

using namespace camprobe::shm;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

void check_stack(const RegionReader& reader, StackId id) {
  if (const auto stack = reader.stack(id)) check(stack->frames.size() <= kMaxFrames, "a stack deeper than any can be");
}
void check_name(const RegionReader& reader, NameId id) {
  if (const auto name = reader.name(id)) check(name->size() <= kMaxNameBytes, "a name longer than any can be");
}

void read_everything(RegionReader& reader, bool reads_tables) {
  reader.status();
  std::uint64_t records = 0;
  const DrainResult drained = reader.drain([&](const LaneOwner& lane, bool, const ReadRecord& record) {
    ++records;
    check(lane.index < kLanes && lane.name.size() <= 16, "a lane that cannot be");
    check(record.kind > RecordKind::kNone && record.kind < RecordKind::kKinds, "a record of no kind");
    check_stack(reader, record.stack);
    check_name(reader, record.span_end.name);
    if (const auto name = reader.open_span_name(record.span)) check_name(reader, *name);
  });
  check(drained.records == records, "records that were not given");
  check(records <= std::uint64_t{kLongLanes} * (kLongRing + kLongSignalRing) +
                       std::uint64_t{kLanes - kLongLanes} * (kShortRing + kShortSignalRing),
        "more records than the rings hold");
  if (!reads_tables) return;
  const HostileRegion& region = HostileRegion::instance();
  check(reader.lanes().size() <= kLanes, "more lanes than there are");
  if (region.has_changed(kLiveKeysOffset, kDescriptorsOffset)) {
    const auto live = reader.live_samples();
    check(live.size() <= kLiveSamples, "more live samples than the table holds");
    for (std::size_t i = 0; i < live.size() && i < 64; ++i) check_stack(reader, live[i].sample.stack);
  }
  for (const auto& module : reader.modules()) {
    check(module.build_id.size() <= 56, "a build id longer than its field");
    check_name(reader, module.path);
  }
  if (region.has_changed(kDescriptorsOffset, kSpansOffset)) {
    for (const auto& descriptor : reader.descriptors()) {
      check(descriptor.fd >= 0 && descriptor.fd < static_cast<int>(kDescriptors), "a descriptor out of range");
      check(descriptor.kind <= DescriptorKind::kEvent, "a descriptor of no kind");
    }
  }
  if (region.has_changed(kSpansOffset, kLanesOffset)) {
    for (const auto& span : reader.open_spans()) {
      check(span.attributes.size() <= kSpanAttributes, "more attributes than a span has");
      check_name(reader, span.name);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  HostileRegion& region = HostileRegion::instance();
  const std::vector<Edit> edits = parse_edits(data, size);
  std::size_t next = 0;
  const auto edit_up_to_a_round = [&] {
    region.begin_round();
    while (next < edits.size() && edits[next].kind != EditKind::kRound) region.apply(edits[next++]);
  };
  edit_up_to_a_round();
  std::string error;
  if (auto reader = RegionReader::from_descriptor(region.open_reader(), "fuzzed", &error)) {
    read_everything(*reader, true);
    while (next < edits.size()) {
      const bool reads_tables = (edits[next].field & 1) != 0;
      ++next;
      edit_up_to_a_round();
      read_everything(*reader, reads_tables);
    }
  } else {
    check(!error.empty(), "a region was refused without a reason");
  }
  region.restore();
  return 0;
}
