// tests/shm/hostile_mutator.cc
//
// How libFuzzer (and tests/fuzz_driver.cc) make and change lists of edits to a region (tests/shm/hostile_region.h):
// whole edits are added, taken out, copied and moved, and the words in them become what a field of that meaning could
// be in the worst case. Bytes are never changed without regard to what they stand for, so nearly every input gets past
// the first checks.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "shm/intern.h"
#include "shm/layout.h"
#include "shm/live_table.h"
#include "shm/sample_depot.h"
#include "tests/shm/hostile_region.h"

namespace {

using namespace camprobe::shm;

enum class Meaning { kTime, kSize, kCount, kPosition, kStack, kName, kSpan, kState, kKey, kFd, kTid, kMagic, kNumber };

struct Field {
  Part part;
  std::uint16_t offset, bytes;
  Meaning meaning;
};

#define FIELD(part, type, member, meaning) \
  { Part::part, offsetof(type, member), sizeof(type::member), Meaning::meaning }
constexpr Field kFields[] = {
    FIELD(kHeader, RegionHeader, magic, kMagic),
    FIELD(kHeader, RegionHeader, abi_version, kCount),
    FIELD(kHeader, RegionHeader, header_size, kCount),
    FIELD(kHeader, RegionHeader, region_size, kSize),
    FIELD(kHeader, RegionHeader, created_ns, kTime),
    FIELD(kHeader, RegionHeader, start_ticks, kNumber),
    FIELD(kHeader, RegionHeader, state, kState),
    FIELD(kHeader, RegionHeader, run_id, kMagic),
    FIELD(kHeader, RegionHeader, message, kMagic),
    FIELD(kHeader, RegionHeader, lanes_used, kCount),
    FIELD(kHeader, RegionHeader, modules_used, kCount),
    FIELD(kHeader, RegionHeader, samples_taken, kNumber),
    FIELD(kHeader, RegionHeader, live_samples, kNumber),
    FIELD(kHeader, RegionHeader, heap_interval, kSize),
    FIELD(kHeader, RegionHeader, cpu_hz, kSize),
    FIELD(kHeader, RegionHeader, wait_interval_ns, kSize),
    FIELD(kHeader, RegionHeader, families, kNumber),
    FIELD(kHeader, RegionHeader, exit_ns, kTime),
    FIELD(kHeader, RegionHeader, exit_status, kNumber),
    FIELD(kHeader, RegionHeader, lost, kNumber),
    FIELD(kHeader, RegionHeader, stray_allocs, kNumber),
    FIELD(kHeader, RegionHeader, stray_bytes, kNumber),
    FIELD(kHeader, RegionHeader, probe_ns, kNumber),
    FIELD(kHeader, RegionHeader, allocator, kNumber),
    FIELD(kModules, ModuleEntry, state, kState),
    FIELD(kModules, ModuleEntry, path, kName),
    FIELD(kModules, ModuleEntry, base, kKey),
    FIELD(kModules, ModuleEntry, low, kKey),
    FIELD(kModules, ModuleEntry, high, kKey),
    FIELD(kModules, ModuleEntry, opened_ns, kTime),
    FIELD(kModules, ModuleEntry, closed_ns, kTime),
    FIELD(kModules, ModuleEntry, build_id_size, kCount),
    {Part::kNameArena, 0, 8, Meaning::kNumber},
    {Part::kStackArena, 0, 8, Meaning::kNumber},
    {Part::kSampleArena, 0, 8, Meaning::kNumber},
    {Part::kSampleArena, offsetof(InternEntry, bytes), 4, Meaning::kCount},
    {Part::kSampleIndex, offsetof(InternHeader, turn), 4, Meaning::kCount},
    {Part::kNameArena, offsetof(InternEntry, bytes), 4, Meaning::kCount},
    {Part::kStackArena, offsetof(InternEntry, bytes), 4, Meaning::kCount},
    {Part::kLiveKeys, 0, 8, Meaning::kKey},
    FIELD(kLiveSamples, LiveSample, size, kSize),
    FIELD(kLiveSamples, LiveSample, sample, kNumber),
    FIELD(kLiveSamples, LiveSample, born_ns, kTime),
    FIELD(kLiveSamples, LiveSample, span, kSpan),
    FIELD(kLiveSamples, LiveSample, interval, kSize),
    FIELD(kLiveSamples, LiveSample, stack, kStack),
    FIELD(kLiveSamples, LiveSample, tid, kTid),
    FIELD(kDescriptors, DescriptorEntry, generation, kCount),
    FIELD(kDescriptors, DescriptorEntry, stack, kStack),
    FIELD(kDescriptors, DescriptorEntry, peer, kNumber),
    FIELD(kDescriptors, DescriptorEntry, peer.family, kState),
    FIELD(kDescriptors, DescriptorEntry, kind, kState),
    FIELD(kDescriptors, DescriptorEntry, opened_ns, kTime),
    FIELD(kDescriptors, DescriptorEntry, read_ops, kNumber),
    FIELD(kDescriptors, DescriptorEntry, read_bytes, kNumber),
    FIELD(kDescriptors, DescriptorEntry, write_bytes, kNumber),
    FIELD(kSpans, SpanSlot, id, kSpan),
    FIELD(kSpans, SpanSlot, parent, kSpan),
    FIELD(kSpans, SpanSlot, begin_ns, kTime),
    FIELD(kSpans, SpanSlot, name, kName),
    FIELD(kSpans, SpanSlot, attributes, kCount),
    FIELD(kLanes, Lane, heap_countdown, kNumber),
    FIELD(kLanes, Lane, heap_allocs, kNumber),
    FIELD(kLanes, Lane, heap_base, kNumber),
    FIELD(kLanes, Lane, heap_version, kCount),
    FIELD(kLanes, Lane, state, kState),
    FIELD(kLanes, Lane, tid, kTid),
    FIELD(kLanes, Lane, generation, kCount),
    FIELD(kLanes, Lane, start_stack, kStack),
    FIELD(kLanes, Lane, began_ns, kTime),
    FIELD(kLanes, Lane, name, kMagic),
    FIELD(kLanes, Lane, ring, kPosition),
    FIELD(kLanes, Lane, signal_ring, kPosition),
    FIELD(kLanes, Lane, io, kNumber),
    FIELD(kRing, Record, sequence, kPosition),
    FIELD(kRing, Record, time_ns, kTime),
    FIELD(kRing, Record, kind, kState),
    FIELD(kRing, Record, stack, kStack),
    FIELD(kRing, Record, span, kSpan),
    FIELD(kRing, Record, payload, kNumber),
    FIELD(kSignalRing, Record, sequence, kPosition),
    FIELD(kSignalRing, Record, time_ns, kTime),
    FIELD(kSignalRing, Record, payload, kNumber),
};
#undef FIELD

// What the words of a record of each kind mean, from `words` on.
struct Payload {
  RecordKind kind;
  struct {
    std::uint8_t offset, bytes;
    Meaning meaning;
  } fields[6];
};
constexpr Payload kPayloads[] = {
    {RecordKind::kAlloc,
     {{0, 8, Meaning::kKey}, {8, 8, Meaning::kSize}, {16, 8, Meaning::kCount}, {24, 8, Meaning::kSize}}},
    {RecordKind::kFree,
     {{0, 8, Meaning::kSize}, {8, 8, Meaning::kCount}, {16, 8, Meaning::kSize}, {24, 8, Meaning::kTime}}},
    {RecordKind::kCpu,
     {{0, 8, Meaning::kSize}, {8, 8, Meaning::kSize}, {16, 8, Meaning::kKey}, {24, 4, Meaning::kCount}}},
    {RecordKind::kWait,
     {{0, 8, Meaning::kSize}, {8, 8, Meaning::kSize}, {24, 4, Meaning::kName}, {28, 4, Meaning::kFd}}},
    {RecordKind::kOpen,
     {{0, 4, Meaning::kFd},
      {4, 4, Meaning::kCount},
      {8, 8, Meaning::kName},
      {26, 1, Meaning::kState},
      {28, 1, Meaning::kState}}},
    {RecordKind::kClose,
     {{0, 4, Meaning::kFd},
      {4, 4, Meaning::kCount},
      {8, 8, Meaning::kNumber},
      {16, 8, Meaning::kNumber},
      {24, 4, Meaning::kNumber}}},
    {RecordKind::kSpan,
     {{0, 8, Meaning::kSpan},
      {8, 8, Meaning::kTime},
      {16, 4, Meaning::kName},
      {20, 4, Meaning::kTid},
      {24, 4, Meaning::kTid},
      {28, 4, Meaning::kCount}}},
    {RecordKind::kSpanAttributes,
     {{0, 4, Meaning::kName},
      {4, 4, Meaning::kState},
      {8, 8, Meaning::kName},
      {16, 4, Meaning::kName},
      {20, 4, Meaning::kState},
      {24, 8, Meaning::kNumber}}},
    {RecordKind::kThreadStart,
     {{0, 4, Meaning::kTid},
      {4, 4, Meaning::kTid},
      {8, 8, Meaning::kMagic},
      {16, 8, Meaning::kMagic},
      {24, 8, Meaning::kSize}}},
    {RecordKind::kThreadEnd,
     {{0, 4, Meaning::kTid}, {4, 4, Meaning::kTid}, {8, 8, Meaning::kMagic}, {24, 8, Meaning::kSize}}},
    {RecordKind::kMap,
     {{0, 8, Meaning::kKey}, {8, 8, Meaning::kSize}, {16, 8, Meaning::kCount}, {24, 8, Meaning::kTime}}},
    {RecordKind::kUnmap,
     {{0, 8, Meaning::kKey}, {8, 8, Meaning::kSize}, {16, 8, Meaning::kCount}, {24, 8, Meaning::kTime}}},
    {RecordKind::kMark, {{0, 4, Meaning::kName}}},
    {RecordKind::kProcess, {{0, 4, Meaning::kState}, {4, 4, Meaning::kTid}, {8, 8, Meaning::kNumber}}},
    {RecordKind::kSetting, {{0, 4, Meaning::kState}, {8, 8, Meaning::kNumber}}},
};

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  void change(std::vector<Edit>& edits) {
    for (std::uint64_t changes = 1 + below(3); changes > 0; --changes) {
      const std::uint64_t what = below(100);
      if (edits.empty() || (what < 40 && edits.size() < kMostEdits)) {
        edits.insert(edits.begin() + at(edits.size() + 1), fresh());
      } else if (what < 50) {
        edits.erase(edits.begin() + at(edits.size()));
      } else if (what < 57 && edits.size() < kMostEdits) {
        const Edit copy = edits[below(edits.size())];
        edits.insert(edits.begin() + at(edits.size() + 1), copy);
      } else if (what < 63) {
        std::swap(edits[below(edits.size())], edits[below(edits.size())]);
      } else {
        tweak(edits[below(edits.size())]);
      }
    }
  }

