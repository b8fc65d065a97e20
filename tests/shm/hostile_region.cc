#include "tests/shm/hostile_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shm/intern.h"
#include "shm/live_table.h"
#include "shm/region.h"

#if defined(__SANITIZE_ADDRESS__)
#define CAMPROBE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAMPROBE_ASAN 1
#endif
#endif
#ifdef CAMPROBE_ASAN
extern "C" void* __asan_region_is_poisoned(void* from, std::size_t bytes);
#endif

namespace camprobe::shm {
namespace {

constexpr std::size_t kBudgetWords = 1u << 20;  // what one input may write, so that none takes long

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(2);
}

// A region with some of everything, made by the probe's own half and then moved to the instant kCreatedNs.
void live_in(Region& region) {
  RegionHeader& header = *region.header();
  header.created_ns = HostileRegion::kCreatedNs;
  header.created_realtime_ns = 1'700'000'000'000'000'000;
  header.pid = HostileRegion::kPid;
  header.parent_pid = 1;
  header.start_ticks = 4711;
  header.uid = 0;
  header.state = static_cast<std::uint32_t>(RegionState::kRunning);
  header.heap_interval = 4096;
  header.cpu_hz = 99;
  header.families = kAllFamilies;
  const auto name = [&](const char* text) {
    return region.intern_name(text, static_cast<std::uint32_t>(std::strlen(text)));
  };
  const std::uintptr_t frames[] = {0x401000, 0x401100, 0x7f0000001000, 0x402000};
  const StackId stack = region.intern_stack(frames, 4, true);
  const StackId cut = region.intern_stack(frames + 1, 2, false);
  std::uintptr_t callers[] = {0x401100, 0x7f0000001000, 0x402000, 0};
  region.intern_sample_in_place(callers, 3, true, HostileRegion::kCreatedNs);
  const NameId arbitration = name("arbitration"), provider = name("provider"), text = name("openai");
  for (const char* path : {"/nowhere/server", "/nowhere/libcam.so"}) {
    ModuleEntry* module = region.claim_module();
    module->path = name(path);
    module->base = 0x400000;
    module->low = 0x401000;
    module->high = 0x409000;
    module->opened_ns = HostileRegion::kCreatedNs + 1000;
    module->build_id_size = 20;
    module->state = 1;
  }
  for (std::uint32_t thread = 0; thread < 2; ++thread) {
    const int lane = region.acquire_lane(5000 + thread, HostileRegion::kCreatedNs + thread);
    if (lane < 0) give_up("fuzz: no lane");
    std::strcpy(region.lane(lane)->name, "worker");
    RingWriter ring, signal_ring;
    region.attach_rings(lane, &ring, &signal_ring);
    std::uint64_t at = HostileRegion::kCreatedNs + 1'000'000;
    const auto next = [&] { return at += 1'000'000; };
    ring.write(next(), RecordKind::kThreadStart, 0, stack, 0, ThreadPayload{5000 + thread, 5000, "worker", 0});
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::uint64_t sample = thread * 16 + i + 1;
      ring.write(next(), RecordKind::kAlloc, 0, stack, 0, AllocPayload{0x10000 + sample * 16, 64 + i, sample, 4096});
      if (i < 2) ring.write(next(), RecordKind::kFree, 1, 0, 0, FreePayload{64 + i, sample, 4096, at - 1'000'000});
    }
    ring.write(next(), RecordKind::kWait, 0, cut, 0, WaitPayload{2'000'000, 100'000, 0, name("epoll_wait"), -1});
    signal_ring.write(at, RecordKind::kCpu, 0, cut, 0, CpuPayload{10'101'010, 10'101'010, 0x401234, 0, 0});
    if (thread != 0) continue;
    ring.write(next(), RecordKind::kOpen, 0, stack, 0,
               OpenPayload{3, 1, Peer{{127, 0, 0, 1}, 443, 2, 0}, DescriptorKind::kConnect, 0, 1});
    ring.write(next(), RecordKind::kClose, 0, 0, 0, ClosePayload{4, 1, 100, 200, 3, 4});
    ring.write(next(), RecordKind::kSpan, 0, 0, 2 << 16 | 2,
               SpanPayload{0, at - 5'000'000, arbitration, 5000, 5000, 2});
    ring.write(next(), RecordKind::kSpanAttributes, 0, 0, 2 << 16 | 2,
               AttributesPayload{{{provider, AttributeType::kText, text},
                                  {name("cost"), AttributeType::kNumber, std::bit_cast<std::uint64_t>(0.25)}}});
    ring.write(next(), RecordKind::kMap, 0, stack, 0, MapPayload{0x7f0000000000, 1 << 20, 900, 0});
    ring.write(next(), RecordKind::kMark, 0, 0, 0, MarkPayload{text, {}});
    ring.write(next(), RecordKind::kSetting, 0, 0, 0, SettingPayload{Setting::kHeapInterval, 1, 8192, 32768, 0});
  }
  for (std::uint64_t i = 1; i < 30; ++i) {
    LiveSample sample{};
    sample.size = 64 * i;
    sample.sample = 1000 + i;
    sample.born_ns = HostileRegion::kCreatedNs + i * 1'000'000;
    sample.interval = 4096;
    sample.stack = stack;
    sample.tid = 5000;
    region.live().insert(i % 10 == 0 ? mapping_key(i << 12) : 0x20000 + i * 16, sample);
  }
  for (int fd = 3; fd < 9; ++fd) {
    DescriptorEntry* entry = region.descriptor(fd);
    entry->generation = 1;
    entry->stack = stack;
    entry->kind = DescriptorKind::kAccept;
    entry->peer = Peer{{127, 0, 0, 1}, 8080, 2, 0};
    entry->opened_ns = HostileRegion::kCreatedNs + 1'000'000;
    entry->read_ops = 5;
    entry->read_bytes = 500;
  }
  SpanId id;
  SpanSlot* slot = region.claim_span(0, &id);
  slot->begin_ns = HostileRegion::kCreatedNs + 3'000'000;
  slot->name = arbitration;
  slot->id = id;
}

std::uint64_t load_word(const std::uint8_t* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

std::uint32_t stride_of(Part part) {
  switch (part) {
    case Part::kModules:
      return sizeof(ModuleEntry);
    case Part::kNameIndex:
    case Part::kStackIndex:
    case Part::kSampleIndex:
      return 4;
    case Part::kNameArena:
    case Part::kStackArena:
    case Part::kSampleArena:
    case Part::kLiveKeys:
    case Part::kHeader:
    case Part::kControl:
      return 8;
    case Part::kLiveSamples:
      return sizeof(LiveSample);
    case Part::kDescriptors:
      return sizeof(DescriptorEntry);
    case Part::kSpans:
      return sizeof(SpanSlot);
    case Part::kLanes:
      return sizeof(Lane);
    default:
      return sizeof(Record);
  }
}

std::uint32_t elements_of(Part part) {
  switch (part) {
    case Part::kHeader:
    case Part::kControl:
      return 1;  // fields are told apart by `field`
    case Part::kNameIndex:
      return kNameSlots + 16;
    case Part::kStackIndex:
      return kStackSlots + 16;
    case Part::kSampleIndex:
      return kSampleTables * kSampleIndexBytes / 4;
    case Part::kSampleArena:
      return kSampleTables * kSampleArenaBytes / 8;
    case Part::kNameArena:
      return kNameArenaBytes / 8;
    case Part::kStackArena:
      return kStackArenaBytes / 8;
    case Part::kModules:
      return kModules;
    case Part::kLiveKeys:
    case Part::kLiveSamples:
      return kLiveSamples;
    case Part::kDescriptors:
      return kDescriptors;
    case Part::kSpans:
      return kSpans;
    case Part::kLanes:
      return kLanes;
    default:
      return kLanes * kLongRing;
  }
}

std::uint64_t offset_of(Part part, std::uint32_t index) {
  const std::uint32_t element = index % elements_of(part);
  const auto from = [&](std::uint64_t base) { return base + std::uint64_t{element} * stride_of(part); };
  switch (part) {
    case Part::kHeader:
      return 0;
    case Part::kControl:
      return kControlOffset;
    case Part::kNameIndex:
      return from(kNameIndexOffset);
    case Part::kNameArena:
      return from(kNameArenaOffset);
    case Part::kModules:
      return from(kModulesOffset);
    case Part::kStackIndex:
      return from(kStackIndexOffset);
    case Part::kStackArena:
      return from(kStackArenaOffset);
    case Part::kSampleIndex:
      return from(kSampleIndexOffset);
    case Part::kSampleArena:
      return from(kSampleArenaOffset);
    case Part::kLiveKeys:
      return from(kLiveKeysOffset);
    case Part::kLiveSamples:
      return from(kLiveSamplesOffset);
    case Part::kDescriptors:
      return from(kDescriptorsOffset);
    case Part::kSpans:
      return from(kSpansOffset);
    default:
      break;
  }
  const LaneGeometry lane = lane_geometry(element % kLanes);
  if (part == Part::kLanes) return lane.offset;
  const std::uint32_t slot = element / kLanes;
  if (part == Part::kSignalRing) return lane.signal_ring_offset() + slot % lane.signal_ring * sizeof(Record);
  return lane.ring_offset() + slot % lane.ring * sizeof(Record);
}

// Sixteen bytes and the data, one after the other; numbers out of range are brought into it, so that every byte counts.
std::vector<Edit> parse_edits(const std::uint8_t* data, std::size_t size) {
  std::vector<Edit> edits;
  while (size >= 16 && edits.size() < kMostEdits) {
    Edit edit;
    edit.kind = static_cast<EditKind>(data[0] % static_cast<std::uint8_t>(EditKind::kKinds));
    edit.part = static_cast<Part>(data[1] % static_cast<std::uint8_t>(Part::kParts));
    std::memcpy(&edit.after_reads, data + 2, 2);
    std::memcpy(&edit.index, data + 4, 4);
    std::memcpy(&edit.field, data + 8, 2);
    edit.repeat = static_cast<std::uint8_t>(data[10] % (kMostRepeat + 1));
    const std::size_t length = std::min<std::size_t>(data[11] % (kMostData + 1), size - 16);
    std::memcpy(&edit.argument, data + 12, 4);
    edit.data.assign(data + 16, data + 16 + length);
    data += 16 + length;
    size -= 16 + length;
    edits.push_back(std::move(edit));
  }
  return edits;
}

std::vector<std::uint8_t> serialise(const std::vector<Edit>& edits) {
  std::vector<std::uint8_t> out;
  for (const Edit& edit : edits) {
    std::uint8_t head[16] = {static_cast<std::uint8_t>(edit.kind), static_cast<std::uint8_t>(edit.part)};
    std::memcpy(head + 2, &edit.after_reads, 2);
    std::memcpy(head + 4, &edit.index, 4);
    std::memcpy(head + 8, &edit.field, 2);
    head[10] = edit.repeat;
    head[11] = static_cast<std::uint8_t>(edit.data.size());
    std::memcpy(head + 12, &edit.argument, 4);
    out.insert(out.end(), head, head + sizeof head);
    out.insert(out.end(), edit.data.begin(), edit.data.end());
  }
  return out;
}

HostileRegion& HostileRegion::instance() {
  static HostileRegion region;
  return region;
}

HostileRegion::HostileRegion() : touched_(kRegionBytes / kPage / 64 + 1) {
  static Region region;
  CreateFailure failure;
  if (!region.create({}, &failure)) give_up(failure.what);
  live_in(region);
  fd_ = ::memfd_create("region", MFD_CLOEXEC);
  if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(kRegionBytes)) != 0) give_up("fuzz: memfd");
  path_ = "/proc/self/fd/" + std::to_string(fd_);
  void* mapping = ::mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapping == MAP_FAILED) give_up("fuzz: mmap");
  mapping_ = static_cast<char*>(mapping);
  static const char kZeros[kPage] = {};
  for (std::uint64_t at = 0; at < kRegionBytes; at += kPage) {
    const char* page = region.base() + at;
    if (std::memcmp(page, kZeros, kPage) == 0) continue;
    pages_.emplace_back(at, std::vector<char>(page, page + kPage));
    if (::pwrite(fd_, page, kPage, static_cast<off_t>(at)) != static_cast<ssize_t>(kPage)) give_up("fuzz: template");
  }
  region.unlink();
  region.abandon();
}

