// probe/descriptor.cc
//
// See probe/descriptor.h.
#include "probe/descriptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "sampler/add_at_once.h"
#include "sampler/control.h"
#include "sampler/interval.h"
#include "sampler/opening_turns.h"
#include "shm/raw_syscall.h"
#include "shm/region.h"

namespace camprobe::probe {

namespace {

using sampler::ProbeScope;
using sampler::ThreadLane;
using shm::DescriptorEntry;
using shm::DescriptorKind;
using shm::IoKind;
using shm::Peer;
using shm::raw_syscall;

// Nanoseconds of waiting until the thread's next wait sample; negative: sample now. And the interval that it was drawn
// with, which is what its sample is weighed by.
constinit thread_local std::int64_t t_wait_countdown = 0;
constinit thread_local std::uint64_t t_wait_interval = 0;

constinit thread_local sampler::OpeningTurns t_opening_turns = {};
// What all descriptors but plain files are: each is captured.
constexpr std::uint16_t kItself = 1;

// A call that came back sooner did not wait for anybody: it is work, not waiting.
constexpr std::uint64_t kWaitedNs = 20'000;

bool is_open(std::uint32_t generation) {
  return generation % 2 == 1;
}

bool is_socket(DescriptorKind kind);

// Whether the family that a descriptor belongs to is on.
bool is_followed(DescriptorKind kind) {
  return sampler::enabled(is_socket(kind) ? shm::Family::kSocket : shm::Family::kFile);
}

bool is_socket(DescriptorKind kind) {
  return kind == DescriptorKind::kSocket || kind == DescriptorKind::kListen || kind == DescriptorKind::kAccept ||
         kind == DescriptorKind::kConnect;
}

std::uint16_t port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

std::uint16_t local_port_of(int fd) {
  sockaddr_storage address;
  socklen_t length = sizeof address;
  if (raw_syscall(SYS_getsockname, fd, reinterpret_cast<long>(&address), reinterpret_cast<long>(&length)) != 0)
    return 0;
  return port_of(address);
}

// What a descriptor is that the probe did not see being opened (inherited, received, or older than the probe).
DescriptorKind kind_of_found(int fd) {
  struct stat facts;
  if (raw_syscall(SYS_fstat, fd, reinterpret_cast<long>(&facts)) != 0) return DescriptorKind::kOther;
  if (S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode) || S_ISBLK(facts.st_mode)) return DescriptorKind::kFile;
  if (S_ISFIFO(facts.st_mode)) return DescriptorKind::kPipe;
  if (S_ISSOCK(facts.st_mode)) return DescriptorKind::kSocket;
  return DescriptorKind::kOther;
}

IoKind io_kind(DescriptorKind kind, Direction direction) {
  const bool reads = direction == Direction::kRead;
  if (is_socket(kind)) return reads ? IoKind::kSocketRead : IoKind::kSocketWrite;
  if (kind == DescriptorKind::kFile) return reads ? IoKind::kFileRead : IoKind::kFileWrite;
  return reads ? IoKind::kOtherRead : IoKind::kOtherWrite;
}

// Fills an entry in and makes it open. The generation is stored last: who reads an odd one reads the rest of that
// opening.
void fill(const ThreadLane& thread, DescriptorEntry* entry, int fd, DescriptorKind kind, const Peer& peer,
          shm::StackId stack, std::uint16_t stands_for, std::uint8_t flags, std::uint64_t now) {
  std::uint32_t generation = entry->generation.load(std::memory_order_relaxed);
  generation += is_open(generation) ? 2 : 1;  // still odd: its close was not seen (close in a raw system call)
  entry->stack = stack;
  entry->peer = peer;
  entry->kind = kind;
  entry->flags = flags;
  entry->local_port = is_socket(kind) ? local_port_of(fd) : 0;
  entry->opened_ns = now;
  entry->stands_for = stands_for;
  entry->span = sampler::current_span(thread);
  for (auto* counter : {&entry->read_ops, &entry->read_bytes, &entry->read_errors, &entry->read_ns, &entry->write_ops,
                        &entry->write_bytes, &entry->write_errors, &entry->write_ns})
    counter->store(0, std::memory_order_relaxed);
  entry->generation.store(generation, std::memory_order_release);
}

void record_open(ThreadLane& thread, const DescriptorEntry* entry, int fd, std::uint64_t now) {
  shm::OpenPayload payload = {};
  payload.fd = fd;
  payload.generation = entry->generation.load(std::memory_order_relaxed);
  payload.peer = entry->peer;
  payload.kind = entry->kind;
  payload.stands_for = entry->stands_for;
  sampler::write_record(thread, shm::RecordKind::kOpen, entry->stack, payload, entry->flags, now);
}

std::uint32_t saturated(std::uint64_t count) {
  return count > 0xffffffff ? 0xffffffff : static_cast<std::uint32_t>(count);
}

// The entry of a descriptor about to be used; one the probe never saw being opened is looked at and entered as found.
DescriptorEntry* entry_in_use(ThreadLane& thread, int fd) {
  DescriptorEntry* entry = sampler::region().known_descriptor(fd);
  if (entry != nullptr && is_open(entry->generation.load(std::memory_order_acquire))) return entry;
  entry = sampler::region().descriptor(fd);
  if (entry == nullptr) return nullptr;
  const std::uint64_t now = sampler::now_ns();
  const DescriptorKind kind = kind_of_found(fd);
  fill(thread, entry, fd, kind, kind == DescriptorKind::kSocket ? peer_of_descriptor(fd) : no_peer(), 0, kItself,
       shm::kFlagFound, now);
  record_open(thread, entry, fd, now);
  return entry;
}

// Waiting is sampled by its nanoseconds as allocation is by its bytes: long waits nearly always, short ones now and
// then, each weighed by what it stands for.
void sample_wait(ThreadLane& thread, int fd, std::uint64_t waited, const char* call, void* hook_frame) {
  if (!sampler::enabled(shm::Family::kWait)) return;
  const std::uint64_t interval = sampler::region().header()->wait_interval_ns.load(std::memory_order_relaxed);
  if (interval == 0) return;
  // Drawn anew when the interval has changed: gaps have no memory.
  if (t_wait_interval != interval) t_wait_countdown = thread.random.next_gap({interval});
  t_wait_interval = interval;
  t_wait_countdown -= static_cast<std::int64_t>(waited);
  if (t_wait_countdown >= 0) return;
  t_wait_countdown = thread.random.next_gap({interval});
  shm::WaitPayload payload = {};
  payload.duration_ns = waited;
  payload.interval_ns = interval;
  payload.call = sampler::region().intern_name(call, static_cast<std::uint32_t>(std::strlen(call)));
  payload.fd = fd;
  const std::uint64_t ended_ns = sampler::now_ns();
  sampler::write_record(thread, shm::RecordKind::kWait, sampler::capture_above(thread, hook_frame), payload, 0,
                        ended_ns);
  sampler::note_probe_time(ended_ns, sampler::now_ns());
}

// What transferred() and finished() seldom do, behind the door. `thread` was asked for in vain: ProbeScope counts why.
[[gnu::noinline, gnu::cold]] void count_unrecorded() {
  const ProbeScope scope;
}
[[gnu::noinline, gnu::cold]] DescriptorEntry* find_entry(int fd) {
  ProbeScope scope;
  return scope ? entry_in_use(*scope, fd) : nullptr;
}
[[gnu::noinline, gnu::cold]] void note_wait(int fd, std::uint64_t waited, const char* call, void* hook_frame) {
  ProbeScope scope;
  if (scope) sample_wait(*scope, fd, waited, call, hook_frame);
}

}  // namespace