  std::vector<Edit> cross(const std::vector<Edit>& a, const std::vector<Edit>& b) {
    std::vector<Edit> out(a.begin(), a.begin() + at(a.size() + 1));
    const std::ptrdiff_t from = at(b.size() + 1);
    out.insert(out.end(), b.begin() + from, b.end());
    if (out.size() > kMostEdits) out.resize(kMostEdits);
    return out;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : random_() % n; }
  std::ptrdiff_t at(std::size_t n) { return static_cast<std::ptrdiff_t>(below(n)); }
  std::uint64_t one_of(std::initializer_list<std::uint64_t> values) { return values.begin()[below(values.size())]; }

  std::uint64_t extreme() {
    static constexpr std::uint64_t kExtremes[] = {0,
                                                  1,
                                                  2,
                                                  0x7f,
                                                  0xff,
                                                  0x7fff,
                                                  0xffff,
                                                  0x7fffffff,
                                                  0x80000000,
                                                  0xffffffff,
                                                  1ull << 32,
                                                  (1ull << 53) + 1,
                                                  0x7fffffffffffffff,
                                                  0x8000000000000000,
                                                  ~std::uint64_t{0},
                                                  0x7ff0000000000000,   // the doubles: infinite,
                                                  0x7ff8000000000001,   // none,
                                                  0xffefffffffffffff};  // the most negative one
    return kExtremes[below(std::size(kExtremes))];
  }