int HostileRegion::open_reader() {
  return reader_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
}

void HostileRegion::write(std::uint64_t offset, const void* data, std::size_t bytes) {
  if (offset + bytes > kRegionBytes) bytes = offset < kRegionBytes ? kRegionBytes - offset : 0;
  if (bytes == 0) return;
  words_written_ += (bytes + 7) / 8;
  for (std::uint64_t page = offset / kPage; page <= (offset + bytes - 1) / kPage; ++page)
    touched_[page / 64] |= std::uint64_t{1} << (page % 64);
  if (!is_resized_)
    std::memcpy(mapping_ + offset, data, bytes);
  else if (::pwrite(fd_, data, bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes))
    give_up("fuzz: pwrite");
}

bool HostileRegion::has_changed(std::uint64_t from, std::uint64_t to) const {
  if (is_resized_) return true;
  for (std::uint64_t page = from / kPage; page <= (to - 1) / kPage; ++page)
    if ((touched_[page / 64] >> (page % 64) & 1) != 0) return true;
  return false;
}

std::uint64_t HostileRegion::read_word(std::uint64_t offset) const {
  std::uint64_t word = 0;
  // Not ::pread, which is the reader's.
  ::syscall(SYS_pread64, fd_, &word, sizeof word, static_cast<off_t>(offset));
  return word;
}

