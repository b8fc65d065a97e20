// shm/region_reader.cc
//
// See shm/region_reader.h. Every function copies first and checks then; a wrong value ends in "no value", never in an
// access outside what was copied.
#include "shm/region_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shm/intern.h"
#include "shm/live_table.h"
#include "shm/sample_depot.h"

namespace camprobe::shm {

namespace {

// Copies of shared structs hold atomics that nobody shares any more; this reads one as the plain number it is.
template <typename T>
T plain(const std::atomic<T>& copied) {
  return copied.load(std::memory_order_relaxed);
}

template <std::size_t N>
std::string text_of(const char (&text)[N]) {
  return std::string(text, strnlen(text, N));
}

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

std::optional<ReadAllocator> allocator_of(const AllocatorBlock& block) {
  ReadAllocator allocator;
  const std::uint32_t kind = plain(block.kind), state = plain(block.state);
  allocator.read_ns = plain(block.read_ns);
  allocator.cost_ns = plain(block.cost_ns);
  allocator.figures = {plain(block.in_use), plain(block.cached), plain(block.free), plain(block.held),
                       plain(block.released)};
  if (state == static_cast<std::uint32_t>(AllocatorState::kNever) ||
      kind >= static_cast<std::uint32_t>(AllocatorKind::kKinds) ||
      plain(block.check) != check_of(allocator.figures, allocator.read_ns, allocator.cost_ns))
    return std::nullopt;
  allocator.kind = static_cast<AllocatorKind>(kind);
  allocator.is_too_dear = state == static_cast<std::uint32_t>(AllocatorState::kTooDear);
  constexpr std::uint64_t kAddresses = std::uint64_t{1} << 57;
  AllocatorFigures& figures = allocator.figures;
  for (std::uint64_t* bytes : {&figures.in_use, &figures.cached, &figures.free, &figures.held, &figures.released})
    if (*bytes > kAddresses) *bytes = kUnknownBytes;
  return allocator;
}

}  // namespace

RegionReader::RegionReader(RegionReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      info_(std::move(other.info_)),
      drained_before_(other.drained_before_),
      reads_(other.reads_),
      cursors_(std::move(other.cursors_)),
      buffer_(std::move(other.buffer_)),
      control_(std::move(other.control_)),
      control_guard_(std::move(other.control_guard_)) {}

RegionReader& RegionReader::operator=(RegionReader&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
    info_ = std::move(other.info_);
    drained_before_ = other.drained_before_;
    reads_ = other.reads_;
    cursors_ = std::move(other.cursors_);
    buffer_ = std::move(other.buffer_);
    control_guard_ = std::move(other.control_guard_);
    control_ = std::move(other.control_);
  }
  return *this;
}

RegionReader::~RegionReader() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<RegionReader> RegionReader::open(const std::string& path, std::string* error) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    *error = "cannot open region " + path + ": " + std::strerror(errno);
    return std::nullopt;
  }
  auto reader = from_descriptor(fd, path, error);
  // The collector reads /proc by what a region says of its process, and signals it at the end of a run: a region that
  // speaks for another process than its file's name does is not believed.
  RegionName name;
  if (reader && parse_region_name(path.c_str() + path.rfind('/') + 1, &name) &&
      (name.pid != reader->info_.pid || name.uid != reader->info_.uid ||
       name.start_ticks != reader->info_.start_ticks)) {
    *error = path + " is not the region of the process it is named after: it says it is of process " +
             std::to_string(reader->info_.pid);
    return std::nullopt;
  }
  return reader;
}

std::optional<RegionReader> RegionReader::from_descriptor(int fd, const std::string& path, std::string* error) {
  RegionReader reader;
  reader.fd_ = fd;
  reader.path_ = path;
  if (!reader.read_header(error)) return std::nullopt;
  return reader;
}