  std::uint64_t value(Meaning meaning) {
    if (below(8) == 0) return extreme();
    constexpr std::uint64_t kSecond = 1'000'000'000;
    switch (meaning) {
      case Meaning::kTime: {
        const std::uint64_t ahead =
            one_of({0, 1, 1000, kSecond / 10, kSecond, 2 * kSecond, 60 * kSecond, 3600 * kSecond});
        return below(4) == 0 ? HostileRegion::kCreatedNs - ahead
                             : HostileRegion::kCreatedNs + ahead + below(kSecond / 5);
      }
      case Meaning::kSize:
        return std::uint64_t{1} << below(64);
      case Meaning::kCount:
        return one_of({0, 1, 2, 3, 8, 17, 18, 20, 28, 29, 255, kLanes, kLanes + 1, kModules, kModules + 1,
                       1000 + below(40), below(100)});
      case Meaning::kPosition:
        return one_of({0, 1, 9, kLongRing, kLongRing + 1, kLongSignalRing, kShortRing, kShortRing + 1, 2 * kLongRing,
                       below(3 * kLongRing), ~std::uint64_t{0} - below(3 * kLongRing)});
      case Meaning::kStack:
        // Of samples in the present turn, in others, and with an offset in neither table.
        if (below(3) == 0) {
          return kSampleStackBit | one_of({0, 0, 0, 1, 2, kTurns - 1}) << kTurnShift |
                 one_of({0, 1, 2, 5, 6, 7, kSampleArenaBytes / 8 - 1, below(64)});
        }
        return one_of({0, 1, 5, 6, 7, 8, 9, 100, kStackArenaBytes / 8 - 1, kStackArenaBytes / 8, below(64)});
      case Meaning::kName:
        return one_of({0, 1, 2, 4, 6, 8, 100, kNameArenaBytes / 8 - 1, kNameArenaBytes / 8, below(64)});
      case Meaning::kSpan:
        return (below(1000) << 16) | one_of({0, 1, 2, 3, kSpans, kSpans + 1, below(kSpans)});
      case Meaning::kState:
        return below(20);
      case Meaning::kKey:
        return one_of({0, 1, 2, 3, 0x401000, 0x401234, 0x20010, 0x7f0000001001, below(1 << 20) << 4});
      case Meaning::kFd:
        return one_of({0, 3, 4, 8, kDescriptors - 1, kDescriptors, 0xffffffff, below(64)});
      case Meaning::kTid:
        return one_of({0, 1, 5000, 5001, 5017, 0xffffffff, below(1 << 22)});
      case Meaning::kMagic: {
        std::uint64_t text = 0;
        for (int i = 0; i < 8; ++i)
          text = text << 8 | one_of({0, 'a', 'z', '/', 0x80, 0xc3, 0xed, 0xff, '\n', '<', '"', 0x1b});
        return text;
      }
      case Meaning::kNumber:
        return below(2) == 0 ? extreme() : random_();
    }
    return random_();
  }