void HostileRegion::begin_round() {
  waiting_.clear();
  reads_ = 0;
}

void HostileRegion::apply(const Edit& edit) {
  if (edit.after_reads == 0)
    now(edit);
  else
    waiting_.push_back(edit);
}

void HostileRegion::before_read() {
  if (waiting_.empty()) return;
  ++reads_;
  for (std::size_t i = 0; i < waiting_.size();) {
    if (waiting_[i].after_reads > reads_) {
      ++i;
      continue;
    }
    now(waiting_[i]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void HostileRegion::now(const Edit& edit) {
  std::vector<std::uint8_t> data = edit.data;
  const std::uint64_t count = std::uint64_t{1} << edit.repeat;
  const auto step = [&](std::size_t at) {  // the next of many
    if (at + 8 > data.size()) return;
    const std::uint64_t word = load_word(data.data() + at) + edit.argument;
    std::memcpy(data.data() + at, &word, sizeof word);
  };
  switch (edit.kind) {
    case EditKind::kStore: {
      const std::uint32_t span =
          edit.part == Part::kHeader || edit.part == Part::kControl ? kPage : stride_of(edit.part);
      for (std::uint64_t i = 0; i < count && words_written_ < kBudgetWords; ++i) {
        write(offset_of(edit.part, edit.index + static_cast<std::uint32_t>(i)) + edit.field % span, data.data(),
              data.size());
        step(0);
      }
      break;
    }
    case EditKind::kRecord: {
      const std::uint32_t lane = edit.index % kLanes;
      const LaneGeometry where = lane_geometry(lane);
      const bool is_signal = edit.part == Part::kSignalRing;
      const std::uint64_t ring = is_signal ? where.signal_ring_offset() : where.ring_offset();
      const std::uint32_t slots = is_signal ? where.signal_ring : where.ring;
      const std::uint64_t head_at = where.offset + (is_signal ? offsetof(Lane, signal_ring) : offsetof(Lane, ring));
      std::uint64_t head = read_word(head_at);
      data.resize(sizeof(Record) - 8);
      for (std::uint64_t i = 0; i < count && words_written_ < kBudgetWords; ++i, ++head) {
        std::uint8_t record[sizeof(Record)];
        const std::uint64_t sequence = head + 1;
        std::memcpy(record, &sequence, sizeof sequence);
        std::memcpy(record + 8, data.data(), data.size());
        write(ring + head % slots * sizeof(Record), record, sizeof record);
        step(edit.field % data.size() / 8 * 8);
      }
      write(head_at, &head, sizeof head);
      const std::uint64_t used_at = offsetof(RegionHeader, lanes_used);
      const std::uint32_t used = std::max(static_cast<std::uint32_t>(read_word(used_at)), lane + 1);
      write(used_at, &used, sizeof used);
      break;
    }
    case EditKind::kIntern: {
      const Part arena =
          edit.part == Part::kStackArena || edit.part == Part::kSampleArena ? edit.part : Part::kNameArena;
      std::vector<std::uint8_t> bytes;
      for (std::uint64_t i = 0; i < count && bytes.size() + data.size() <= 65536; ++i)
        bytes.insert(bytes.end(), data.begin(), data.end());
      InternEntry entry;
      entry.bytes = static_cast<std::uint32_t>(bytes.size());
      entry.hash = intern_hash(bytes.data(), entry.bytes);
      write(offset_of(arena, edit.index), &entry, sizeof entry);
      write(offset_of(arena, edit.index) + sizeof entry, bytes.data(), bytes.size());
      break;
    }
    case EditKind::kLive: {
      data.resize(8 + sizeof(LiveSample));
      for (std::uint64_t i = 0; i < count && words_written_ < kBudgetWords; ++i) {
        const std::uint32_t slot = (edit.index + static_cast<std::uint32_t>(i)) % kLiveSamples;
        write(kLiveKeysOffset + slot * 8ull, data.data(), 8);
        write(kLiveSamplesOffset + slot * sizeof(LiveSample), data.data() + 8, sizeof(LiveSample));
        step(0);
        step(8 + offsetof(LiveSample, sample));
      }
      break;
    }
    case EditKind::kHole: {
      const std::uint64_t from = offset_of(edit.part, edit.index) / kPage * kPage;
      const std::uint64_t pages = std::min<std::uint64_t>(count, (kRegionBytes - from) / kPage);
      if (pages == 0) break;
      for (std::uint64_t page = from / kPage; page < from / kPage + pages; ++page)
        touched_[page / 64] |= std::uint64_t{1} << (page % 64);
      ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                  static_cast<off_t>(pages * kPage));
      break;
    }
    case EditKind::kTruncate:
      is_resized_ = true;
      if (::ftruncate(fd_, static_cast<off_t>(edit.argument % (kRegionBytes + 2))) != 0) give_up("fuzz: ftruncate");
      break;
    default:
      break;
  }
}

void HostileRegion::restore() {
  begin_round();
  reader_ = -1;
  words_written_ = 0;
  if (is_resized_ && ::ftruncate(fd_, static_cast<off_t>(kRegionBytes)) != 0) give_up("fuzz: ftruncate");
  const auto is_touched = [&](std::uint64_t page) { return (touched_[page / 64] >> (page % 64) & 1) != 0; };
  for (std::uint64_t word = 0; word < touched_.size(); ++word) {
    if (touched_[word] == 0) continue;
    for (std::uint64_t page = word * 64; page < word * 64 + 64; ++page) {
      if (!is_touched(page)) continue;
      std::uint64_t end = page + 1;
      while (end < word * 64 + 64 && is_touched(end)) ++end;
      ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(page * kPage),
                  static_cast<off_t>((end - page) * kPage));
      page = end;
    }
  }
  for (const auto& [at, bytes] : pages_) {
    if (!is_resized_ && !is_touched(at / kPage)) continue;
    if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(bytes.size()))
      give_up("fuzz: restore");
  }
  std::fill(touched_.begin(), touched_.end(), 0);
  is_resized_ = false;
}

}  // namespace camprobe::shm

// Every read of the program passes here, so that edits can fall between any two of them. A raw system call is not seen
// by AddressSanitizer, so the buffer is looked at by hand.
extern "C" ssize_t pread(int fd, void* out, std::size_t bytes, off_t offset) {
  using camprobe::shm::HostileRegion;
  if (HostileRegion::instance().is_reader(fd)) HostileRegion::instance().before_read();
#ifdef CAMPROBE_ASAN
  if (void* bad = __asan_region_is_poisoned(out, bytes)) *static_cast<volatile char*>(bad) = 0;
#endif
  return ::syscall(SYS_pread64, fd, out, bytes, offset);
}
