// shm/region.cc
//
// Making a region and handing out its parts. See shm/region.h for who may call what.
#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <cstring>

#include "shm/raw_syscall.h"
#include "shm/region_calls.h"

namespace camprobe::shm {

namespace {

constexpr std::uint32_t kImagesTried = 64;

constinit std::uint64_t g_frozen_monotonic = 0, g_frozen_realtime = 0;

std::uint64_t clock_ns(clockid_t clock) {
  if (is_forbidden(bit_of_call(SYS_clock_gettime)))
    return clock == CLOCK_MONOTONIC ? g_frozen_monotonic : g_frozen_realtime;
  timespec now;
  clock_gettime(clock, &now);  // the vDSO's: no syscall, async-signal-safe
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

// A file larger than RLIMIT_FSIZE would end the program by SIGXFSZ, so it is asked first.
bool file_limit_allows(std::uint64_t bytes) {
  rlimit limit;
  if (is_error(raw_syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, reinterpret_cast<long>(&limit)))) return true;
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

// Whether thread `tid` of our process is no more; `own` is the number of a thread that asks, and so not the old one's.
bool is_gone(std::uint32_t pid, std::uint32_t tid, std::uint32_t own) {
  constexpr long kNoSuchThread = -3;
  return tid == own || raw_syscall(SYS_tgkill, pid, tid, 0) == kNoSuchThread;
}

// Where the address space is limited the region must not be what the program lacks later.
bool address_space_allows(std::uint64_t bytes) {
  constexpr std::uint64_t kLargestShare = 8;
  rlimit limit;
  if (is_error(raw_syscall(SYS_prlimit64, 0, RLIMIT_AS, 0, reinterpret_cast<long>(&limit)))) return true;
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur / kLargestShare >= bytes;
}

}  // namespace

std::uint64_t monotonic_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}
std::uint64_t realtime_ns() {
  return clock_ns(CLOCK_REALTIME);
}

void freeze_clocks() {
  g_frozen_monotonic = monotonic_ns();
  g_frozen_realtime = realtime_ns();
}

std::uint64_t own_start_ticks() {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/stat"), O_RDONLY | O_CLOEXEC);
  if (is_error(fd)) return 0;
  char text[1024];
  const long got = raw_syscall(SYS_read, fd, reinterpret_cast<long>(text), sizeof text - 1);
  raw_syscall(SYS_close, fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  // The name in field 2 may hold spaces and parentheses: count fields from the last ')'.
  const char* at = nullptr;
  for (const char* c = text; *c != '\0'; ++c)
    if (*c == ')') at = c;
  if (at == nullptr) return 0;
  int field = 2;
  for (; *at != '\0'; ++at) {
    if (*at != ' ') continue;
    if (++field == 22) {
      std::uint64_t ticks = 0;
      const char* digits = at + 1;
      return region_name_detail::take_number(digits, &ticks) ? ticks : 0;
    }
  }
  return 0;
}

bool Region::create(const Options& options, CreateFailure* failure) {
  const auto fail = [&](const char* what, long error) {
    failure->what = what;
    failure->error = static_cast<int>(-error);
    return false;
  };
  if (!file_limit_allows(kRegionBytes)) return fail("the file size limit (ulimit -f) is below the region's size", -27);

  if (!address_space_allows(kRegionBytes)) return fail("the address space limit (ulimit -v) is too tight", -ENOMEM);

  const long uid = raw_syscall(SYS_geteuid), pid = raw_syscall(SYS_getpid);
  if (is_forbidden(kCallsForARegion) || is_error(uid) || is_error(pid))
    return fail("a seccomp filter is in the way of making a region", kNotCalled);

  RegionName name;
  name.uid = static_cast<std::uint32_t>(uid);
  name.pid = static_cast<std::uint32_t>(pid);
  name.start_ticks = own_start_ticks();
  long fd = -1;
  for (name.image = options.image; name.image < options.image + kImagesTried; ++name.image) {
    format_region_path(name, path_);
    fd = raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path_),
                     O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd != -17) break;  // EEXIST: an earlier image's region, or somebody in the way
  }
  if (is_error(fd)) {
    path_[0] = '\0';
    return fail("no file could be made in /dev/shm", fd);
  }
  raw_syscall(SYS_fchmod, fd, 0600);  // whatever the umask took away