  static void put(std::vector<std::uint8_t>& data, std::size_t offset, std::size_t bytes, std::uint64_t value) {
    bytes = std::min<std::size_t>(bytes, 8);
    if (data.size() < offset + bytes) data.resize(offset + bytes);
    std::memcpy(data.data() + offset, &value, bytes);
  }

  std::uint32_t element(Part part) {
    const std::uint32_t elements = elements_of(part);
    switch (below(4)) {
      case 0:
        return static_cast<std::uint32_t>(below(elements));
      case 1:
        return elements - 1 - static_cast<std::uint32_t>(below(4));
      default:  // where the template has something
        return part == Part::kRing || part == Part::kSignalRing
                   ? static_cast<std::uint32_t>(below(kLongLanes + 3) + kLanes * below(16))
                   : static_cast<std::uint32_t>(below(std::min<std::uint32_t>(elements, 40)));
    }
  }

  std::uint8_t repetitions(std::uint64_t most) {
    return static_cast<std::uint8_t>(below(6) == 0 ? below(most + 1) : below(8) == 0 ? below(5) : 0);
  }

  Edit record() {
    Edit edit;
    edit.kind = EditKind::kRecord;
    const Payload& payload = kPayloads[below(std::size(kPayloads))];
    edit.part = payload.kind == RecordKind::kCpu ? Part::kSignalRing : Part::kRing;
    edit.index = static_cast<std::uint32_t>(below(4) == 0 ? below(kLongLanes + 2) : 0);
    edit.repeat = repetitions(13);
    // Most steps lead somewhere new: another sample, or a later instant.
    edit.field = below(2) == 0 ? static_cast<std::uint16_t>(below(7) * 8) : 40;
    edit.argument = static_cast<std::uint32_t>(one_of({1, 16, 1000, 1'000'000, 0xffffffff}));
    edit.data.resize(sizeof(Record) - 8);
    put(edit.data, 0, 8, value(Meaning::kTime));
    put(edit.data, 8, 2, below(12) == 0 ? below(0x10000) : static_cast<std::uint64_t>(payload.kind));
    put(edit.data, 10, 2, below(32));
    put(edit.data, 12, 4, value(Meaning::kStack));
    put(edit.data, 16, 8, below(2) == 0 ? 0 : value(Meaning::kSpan));
    for (const auto& field : payload.fields)
      if (field.bytes != 0) put(edit.data, 24 + field.offset, field.bytes, value(field.meaning));
    return edit;
  }