Peer no_peer() {
  return Peer{};
}

Peer peer_of(const sockaddr* address, socklen_t length) {
  Peer peer = {};
  if (address == nullptr || length < sizeof(sa_family_t)) return peer;
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address);
    std::memcpy(peer.address, &in->sin_addr, 4);
    peer.port = ntohs(in->sin_port);
    peer.family = AF_INET;
  } else if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(address);
    std::memcpy(peer.address, &in->sin6_addr, 16);
    peer.port = ntohs(in->sin6_port);
    peer.family = AF_INET6;
  } else if (address->sa_family == AF_UNIX) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(address);
    const std::uint32_t room = length - static_cast<std::uint32_t>(offsetof(sockaddr_un, sun_path));
    std::uint32_t bytes = 0;
    if (length > offsetof(sockaddr_un, sun_path))
      while (bytes < room && bytes < sizeof un->sun_path && (un->sun_path[bytes] != '\0' || bytes == 0)) ++bytes;
    const shm::NameId path = bytes > 0 ? sampler::region().intern_name(un->sun_path, bytes) : 0;
    std::memcpy(peer.address, &path, sizeof path);
    peer.family = AF_UNIX;
  }
  return peer;
}

Peer peer_of_descriptor(int fd) {
  sockaddr_storage address;
  socklen_t length = sizeof address;
  if (raw_syscall(SYS_getpeername, fd, reinterpret_cast<long>(&address), reinterpret_cast<long>(&length)) != 0)
    return no_peer();
  return peer_of(reinterpret_cast<const sockaddr*>(&address), length);
}