  const auto undo = [&](const char* what, long error) {
    raw_syscall(SYS_close, fd);
    raw_syscall(SYS_unlink, reinterpret_cast<long>(path_));
    path_[0] = '\0';
    return fail(what, error);
  };
  long result = raw_syscall(SYS_ftruncate, fd, static_cast<long>(kRegionBytes));
  if (is_error(result)) return undo("the region's file could not be sized", result);
  result = raw_syscall(SYS_mmap, is_abandoned_ ? reinterpret_cast<long>(base_) : 0, static_cast<long>(kRegionBytes),
                       PROT_READ | PROT_WRITE, MAP_SHARED | (is_abandoned_ ? MAP_FIXED : 0), fd, 0);
  if (is_error(result)) return undo("the region could not be mapped (address space limit?)", result);
  char* base = reinterpret_cast<char*>(result);

  reservation_.begin(base);
  if (!reservation_.ensure(0, kControlOffset + kPage)) {
    // Either /dev/shm is full, or the kernel does not know MADV_POPULATE_WRITE: then everything is reserved now.
    result = raw_syscall(SYS_fallocate, fd, 0, 0, static_cast<long>(kRegionBytes));
    if (is_error(result)) {
      if (!is_abandoned_ || !clear_mapping())
        raw_syscall(SYS_munmap, reinterpret_cast<long>(base), static_cast<long>(kRegionBytes));
      return undo("/dev/shm has no room for a region", result);
    }
    reservation_.everything_reserved();
  }
  raw_syscall(SYS_close, fd);

  base_ = base;
  is_abandoned_ = false;
  RegionHeader& head = *header();
  head.abi_version = kAbiVersion;
  head.header_size = sizeof(RegionHeader);
  head.region_size = kRegionBytes;
  head.created_ns = monotonic_ns();
  head.created_realtime_ns = realtime_ns();
  head.start_ticks = name.start_ticks;
  head.pid = name.pid;
  head.parent_pid = static_cast<std::uint32_t>(raw_syscall(SYS_getppid));
  head.uid = name.uid;
  head.image = name.image;
  head.collector_pid = options.collector_pid;
  head.exit_status = -1;
  if (options.run_id != nullptr) {
    for (std::size_t i = 0; i + 1 < sizeof head.run_id && options.run_id[i] != '\0'; ++i)
      head.run_id[i] = options.run_id[i];
  }
  reservation_.count_into(&head.reserved_bytes);
  head.reserved_bytes.store(Reservation::kPiece, std::memory_order_relaxed);
  names_.attach(base_, &reservation_, kNameIndexOffset, kNameSlots, kNameArenaOffset, kNameArenaBytes);
  stacks_.attach(base_, &reservation_, kStackIndexOffset, kStackSlots, kStackArenaOffset, kStackArenaBytes);
  samples_.attach(base_, &reservation_, &head.sample_turn);
  live_.attach(base_, &reservation_, &head.live_samples);
  // The magic comes last: a reader that finds it finds a whole header.
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  return true;
}

bool Region::clear_mapping() {
  return !is_error(raw_syscall(SYS_mmap, reinterpret_cast<long>(base_), static_cast<long>(kRegionBytes),
                               PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0));
}

void Region::abandon() {
  if (!is_mapped()) return;
  path_[0] = '\0';
  if (clear_mapping()) {
    is_abandoned_ = true;
    return;
  }
  // No memory for that: what was interrupted, if anything was, will fail, but the parent's pages are safe.
  char* base = base_;
  base_ = nullptr;
  names_.attach(nullptr, nullptr, 0, 0, 0, 0);
  stacks_.attach(nullptr, nullptr, 0, 0, 0, 0);
  samples_.attach(nullptr, nullptr, nullptr);
  live_.attach(nullptr, nullptr, nullptr);
  raw_syscall(SYS_munmap, reinterpret_cast<long>(base), static_cast<long>(kRegionBytes));
}