  Edit store() {
    Edit edit;
    const Field& field = kFields[below(std::size(kFields))];
    edit.part = field.part;
    edit.field = field.offset;
    if (field.bytes > 8) edit.field = static_cast<std::uint16_t>(edit.field + below(field.bytes / 8) * 8);
    edit.index = element(field.part);
    edit.repeat = repetitions(kMostRepeat);
    edit.argument = static_cast<std::uint32_t>(one_of({0, 1, 2, 16, 4096}));
    put(edit.data, 0, field.bytes, value(field.meaning));
    return edit;
  }

  Edit live() {
    Edit edit;
    edit.kind = EditKind::kLive;
    edit.index = element(Part::kLiveKeys);
    edit.repeat = repetitions(kMostRepeat);
    edit.argument = static_cast<std::uint32_t>(one_of({1, 16, 4096}));
    put(edit.data, 0, 8, value(Meaning::kKey));
    put(edit.data, 8 + offsetof(LiveSample, size), 8, value(Meaning::kSize));
    put(edit.data, 8 + offsetof(LiveSample, sample), 8, value(Meaning::kCount));
    put(edit.data, 8 + offsetof(LiveSample, born_ns), 8, value(Meaning::kTime));
    put(edit.data, 8 + offsetof(LiveSample, span), 8, value(Meaning::kSpan));
    put(edit.data, 8 + offsetof(LiveSample, interval), 8, value(Meaning::kSize));
    put(edit.data, 8 + offsetof(LiveSample, stack), 4, value(Meaning::kStack));
    put(edit.data, 8 + offsetof(LiveSample, tid), 4, value(Meaning::kTid));
    return edit;
  }

  Edit intern() {
    Edit edit;
    edit.kind = EditKind::kIntern;
    edit.part = std::array{Part::kStackArena, Part::kSampleArena, Part::kNameArena, Part::kNameArena}[below(4)];
    const bool is_name = edit.part == Part::kNameArena;
    edit.index = static_cast<std::uint32_t>(value(is_name ? Meaning::kName : Meaning::kStack)) & ~kSampleStackBit;
    edit.repeat = repetitions(kMostRepeat);
    for (std::uint64_t words = 1 + below(6); words > 0; --words)
      put(edit.data, edit.data.size(), 8, value(is_name ? Meaning::kMagic : Meaning::kKey));
    if (below(3) == 0) edit.data.resize(below(edit.data.size() + 1));
    return edit;
  }

