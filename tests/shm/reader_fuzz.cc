// tests/shm/reader_fuzz.cc
//
// Hostile regions: the input is a list of patches (8 bytes offset, 1 byte length, data) laid over a whole, lived-in
// region; then everything a collector reads is read. Nothing may crash, hang or read outside its copies (asan says).
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "shm/region.h"
#include "shm/region_reader.h"
#include "shm/ring.h"

namespace {

using namespace camprobe::shm;

// A region with some of everything, as bytes at offsets (the file is sparse, so only what is not zero is kept).
struct Template {
  int fd = -1;
  std::vector<std::uint64_t> interesting;  // offsets worth patching

  Template() {
    static Region region;
    CreateFailure failure;
    if (!region.create({}, &failure)) {
      std::fprintf(stderr, "fuzz: no region: %s\n", failure.what);
      std::exit(2);
    }
    const int lane = region.acquire_lane(1, 1);
    const LaneGeometry where = lane_geometry(static_cast<std::uint32_t>(lane));
    RingWriter ring;
    ring.attach(&region.lane(lane)->ring, reinterpret_cast<Record*>(region.base() + where.ring_offset()), where.ring);
    const std::uintptr_t frames[3] = {1, 2, 3};
    const StackId stack = region.intern_stack(frames, 3, true);
    const NameId name = region.intern_name("name", 4);
    for (std::uint64_t i = 0; i < 50; ++i) ring.write(i, RecordKind::kAlloc, 0, stack, 0, {i * 16, 8, i, 4096});
    LiveSample sample{};
    sample.stack = stack;
    for (std::uint64_t i = 1; i < 50; ++i) region.live().insert(i * 16, sample);
    region.descriptor(3)->generation = 1;
    ModuleEntry* module = region.claim_module();
    module->path = name;
    module->state = 1;
    SpanId span;
    SpanSlot* slot = region.claim_span(0, &span);
    slot->id = span;
    fd = memfd_create("template", 0);
    if (ftruncate(fd, static_cast<off_t>(kRegionBytes)) != 0) std::exit(2);
    for (std::uint64_t at = 0; at < kRegionBytes; at += 4096) {
      const char* page = region.base() + at;
      static const char zeros[4096] = {};
      if (std::memcmp(page, zeros, 4096) == 0) continue;
      if (pwrite(fd, page, 4096, static_cast<off_t>(at)) != 4096) std::exit(2);
    }
    region.unlink();
    interesting = {0,
                   kControlOffset,
                   kNameIndexOffset,
                   kNameArenaOffset,
                   kModulesOffset,
                   kStackIndexOffset,
                   kStackArenaOffset,
                   kLiveKeysOffset,
                   kLiveSamplesOffset,
                   kDescriptorsOffset,
                   kSpansOffset,
                   where.offset,
                   where.ring_offset(),
                   where.signal_ring_offset()};
  }
};

void read_everything(int fd) {
  std::string error;
  auto reader = RegionReader::from_descriptor(dup(fd), "fuzzed", &error);
  if (!reader) return;
  reader->status();
  for (int i = 0; i < 2; ++i) {
    reader->drain([&](const LaneOwner&, bool, const ReadRecord& record) {
      reader->stack(record.stack);
      reader->name(record.span_end.name);
      reader->open_span_name(record.span);
    });
  }
  reader->lanes();
  for (const auto& live : reader->live_samples()) reader->stack(live.sample.stack);
  for (const auto& module : reader->modules()) reader->name(module.path);
  for (const auto& descriptor : reader->descriptors()) reader->stack(descriptor.stack);
  for (const auto& span : reader->open_spans()) reader->name(span.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Template base;
  struct Undo {
    std::uint64_t offset;
    std::vector<unsigned char> bytes;
  };
  std::vector<Undo> undo;
  std::size_t at = 0;
  while (at + 6 <= size && undo.size() < 32) {
    std::uint32_t offset32;
    std::memcpy(&offset32, data + at + 1, 4);
    const std::uint64_t part = base.interesting[data[at] % base.interesting.size()];
    const std::size_t length = std::min<std::size_t>(data[at + 5] % 65, size - at - 6);
    const std::uint64_t offset = (part + offset32 % 8192) % (kRegionBytes - 64);
    undo.push_back({offset, std::vector<unsigned char>(length)});
    if (pread(base.fd, undo.back().bytes.data(), length, static_cast<off_t>(offset)) < 0) std::abort();
    if (pwrite(base.fd, data + at + 6, length, static_cast<off_t>(offset)) < 0) std::abort();
    at += 6 + length;
  }
  const bool truncate_it = size > 0 && data[size - 1] == 0xff;
  if (truncate_it) {
    // Truncation needs a file of its own; the first pages are enough to reach every "file ends here" path.
    const int cut = memfd_create("cut", 0);
    std::vector<unsigned char> head(8192);
    if (pread(base.fd, head.data(), head.size(), 0) < 0 || pwrite(cut, head.data(), head.size(), 0) < 0) std::abort();
    read_everything(cut);
    close(cut);
  } else {
    read_everything(base.fd);
  }
  for (auto it = undo.rbegin(); it != undo.rend(); ++it)
    if (pwrite(base.fd, it->bytes.data(), it->bytes.size(), static_cast<off_t>(it->offset)) < 0) std::abort();
  return 0;
}