void Region::unlink() {
  if (path_[0] != '\0') raw_syscall(SYS_unlink, reinterpret_cast<long>(path_));
  path_[0] = '\0';
}

NameId Region::intern_name(const char* text, std::uint32_t bytes) {
  if (base_ == nullptr) return 0;
  const NameId id = names_.intern(text, bytes);
  if (id == 0) count_loss(Loss::kNameFull);
  return id;
}

StackId Region::intern_stack(const std::uintptr_t* frames, std::uint32_t depth, bool complete) {
  std::uintptr_t copy[kMaxFrames + 1];
  const std::uint32_t kept = depth < kMaxFrames ? depth : kMaxFrames;
  std::memcpy(copy, frames, kept * sizeof(std::uintptr_t));
  return intern_stack_in_place(copy, kept, complete && kept == depth);
}

namespace {

// An incomplete stack ends with a null frame, so that "cut here" is part of its identity.
std::uint32_t bytes_of(std::uintptr_t* frames, std::uint32_t depth, bool complete) {
  if (!complete) frames[depth++] = 0;
  return depth * static_cast<std::uint32_t>(sizeof(std::uintptr_t));
}

}  // namespace

StackId Region::intern_stack_in_place(std::uintptr_t* frames, std::uint32_t depth, bool complete) {
  if (base_ == nullptr || depth == 0 || depth > kMaxFrames) return 0;
  const StackId id = stacks_.intern(frames, bytes_of(frames, depth, complete));
  if (id == 0) count_loss(Loss::kStackFull);
  return id;
}

StackId Region::intern_sample_in_place(std::uintptr_t* frames, std::uint32_t depth, bool complete,
                                       std::uint64_t now_ns) {
  if (base_ == nullptr || depth == 0 || depth > kMaxFrames) return 0;
  const StackId id = samples_.intern(frames, bytes_of(frames, depth, complete), now_ns);
  if (id == 0) count_loss(Loss::kStackFull);
  return id;
}

DescriptorEntry* Region::descriptor(int fd) {
  if (base_ == nullptr || fd < 0) return nullptr;
  if (static_cast<std::uint32_t>(fd) >= kDescriptors) {
    count_loss(Loss::kDescriptorRange);
    return nullptr;
  }
  const std::uint64_t offset = kDescriptorsOffset + static_cast<std::uint64_t>(fd) * sizeof(DescriptorEntry);
  if (!reservation_.ensure(offset, sizeof(DescriptorEntry))) {
    count_loss(Loss::kReserve);
    return nullptr;
  }
  return reinterpret_cast<DescriptorEntry*>(base_ + offset);
}

[[gnu::hot]] DescriptorEntry* Region::known_descriptor(int fd) const {
  if (base_ == nullptr || fd < 0 || static_cast<std::uint32_t>(fd) >= kDescriptors) return nullptr;
  const std::uint64_t offset = kDescriptorsOffset + static_cast<std::uint64_t>(fd) * sizeof(DescriptorEntry);
  return reservation_.is_reserved(offset) ? reinterpret_cast<DescriptorEntry*>(base_ + offset) : nullptr;
}

SpanSlot* Region::claim_span(std::uint32_t hint, SpanId* id) {
  if (base_ == nullptr) return nullptr;
  for (std::uint32_t probe = 0; probe < 128; ++probe) {
    const std::uint32_t at = (hint + probe) % kSpans;
    if (!reservation_.ensure(kSpansOffset + at * sizeof(SpanSlot), sizeof(SpanSlot))) {
      count_loss(Loss::kReserve);
      return nullptr;
    }
    SpanSlot& slot = span_slot(at);
    SpanId free = 0;
    if (slot.id.load(std::memory_order_relaxed) != 0) continue;
    if (!slot.id.compare_exchange_strong(free, kSpanChanges, std::memory_order_acquire)) continue;
    return begin_span(slot, at, id);
  }
  count_loss(Loss::kSpanFull);
  return nullptr;
}

