// sampler/mapping_table.cc: see sampler/mapping_table.h.
#include "sampler/mapping_table.h"

#include "sampler/give_way.h"

namespace camprobe::sampler {
namespace {

// One stretch with one history. Counted: `sample.sample` is not 0, and the live table has it under its begin.
struct Stretch {
  std::uintptr_t begin, end;  // 0, 0: free place
  shm::LiveSample sample;
};

constexpr std::uint32_t kStretches = 4096;
Stretch g_stretches[kStretches];
constinit std::uint32_t g_used = 0;  // places [0, g_used) may be taken
// Who holds the table: a thread, and a number of this time in the upper half; 0: nobody.
constinit std::atomic<std::uint64_t> g_holder{0};
constinit std::atomic<std::uint32_t> g_times{0};

// A holder that a handler of the program left by siglongjmp() never lets go. So the lock is taken from a thread that
// finds that it holds it already (behind the shut door it cannot be under way), and from any thread that holds it
// through a tenth of a second; then a stretch may be wrong, but nobody hangs.
class TableLock {
 public:
  explicit TableLock(const ThreadLane& thread)
      : own_(thread.tid | (static_cast<std::uint64_t>(g_times.fetch_add(1, std::memory_order_relaxed)) << 32)) {
    constexpr int kYields = 64;
    constexpr int kNaps = 200;  // of half a millisecond
    std::uint64_t before = 0;
    int tries = 0;
    for (;;) {
      std::uint64_t holder = 0;
      if (g_holder.compare_exchange_strong(holder, own_, std::memory_order_acquire)) return;
      tries = holder == before ? tries + 1 : 0;
      before = holder;
      if (static_cast<std::uint32_t>(holder) == thread.tid || tries == kYields + kNaps) {
        if (g_holder.compare_exchange_strong(holder, own_, std::memory_order_acquire)) return;
        continue;
      }
      if (tries < kYields) {
        give_way();
      } else {
        nap();
      }
    }
  }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;
  ~TableLock() {
    std::uint64_t own = own_;
    g_holder.compare_exchange_strong(own, 0, std::memory_order_release);
  }

 private:
  std::uint64_t own_;
};

void count(Stretch* stretch) {
  stretch->sample.size = stretch->end - stretch->begin;
  if (!g_region.live().insert(shm::mapping_key(stretch->begin), stretch->sample))
    g_region.count_loss(shm::Loss::kLiveFull);
}

void uncount(const Stretch& stretch) {
  shm::LiveSample gone;
  g_region.live().erase_sample(shm::mapping_key(stretch.begin), stretch.sample.sample, &gone);
}

void place(const Stretch& stretch) {
  for (std::uint32_t at = 0; at < kStretches; ++at) {
    if (g_stretches[at].end != 0) continue;
    g_stretches[at] = stretch;
    if (at >= g_used) g_used = at + 1;
    if (stretch.sample.sample != 0) count(&g_stretches[at]);
    return;
  }
  g_region.count_loss(shm::Loss::kLiveFull);
}

// Cuts [begin, end) out of every stretch. Returns whether something reserved but not counted was there.
bool cut(ThreadLane& thread, std::uintptr_t begin, std::uintptr_t end) {
  bool had_reserved = false;
  const std::uint32_t used = g_used;
  for (std::uint32_t at = 0; at < used; ++at) {
    Stretch& known = g_stretches[at];
    if (known.end <= begin || known.begin >= end) continue;
    const Stretch before = known;
    const bool is_counted = before.sample.sample != 0;
    known = {};
    if (is_counted) {
      uncount(before);
      const std::uintptr_t from = before.begin > begin ? before.begin : begin;
      const std::uintptr_t to = before.end < end ? before.end : end;
      write_record(thread, shm::RecordKind::kUnmap, before.sample.stack,
                   shm::MapPayload{from, to - from, before.sample.sample, before.sample.born_ns});
    } else {
      had_reserved = true;
    }
    if (before.begin < begin) place({before.begin, begin, before.sample});
    if (before.end > end) place({end, before.end, before.sample});
  }
  return had_reserved;
}

void add(ThreadLane& thread, std::uintptr_t begin, std::uintptr_t end, bool is_writable, void* hook_frame) {
  Stretch stretch = {begin, end, {}};
  if (is_writable) {
    const std::uint64_t now = now_ns();
    stretch.sample.size = end - begin;
    stretch.sample.sample = g_region.header()->samples_taken.fetch_add(1, std::memory_order_relaxed) + 1;
    stretch.sample.born_ns = now;
    stretch.sample.span = current_span(thread);
    stretch.sample.stack = capture_above(thread, hook_frame);
    stretch.sample.tid = thread.tid;
    write_record(thread, shm::RecordKind::kMap, stretch.sample.stack,
                 shm::MapPayload{begin, end - begin, stretch.sample.sample, now}, 0, now);
  }
  place(stretch);
}

std::uintptr_t address_of(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}
std::uintptr_t end_of(const void* address, std::size_t bytes) {
  return address_of(address) + shm::page_up(bytes);
}

}  // namespace

void note_mapped(void* address, std::size_t bytes, bool is_writable, void* hook_frame) {
  ProbeScope scope;
  if (!scope) return;
  const TableLock lock(*scope);
  cut(*scope, address_of(address), end_of(address, bytes));
  if (bytes >= kLargeMapping) add(*scope, address_of(address), end_of(address, bytes), is_writable, hook_frame);
}

void note_unmapped(void* address, std::size_t bytes) {
  ProbeScope scope;
  if (!scope) return;
  const TableLock lock(*scope);
  cut(*scope, address_of(address), end_of(address, bytes));
}

void note_protected(void* address, std::size_t bytes, bool is_writable, void* hook_frame) {
  ProbeScope scope;
  if (!scope) return;
  const TableLock lock(*scope);
  const std::uintptr_t begin = address_of(address), end = end_of(address, bytes);
  // Only what changes from reserved to writable, or back: a guard page, or code made writable for a moment, is neither.
  for (std::uint32_t at = 0; at < g_used; ++at) {
    const Stretch& known = g_stretches[at];
    if (known.end <= begin || known.begin >= end || (known.sample.sample != 0) == is_writable) continue;
    const std::uintptr_t from = known.begin > begin ? known.begin : begin;
    const std::uintptr_t to = known.end < end ? known.end : end;
    cut(*scope, from, to);
    add(*scope, from, to, is_writable, hook_frame);
  }
}

void note_remapped(void* old_address, std::size_t old_bytes, void* address, std::size_t bytes, void* hook_frame) {
  ProbeScope scope;
  if (!scope) return;
  const TableLock lock(*scope);
  const std::uintptr_t old_begin = address_of(old_address), begin = address_of(address);
  bool was_known = false, was_writable = false;
  for (std::uint32_t at = 0; at < g_used; ++at) {
    const Stretch& known = g_stretches[at];
    if (known.end <= old_begin || known.begin > old_begin) continue;
    was_known = true;
    was_writable = known.sample.sample != 0;
  }
  if (old_bytes != 0) cut(*scope, old_begin, end_of(old_address, old_bytes));
  cut(*scope, begin, end_of(address, bytes));
  if (was_known || bytes >= kLargeMapping)
    add(*scope, begin, end_of(address, bytes), !was_known || was_writable, hook_frame);
}

void forget_mappings() {
  g_holder.store(0, std::memory_order_relaxed);
  for (std::uint32_t at = 0; at < g_used; ++at) g_stretches[at] = {};
  g_used = 0;
}

}  // namespace camprobe::sampler