namespace {

[[gnu::noinline]] void capture_opening(int fd, DescriptorKind kind, const Peer& peer, void* hook_frame,
                                       std::uint16_t stands_for) {
  ProbeScope scope;
  if (!scope) return;
  const std::uint64_t now = sampler::now_ns();
  DescriptorEntry* entry = sampler::region().descriptor(fd);
  if (entry == nullptr) return;
  fill(*scope, entry, fd, kind, peer, sampler::capture_above(*scope, hook_frame), stands_for, 0, now);
  record_open(*scope, entry, fd, now);
  sampler::note_probe_time(now, sampler::now_ns());
}

}  // namespace

[[gnu::hot]] void opened(int fd, DescriptorKind kind, const Peer& peer, void* hook_frame) {
  if (!is_followed(kind)) return;
  if (kind != DescriptorKind::kFile) return capture_opening(fd, kind, peer, hook_frame, kItself);
  ThreadLane* thread = sampler::this_thread();
  if (thread == nullptr) return count_unrecorded();
  const std::uint64_t now = sampler::now_ns();
  const std::uint32_t stands_for = t_opening_turns.take(now, thread->random);
  if (stands_for != 0) return capture_opening(fd, kind, peer, hook_frame, static_cast<std::uint16_t>(stands_for));
  // As in transferred(): the door stays open, and as few pages are touched as can be.
  DescriptorEntry* entry = sampler::region().descriptor(fd);
  if (entry != nullptr) fill(*thread, entry, fd, kind, peer, 0, 0, 0, now);
}

void becomes(int fd, DescriptorKind kind, const Peer& peer) {
  if (!is_followed(kind)) return;
  ProbeScope scope;
  if (!scope) return;
  const std::uint64_t now = sampler::now_ns();
  DescriptorEntry* entry = entry_in_use(*scope, fd);
  if (entry == nullptr || (entry->kind == kind && std::memcmp(&entry->peer, &peer, sizeof peer) == 0)) return;
  entry->peer = peer;
  entry->kind = kind;
  entry->local_port = local_port_of(fd);
  record_open(*scope, entry, fd, now);
}

namespace {

[[gnu::noinline]] void record_closing(int fd, DescriptorEntry* entry, std::uint32_t generation) {
  ProbeScope scope;
  if (!scope) return;
  // Two threads that close the same number (a bug of the program's) must not count it twice.
  if (!entry->generation.compare_exchange_strong(generation, generation + 1, std::memory_order_acq_rel)) return;
  shm::ClosePayload payload = {};
  payload.fd = fd;
  payload.generation = generation;
  payload.read_bytes = entry->read_bytes.load(std::memory_order_relaxed);
  payload.write_bytes = entry->write_bytes.load(std::memory_order_relaxed);
  payload.read_ops = saturated(entry->read_ops.load(std::memory_order_relaxed));
  payload.write_ops = saturated(entry->write_ops.load(std::memory_order_relaxed));
  sampler::write_record(*scope, shm::RecordKind::kClose, 0, payload);
}

}  // namespace

[[gnu::hot]] void closing(int fd) {
  DescriptorEntry* entry = sampler::region().known_descriptor(fd);
  if (entry == nullptr) return;
  std::uint32_t generation = entry->generation.load(std::memory_order_acquire);
  if (!is_open(generation)) return;
  if (entry->stands_for != 0) return record_closing(fd, entry, generation);
  if (sampler::this_thread() == nullptr) return count_unrecorded();
  const std::uint64_t now = sampler::now_ns();
  if (now > entry->opened_ns && now - entry->opened_ns >= shm::kShortLifeNs)
    return record_closing(fd, entry, generation);
  entry->generation.compare_exchange_strong(generation, generation + 1, std::memory_order_acq_rel);
}