  Edit round() {
    Edit edit;
    edit.kind = EditKind::kRound;
    edit.index = static_cast<std::uint32_t>(one_of({0, 1, 100, 100, 1000, 1000, 1000, 60'000, 3'600'000, 0xffffffff}));
    edit.field = static_cast<std::uint16_t>(below(8));
    edit.repeat = below(8) == 0 ? static_cast<std::uint8_t>(below(9)) : 0;
    return edit;
  }

  Edit fresh() {
    Edit edit;
    const std::uint64_t what = below(100);
    if (what < 30) {
      edit = record();
    } else if (what < 60) {
      edit = store();
    } else if (what < 70) {
      edit = live();
    } else if (what < 80) {
      edit = intern();
    } else if (what < 96) {
      edit = round();
    } else {
      edit.kind = what < 98 ? EditKind::kHole : EditKind::kTruncate;
      edit.part = static_cast<Part>(below(static_cast<std::uint64_t>(Part::kParts)));
      edit.index = element(edit.part);
      edit.repeat = repetitions(kMostRepeat);
      edit.argument =
          static_cast<std::uint32_t>(below(2) == 0 ? offset_of(edit.part, edit.index) + below(9) : random_());
    }
    if (edit.kind != EditKind::kRound && below(6) == 0)
      edit.after_reads = static_cast<std::uint16_t>(1 + below(below(2) == 0 ? 8 : 200));
    return edit;
  }

  void tweak(Edit& edit) {
    switch (below(8)) {
      case 0:
        edit.index = edit.kind == EditKind::kRound ? round().index : element(edit.part);
        break;
      case 1:
        edit.repeat = repetitions(kMostRepeat);
        break;
      case 2:
        edit.after_reads = static_cast<std::uint16_t>(below(4) == 0 ? 0 : below(300));
        break;
      case 3:
        edit.field = edit.kind == EditKind::kRound ? static_cast<std::uint16_t>(below(8))
                                                   : static_cast<std::uint16_t>(below(64) * 4);
        break;
      case 4:
        edit.argument = static_cast<std::uint32_t>(value(Meaning::kNumber));
        break;
      default: {  // a word of the data
        if (edit.data.empty()) break;
        const std::size_t bytes = std::size_t{1} << below(4);
        const std::size_t offset = below(edit.data.size()) / bytes * bytes;
        if (offset + bytes > edit.data.size()) break;
        std::uint64_t word = 0;
        std::memcpy(&word, edit.data.data() + offset, bytes);
        switch (below(3)) {
          case 0:
            word ^= std::uint64_t{1} << below(8 * bytes);
            break;
          case 1:
            word += below(2) == 0 ? 1 + below(16) : ~below(16);
            break;
          default:
            word = value(static_cast<Meaning>(below(static_cast<std::uint64_t>(Meaning::kNumber) + 1)));
        }
        std::memcpy(edit.data.data() + offset, &word, bytes);
      }
    }
  }

  std::mt19937_64 random_;
};

std::size_t give(std::vector<Edit> edits, std::uint8_t* out, std::size_t most) {
  if (edits.empty()) edits.emplace_back();  // libFuzzer takes no empty input from a mutator
  std::vector<std::uint8_t> bytes = serialise(edits);
  while (bytes.size() > most && !edits.empty()) {
    edits.pop_back();
    bytes = serialise(edits);
  }
  std::copy(bytes.begin(), bytes.end(), out);
  return bytes.size();
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::vector<Edit> edits = parse_edits(data, size);
  Mutator(seed).change(edits);
  return give(std::move(edits), data, most);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* a, std::size_t a_size, const std::uint8_t* b,
                                                 std::size_t b_size, std::uint8_t* out, std::size_t most,
                                                 unsigned seed) {
  return give(Mutator(seed).cross(parse_edits(a, a_size), parse_edits(b, b_size)), out, most);
}