int Region::acquire_lane(std::uint32_t tid, std::uint64_t now_ns) {
  if (base_ == nullptr) return -1;
  for (std::uint32_t index = 0; index < kLanes; ++index) {
    const LaneGeometry where = lane_geometry(index);
    if (!reservation_.ensure(where.offset, sizeof(Lane))) {
      count_loss(Loss::kReserve);
      return -1;
    }
    Lane& candidate = *lane(static_cast<int>(index));
    std::uint32_t state = candidate.state.load(std::memory_order_acquire);
    if (state == static_cast<std::uint32_t>(LaneState::kActive)) continue;
    if (state == static_cast<std::uint32_t>(LaneState::kEnding) && !is_gone(header()->pid, candidate.tid, tid))
      continue;
    if (!candidate.state.compare_exchange_strong(state, static_cast<std::uint32_t>(LaneState::kActive),
                                                 std::memory_order_acquire))
      continue;
    candidate.tid = tid;
    candidate.creator_tid = 0;
    candidate.start_stack = 0;
    candidate.began_ns = now_ns;
    candidate.current_span.store(0, std::memory_order_relaxed);
    std::memset(candidate.name, 0, sizeof candidate.name);
    candidate.generation.fetch_add(1, std::memory_order_release);
    std::uint32_t used = header()->lanes_used.load(std::memory_order_relaxed);
    while (used < index + 1 &&
           !header()->lanes_used.compare_exchange_weak(used, index + 1, std::memory_order_release)) {
    }
    return static_cast<int>(index);
  }
  count_loss(Loss::kNoLane);
  return -1;
}

void Region::attach_rings(int index, RingWriter* ring, RingWriter* signal_ring) {
  const LaneGeometry where = lane_geometry(static_cast<std::uint32_t>(index));
  std::atomic<std::uint64_t>* lost = &header()->lost[static_cast<std::uint32_t>(Loss::kReserve)];
  ring->attach(&lane(index)->ring, base_, where.ring_offset(), where.ring, &reservation_, lost);
  signal_ring->attach(&lane(index)->signal_ring, base_, where.signal_ring_offset(), where.signal_ring, &reservation_,
                      lost);
}

void Region::release_lane(int index) {
  if (base_ == nullptr || index < 0) return;
  lane(index)->state.store(static_cast<std::uint32_t>(LaneState::kFree), std::memory_order_release);
}

void Region::end_lane(int index) {
  if (base_ == nullptr || index < 0) return;
  lane(index)->state.store(static_cast<std::uint32_t>(LaneState::kEnding), std::memory_order_release);
}

ModuleEntry* Region::claim_module() {
  if (base_ == nullptr) return nullptr;
  const std::uint32_t index = header()->modules_used.load(std::memory_order_relaxed);
  if (index >= kModules) {
    count_loss(Loss::kModuleFull);
    return nullptr;
  }
  if (!reservation_.ensure(kModulesOffset + index * sizeof(ModuleEntry), sizeof(ModuleEntry))) {
    count_loss(Loss::kReserve);
    return nullptr;
  }
  const std::uint32_t mine = header()->modules_used.fetch_add(1, std::memory_order_relaxed);
  if (mine >= kModules || !reservation_.ensure(kModulesOffset + mine * sizeof(ModuleEntry), sizeof(ModuleEntry))) {
    count_loss(Loss::kModuleFull);
    return nullptr;
  }
  return module(mine);
}

void Region::say(const char* text) {
  if (base_ == nullptr) return;
  char* out = header()->message;
  std::size_t i = 0;
  for (; i + 1 < sizeof header()->message && text[i] != '\0'; ++i) out[i] = text[i];
  out[i] = '\0';
}

}  // namespace camprobe::shm