void closing_range(unsigned low, unsigned high) {
  const unsigned last = high < shm::kDescriptors ? high : shm::kDescriptors - 1;
  for (unsigned fd = low; fd <= last; ++fd) closing(static_cast<int>(fd));
}

void duplicated(int from, int to, void* hook_frame) {
  if (from == to) return;
  closing(to);
  if (!follows_descriptors()) return;
  const DescriptorEntry* source = sampler::region().known_descriptor(from);
  const bool known = source != nullptr && is_open(source->generation.load(std::memory_order_acquire));
  opened(to, known ? source->kind : kind_of_found(to), known ? source->peer : no_peer(), hook_frame);
}

// Counts without shutting the door, and without looking at errno unless the call failed: these run after every system
// call of a server's, and each page or call of the C library that they spare is a few per cent of the hook. A handler
// of the program's that comes between two counters and transfers something itself is counted beside.
[[gnu::hot]] void transferred(int fd, Direction direction, ssize_t result, sampler::CallStart began, const char* call,
                              void* hook_frame) {
  const int error = result < 0 ? errno : 0;
  if (error == EBADF) return;
  const std::uint64_t took = began.elapsed_ns();
  ThreadLane* thread = sampler::this_thread();
  if (thread == nullptr) return count_unrecorded();
  // "Nothing there yet" is an answer, not an error; and an operation is a call that succeeded.
  const bool failed = error != 0 && error != EAGAIN && error != EWOULDBLOCK && error != EINTR;
  const std::uint64_t operations = result >= 0 ? 1 : 0;
  const std::uint64_t bytes = result > 0 ? static_cast<std::uint64_t>(result) : 0;
  DescriptorEntry* entry = sampler::region().known_descriptor(fd);
  if (entry == nullptr || !is_open(entry->generation.load(std::memory_order_acquire))) [[unlikely]]
    entry = find_entry(fd);
  const DescriptorKind kind = entry != nullptr ? entry->kind : DescriptorKind::kOther;
  if (!is_followed(kind)) return;

  shm::IoCounter& counter = thread->lane->io[static_cast<std::uint32_t>(io_kind(kind, direction))];
  counter.ops += operations;
  counter.bytes += bytes;
  counter.errors += failed ? 1 : 0;
  counter.ns += took;
  if (entry != nullptr) {
    const bool reads = direction == Direction::kRead;
    const auto add = [has_threads = sampler::g_has_threads.load(std::memory_order_relaxed)](
                         std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
      if (has_threads)
        counter.fetch_add(amount, std::memory_order_relaxed);
      else
        sampler::add_at_once(&counter, static_cast<std::int64_t>(amount));
    };
    add(reads ? entry->read_ops : entry->write_ops, operations);
    add(reads ? entry->read_bytes : entry->write_bytes, bytes);
    if (failed) add(reads ? entry->read_errors : entry->write_errors, 1);
    add(reads ? entry->read_ns : entry->write_ns, took);
  }
  if (took >= kWaitedNs && kind != DescriptorKind::kFile) note_wait(fd, took, call, hook_frame);
  sampler::look_at_control_at(*thread, began);
}

[[gnu::hot]] void finished(IoKind kind, int fd, bool failed, sampler::CallStart began, const char* call,
                           void* hook_frame) {
  const std::uint64_t took = began.elapsed_ns();
  if (kind != IoKind::kWait && !sampler::enabled(shm::Family::kSocket)) return;
  ThreadLane* thread = sampler::this_thread();
  if (thread == nullptr) return count_unrecorded();
  shm::IoCounter& counter = thread->lane->io[static_cast<std::uint32_t>(kind)];
  counter.ops += 1;
  counter.errors += failed ? 1 : 0;
  counter.ns += took;
  if (took >= kWaitedNs) note_wait(fd, took, call, hook_frame);
  sampler::look_at_control_at(*thread, began);
}

}  // namespace camprobe::probe