bool RegionReader::read_at(std::uint64_t offset, void* out, std::size_t bytes) const {
  auto* at = static_cast<char*>(out);
  while (bytes > 0) {
    ++reads_;
    const ssize_t got = ::pread(fd_, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool RegionReader::read_header(std::string* error) {
  struct stat facts;
  if (::fstat(fd_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    *error = path_ + " is not a region: not a regular file";
    return false;
  }
  RegionHeader header;
  if (!read_at(0, static_cast<void*>(&header), sizeof header)) {
    *error = path_ + " is not a region: shorter than a header";
    return false;
  }
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    *error = path_ + " is not a region, or not ready yet: the magic is missing";
    return false;
  }
  if (header.abi_version != kAbiVersion || header.header_size != sizeof(RegionHeader)) {
    *error = path_ + " was written by another version of libcamprobe.so (ABI " + std::to_string(header.abi_version) +
             ", this is " + std::to_string(kAbiVersion) + "): use the camprobe of that version";
    return false;
  }
  if (header.region_size != kRegionBytes || static_cast<std::uint64_t>(facts.st_size) < kRegionBytes) {
    *error =
        path_ + " is truncated: " + std::to_string(facts.st_size) + " of " + std::to_string(kRegionBytes) + " bytes";
    return false;
  }
  info_.abi_version = header.abi_version;
  info_.created_ns = header.created_ns;
  info_.created_realtime_ns = header.created_realtime_ns;
  info_.start_ticks = header.start_ticks;
  info_.pid = header.pid;
  info_.parent_pid = header.parent_pid;
  info_.uid = header.uid;
  info_.image = header.image;
  info_.collector_pid = header.collector_pid;
  info_.run_id = text_of(header.run_id);
  cursors_.assign(std::size_t{kLanes} * 2, Cursor{});
  return true;
}

std::optional<RegionStatus> RegionReader::status() const {
  RegionHeader header;
  if (!read_at(0, static_cast<void*>(&header), sizeof header)) return std::nullopt;
  RegionStatus status;
  status.state = static_cast<RegionState>(std::min<std::uint32_t>(plain(header.state), 4));
  status.message = text_of(header.message);
  status.lanes_used = std::min(plain(header.lanes_used), kLanes);
  status.modules_used = std::min(plain(header.modules_used), kModules);
  status.samples_taken = plain(header.samples_taken);
  status.live_samples = plain(header.live_samples);
  status.reserved_bytes = plain(header.reserved_bytes);
  status.heap_interval = plain(header.heap_interval);
  status.cpu_hz = plain(header.cpu_hz);
  status.wait_interval_ns = plain(header.wait_interval_ns);
  status.families = plain(header.families);
  status.control_seen = plain(header.control_seen);
  status.exit_ns = header.exit_ns;
  status.exit_status = header.exit_status;
  for (std::uint32_t i = 0; i < kLossSlots; ++i) status.lost[i] = plain(header.lost[i]);
  status.stray_allocs = plain(header.stray_allocs);
  status.stray_frees = plain(header.stray_frees);
  status.stray_bytes = plain(header.stray_bytes);
  status.probe_ns = plain(header.probe_ns);
  status.allocator = allocator_of(header.allocator);
  return status;
}

std::optional<ReadControl> RegionReader::read_control() const {
  ControlBlock block;
  if (!read_at(kControlOffset, static_cast<void*>(&block), sizeof block)) return std::nullopt;
  ReadControl control;
  control.version = plain(block.version);
  control.families = plain(block.families) & kAllFamilies;
  control.heap_interval = plain(block.heap_interval);
  control.cpu_hz = plain(block.cpu_hz);
  control.wait_interval_ns = plain(block.wait_interval_ns);
  control.reader_pid = plain(block.reader_pid);
  control.budget_ppm = plain(block.budget_ppm);
  return control;
}

namespace {

void take_owner(const Lane& lane, std::uint32_t index, LaneOwner* owner) {
  owner->index = index;
  owner->active = plain(lane.state) == static_cast<std::uint32_t>(LaneState::kActive);
  owner->tid = lane.tid;
  owner->creator_tid = lane.creator_tid;
  owner->generation = plain(lane.generation);
  owner->start_stack = lane.start_stack;
  owner->began_ns = lane.began_ns;
  owner->name = text_of(lane.name);
}

}  // namespace

bool RegionReader::read_heads(std::uint32_t index, Heads* heads) const {
  constexpr std::size_t kFrom = offsetof(Lane, state), kTo = offsetof(Lane, signal_ring) + sizeof(RingHeader);
  Lane lane;
  if (!read_at(lane_geometry(index).offset + kFrom, reinterpret_cast<char*>(&lane) + kFrom, kTo - kFrom)) return false;
  take_owner(lane, index, &heads->owner);
  heads->ring = plain(lane.ring.head);
  heads->signal_ring = plain(lane.signal_ring.head);
  return true;
}

std::optional<ReadLane> RegionReader::read_lane(std::uint32_t index) const {
  const LaneGeometry where = lane_geometry(index);
  Lane lane;
  // heap_base and heap_countdown change together under heap_version (odd: in between); a few tries, then as it is.
  for (int attempt = 0; attempt < 8; ++attempt) {
    if (!read_at(where.offset, static_cast<void*>(&lane), sizeof lane)) return std::nullopt;
    const std::uint64_t version = plain(lane.heap_version);
    std::uint64_t again = 0;
    if (!read_at(where.offset + offsetof(Lane, heap_version), &again, sizeof again)) return std::nullopt;
    if (version == again && version % 2 == 0) break;
  }
  ReadLane out;
  take_owner(lane, index, &out);
  out.heap_allocs = lane.heap_allocs;
  out.heap_frees = lane.heap_frees;
  out.heap_bytes = lane.heap_base - static_cast<std::uint64_t>(lane.heap_countdown);
  std::copy(std::begin(lane.io), std::end(lane.io), std::begin(out.io));
  return out;
}

std::vector<std::uint64_t> RegionReader::positions() const {
  std::vector<std::uint64_t> positions;
  for (const Cursor& cursor : cursors_) positions.push_back(cursor.next);
  while (!positions.empty() && positions.back() == 0) positions.pop_back();
  return positions;
}

void RegionReader::go_on_from(const std::vector<std::uint64_t>& positions) {
  for (std::size_t i = 0; i < std::min(positions.size(), cursors_.size()); ++i) cursors_[i].next = positions[i];
  drained_before_ = true;
}

std::vector<ReadLane> RegionReader::lanes() const {
  std::vector<ReadLane> lanes;
  const auto now = status();
  if (!now) return lanes;
  for (std::uint32_t index = 0; index < now->lanes_used; ++index)
    if (auto lane = read_lane(index)) lanes.push_back(std::move(*lane));
  return lanes;
}

std::span<const ReadRecord> RegionReader::news_of(std::uint32_t index, bool is_signal, std::uint64_t head,
                                                  DrainResult* result) {
  Cursor& cursor = cursors_[std::size_t{index} * 2 + (is_signal ? 1 : 0)];
  if (head == cursor.next) return {};
  if (head < cursor.next) {  // heads only grow: forged
    cursor.next = head;
    result->torn += 1;
    return {};
  }
  const LaneGeometry where = lane_geometry(index);
  const std::uint32_t capacity = is_signal ? where.signal_ring : where.ring;
  const std::uint64_t ring_offset = is_signal ? where.signal_ring_offset() : where.ring_offset();
  const std::uint64_t head_offset = where.offset + (is_signal ? offsetof(Lane, signal_ring) : offsetof(Lane, ring));
  std::uint64_t& lost = drained_before_ ? result->lapped : result->before;
  if (head - cursor.next > capacity) {
    lost += head - cursor.next - capacity;
    cursor.next = head - capacity;
  }
  const std::uint64_t from = cursor.next;
  const std::uint64_t count = head - from;  // <= capacity
  result->fullest_per_1024 = std::max(result->fullest_per_1024, static_cast<std::uint32_t>(count * 1024 / capacity));
  if (buffer_.size() < count) buffer_.resize(count);
  const std::uint64_t first = from % capacity;
  const std::uint64_t until_wrap = std::min<std::uint64_t>(count, capacity - first);
  if (!read_at(ring_offset + first * sizeof(Record), buffer_.data(), until_wrap * sizeof(Record)) ||
      (count > until_wrap && !read_at(ring_offset, buffer_.data() + until_wrap, (count - until_wrap) * sizeof(Record))))
    return {};
  // Whatever the writer began to overwrite while we copied is gone: record n's slot is reused from head n + capacity
  // on.
  std::uint64_t head_after = head;
  if (!read_at(head_offset, &head_after, sizeof head_after) || head_after < head) head_after = head;
  cursor.next = head;
  const std::uint64_t gone = head_after - from >= capacity ? std::min(count, head_after - from - capacity + 1) : 0;
  lost += gone;
  // What is whole moves up over what is not; as a rule nothing moves.
  std::uint64_t whole = 0;
  for (std::uint64_t i = gone; i < count; ++i) {
    ReadRecord& record = buffer_[i];
    const auto kind = static_cast<std::uint16_t>(record.kind);
    if (record.sequence != from + i + 1 || kind == 0 || kind >= static_cast<std::uint16_t>(RecordKind::kKinds)) {
      result->torn += 1;
      continue;
    }
    record.sequence -= 1;
    if (whole != i) buffer_[whole] = record;
    ++whole;
  }
  result->records += whole;
  return {buffer_.data(), whole};
}

template <typename Visit>
void RegionReader::each_written(std::uint64_t offset, std::uint32_t entries, std::size_t entry_bytes,
                                Visit visit) const {
  const std::uint64_t end = offset + std::uint64_t{entries} * entry_bytes;
  for (std::uint64_t at = offset; at < end;) {
    // A file system that knows nothing of holes says that all is data.
    const off_t data = ::lseek(fd_, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // nothing but holes from here on
    const std::uint64_t from = data < 0 ? at : std::max(at, static_cast<std::uint64_t>(data));
    if (from >= end) return;
    const off_t hole = data < 0 ? -1 : ::lseek(fd_, static_cast<off_t>(from), SEEK_HOLE);
    const std::uint64_t to = hole < 0 ? end : std::min(end, static_cast<std::uint64_t>(hole));
    if (to <= from) return;  // truncated under us
    const std::uint64_t first = (from - offset) / entry_bytes;
    const std::uint64_t last = (to - offset + entry_bytes - 1) / entry_bytes;
    visit(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last - first));
    at = offset + last * entry_bytes;
  }
}

std::vector<ReadLiveSample> RegionReader::live_samples() const {
  std::vector<ReadLiveSample> out;
  std::vector<std::uint64_t> keys, again;
  std::vector<LiveSample> run;
  // Samples are fetched in runs of neighbouring occupied slots: few system calls when dense, little copying when
  // sparse.
  constexpr std::uint32_t kGap = 16, kMost = 512;
  each_written(kLiveKeysOffset, kLiveSamples, 8, [&](std::uint32_t first, std::uint32_t count) {
    keys.resize(count);
    if (!read_at(kLiveKeysOffset + std::uint64_t{first} * 8, keys.data(), keys.size() * 8)) return;
    for (std::uint32_t slot = 0; slot < count;) {
      if (keys[slot] <= kKeyReserved) {
        ++slot;
        continue;
      }
      std::uint32_t last = slot;
      for (std::uint32_t next = slot + 1; next < count && next - last <= kGap && next - slot < kMost; ++next)
        if (keys[next] > kKeyReserved) last = next;
      run.resize(last - slot + 1);
      again.resize(run.size());
      const std::uint64_t at = std::uint64_t{first} + slot;
      if (!read_at(kLiveSamplesOffset + at * sizeof(LiveSample), run.data(), run.size() * sizeof(LiveSample)) ||
          !read_at(kLiveKeysOffset + at * 8, again.data(), again.size() * 8))
        return;
      for (std::size_t i = 0; i < run.size(); ++i) {
        const std::uint64_t key = keys[slot + i];
        if (key <= kKeyReserved || again[i] != key) continue;  // freed, or replaced, while we copied
        out.push_back({key & ~std::uint64_t{1}, is_mapping_key(key), run[i]});
      }
      slot = last + 1;
    }
  });
  return out;
}

std::vector<ReadModule> RegionReader::modules() const {
  std::vector<ReadModule> out;
  const auto now = status();
  if (!now) return out;
  for (std::uint32_t index = 0; index < now->modules_used; ++index) {
    ModuleEntry entry;
    if (!read_at(kModulesOffset + std::uint64_t{index} * sizeof entry, static_cast<void*>(&entry), sizeof entry)) break;
    if (plain(entry.state) == 0) continue;
    ReadModule module;
    module.index = index;
    module.loaded = plain(entry.state) == 1;
    module.path = entry.path;
    module.base = entry.base;
    module.low = entry.low;
    module.high = entry.high;
    module.opened_ns = entry.opened_ns;
    module.closed_ns = plain(entry.closed_ns);
    module.build_id = hex(entry.build_id, std::min<std::size_t>(entry.build_id_size, sizeof entry.build_id));
    out.push_back(std::move(module));
  }
  return out;
}

std::vector<ReadDescriptor> RegionReader::descriptors() const {
  std::vector<ReadDescriptor> out;
  std::vector<unsigned char> bytes;
  each_written(
      kDescriptorsOffset, kDescriptors, sizeof(DescriptorEntry), [&](std::uint32_t first, std::uint32_t count) {
        bytes.resize(count * sizeof(DescriptorEntry));
        if (!read_at(kDescriptorsOffset + std::uint64_t{first} * sizeof(DescriptorEntry), bytes.data(), bytes.size()))
          return;
        for (std::uint32_t i = 0; i < count; ++i) {
          DescriptorEntry entry;
          std::memcpy(static_cast<void*>(&entry), bytes.data() + std::size_t{i} * sizeof entry, sizeof entry);
          if (plain(entry.generation) == 0) continue;
          ReadDescriptor read;
          read.fd = static_cast<std::int32_t>(first + i);
          read.generation = plain(entry.generation);
          read.stack = entry.stack;
          read.peer = entry.peer;
          read.kind = entry.kind <= DescriptorKind::kEvent ? entry.kind : DescriptorKind::kOther;
          read.found = (entry.flags & kFlagFound) != 0;
          read.local_port = entry.local_port;
          read.stands_for = entry.stands_for;
          read.opened_ns = entry.opened_ns;
          read.span = entry.span;
          read.read_ops = plain(entry.read_ops);
          read.read_bytes = plain(entry.read_bytes);
          read.read_errors = plain(entry.read_errors);
          read.read_ns = plain(entry.read_ns);
          read.write_ops = plain(entry.write_ops);
          read.write_bytes = plain(entry.write_bytes);
          read.write_errors = plain(entry.write_errors);
          read.write_ns = plain(entry.write_ns);
          out.push_back(read);
        }
      });
  return out;
}

std::vector<ReadSpan> RegionReader::open_spans() const {
  std::vector<ReadSpan> out;
  std::vector<unsigned char> bytes;
  each_written(kSpansOffset, kSpans, sizeof(SpanSlot), [&](std::uint32_t first, std::uint32_t count) {
    bytes.resize(count * sizeof(SpanSlot));
    if (!read_at(kSpansOffset + std::uint64_t{first} * sizeof(SpanSlot), bytes.data(), bytes.size())) return;
    for (std::uint32_t i = 0; i < count; ++i) {
      SpanSlot slot;
      std::memcpy(static_cast<void*>(&slot), bytes.data() + std::size_t{i} * sizeof slot, sizeof slot);
      const SpanId id = plain(slot.id);
      if (id == 0 || (id & 0xffff) != first + i + 1) continue;
      ReadSpan span;
      span.id = id;
      span.parent = slot.parent;
      span.begin_ns = slot.begin_ns;
      span.name = slot.name;
      span.begin_tid = slot.begin_tid;
      const std::uint32_t attributes = std::min(plain(slot.attributes), kSpanAttributes);
      span.attributes.assign(slot.attribute, slot.attribute + attributes);
      out.push_back(std::move(span));
    }
  });
  return out;
}

std::optional<NameId> RegionReader::open_span_name(SpanId id) const {
  const std::uint64_t slot = (id & 0xffff) - 1;
  if (slot >= kSpans) return std::nullopt;
  SpanSlot open;
  static_assert(offsetof(SpanSlot, id) == 0);
  constexpr std::size_t kUntil = offsetof(SpanSlot, name) + sizeof(NameId);
  if (!read_at(kSpansOffset + slot * sizeof(SpanSlot), static_cast<void*>(&open), kUntil)) return std::nullopt;
  SpanId again = 0;  // the slot may have passed to another span while it was copied
  if (plain(open.id) != id || !read_at(kSpansOffset + slot * sizeof(SpanSlot), &again, sizeof again) || again != id)
    return std::nullopt;
  return open.name;
}

std::optional<std::string> RegionReader::intern_bytes(std::uint64_t arena_offset, std::uint64_t arena_bytes,
                                                      std::uint32_t id, std::uint32_t most) const {
  const std::uint64_t offset = std::uint64_t{id} * 8;
  if (id == 0 || offset + sizeof(InternEntry) > arena_bytes) return std::nullopt;
  InternEntry entry;
  if (!read_at(arena_offset + offset, &entry, sizeof entry)) return std::nullopt;
  if (entry.hash == 0 || entry.bytes > most || offset + sizeof entry + entry.bytes > arena_bytes) return std::nullopt;
  std::string bytes(entry.bytes, '\0');
  if (!read_at(arena_offset + offset + sizeof entry, bytes.data(), bytes.size())) return std::nullopt;
  // The hash is the entry's own checksum: an id that points into the middle of something is found out.
  if (intern_hash(bytes.data(), entry.bytes) != entry.hash) return std::nullopt;
  return bytes;
}

std::optional<std::string> RegionReader::sample_bytes(StackId id, std::uint32_t most) const {
  const std::uint32_t table = turn_of(id) % kSampleTables;
  const auto holds_its_turn = [&] {
    std::uint32_t turn = kNoTurn;
    return read_at(sample_index_offset(table) + offsetof(InternHeader, turn), &turn, sizeof turn) && turn != kNoTurn &&
           turn % kTurns == turn_of(id);
  };
  if (!holds_its_turn()) return std::nullopt;
  auto bytes = intern_bytes(sample_arena_offset(table), kSampleArenaBytes, id & ((1u << kTurnShift) - 1), most);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (!holds_its_turn()) return std::nullopt;  // it was emptied while it was copied
  return bytes;
}

std::optional<ReadStack> RegionReader::stack(StackId id) const {
  // An unfinished stack has a zero word behind its frames.
  constexpr std::uint32_t kMost = (kMaxFrames + 1) * 8;
  const auto bytes =
      is_sample_stack(id) ? sample_bytes(id, kMost) : intern_bytes(kStackArenaOffset, kStackArenaBytes, id, kMost);
  if (!bytes || bytes->empty() || bytes->size() % 8 != 0) return std::nullopt;
  ReadStack stack;
  stack.frames.resize(bytes->size() / 8);
  std::memcpy(stack.frames.data(), bytes->data(), bytes->size());
  if (!stack.frames.empty() && stack.frames.back() == 0) {
    stack.frames.pop_back();
    stack.complete = false;
  }
  if (stack.frames.size() > kMaxFrames) return std::nullopt;
  return stack;
}

std::optional<ReadStack> RegionReader::stack_of(const ReadRecord& record) const {
  if (record.kind != RecordKind::kCpu) return stack(record.stack);
  if (record.stack == 0) {
    if (record.cpu.program_counter == 0) return std::nullopt;
    return ReadStack{{record.cpu.program_counter}, false};
  }
  std::optional<ReadStack> whole = stack(record.stack);
  if (whole) whole->frames.insert(whole->frames.begin(), record.cpu.program_counter);
  return whole;
}

std::optional<std::string> RegionReader::name(NameId id) const {
  return intern_bytes(kNameArenaOffset, kNameArenaBytes, id, kMaxNameBytes);
}

ControlBlock* RegionReader::control(std::string* error) {
  if (control_ == nullptr) {
    try {
      const boost::interprocess::file_mapping file(path_.c_str(), boost::interprocess::read_write);
      control_ = std::make_unique<boost::interprocess::mapped_region>(
          file, boost::interprocess::read_write, static_cast<boost::interprocess::offset_t>(kControlOffset), kPage);
      control_guard_ = std::make_unique<BusGuard>(control_->get_address());
    } catch (const boost::interprocess::interprocess_exception& failure) {
      *error = "cannot map the control block of " + path_ + ": " + failure.what();
      return nullptr;
    }
  }
  return static_cast<ControlBlock*>(control_->get_address());
}

}  // namespace camprobe::shm
