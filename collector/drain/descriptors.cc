#include "collector/drain/descriptors.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace camprobe::drain {

const char* descriptor_kind(shm::DescriptorKind kind) {
  switch (kind) {
    case shm::DescriptorKind::kFile:
      return "file";
    case shm::DescriptorKind::kPipe:
      return "pipe";
    case shm::DescriptorKind::kSocket:
      return "socket";
    case shm::DescriptorKind::kListen:
      return "listen";
    case shm::DescriptorKind::kAccept:
      return "accept";
    case shm::DescriptorKind::kConnect:
      return "connect";
    case shm::DescriptorKind::kEpoll:
      return "epoll";
    case shm::DescriptorKind::kEvent:
      return "event";
    case shm::DescriptorKind::kOther:
      break;
  }
  return "other";
}

std::string peer_text(const shm::Peer& peer, const std::string& unix_path) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  switch (peer.family) {
    case AF_INET:
      if (::inet_ntop(AF_INET, peer.address, text.data(), text.size()) == nullptr) return {};
      return std::string(text.data()) + ":" + std::to_string(peer.port);
    case AF_INET6:
      if (::inet_ntop(AF_INET6, peer.address, text.data(), text.size()) == nullptr) return {};
      return "[" + std::string(text.data()) + "]:" + std::to_string(peer.port);
    case AF_UNIX:
      return unix_path;
    default:
      return {};
  }
}

namespace {

// `of_one` times what it stands for, as little to be believed as either: no more than to_count() gives.
std::int64_t times(std::int64_t of_one, std::int64_t stands_for) {
  const std::int64_t most = to_count(~std::uint64_t{0});
  return stands_for != 0 && of_one > most / stands_for ? most : of_one * stands_for;
}

}  // namespace

DescriptorDrain::Key DescriptorDrain::key(std::int32_t fd, std::uint32_t generation) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(fd)) << 32) | generation;
}

std::string DescriptorDrain::peer_of(const shm::Peer& peer) {
  std::string path;
  if (peer.family == AF_UNIX) {
    shm::NameId id = 0;
    std::memcpy(&id, peer.address, sizeof id);
    path = context_.text(id);
  }
  return peer_text(peer, path);
}

void DescriptorDrain::opened(const shm::ReadRecord& record) {
  const shm::OpenPayload& payload = record.open;
  if (payload.fd < 0 || (record.flags & shm::kFlagFailed) != 0) return;
  auto [at, is_new] = open_.try_emplace(key(payload.fd, payload.generation));
  Open& open = at->second;
  // The same descriptor again: a socket that connected, or began to listen.
  if (is_new) {
    open.row.process = context_.process;
    open.row.fd = payload.fd;
    open.row.generation = payload.generation;
    open.row.opened_ns = context_.clock.run_ns(record.time_ns);
    open.row.stands_for = payload.stands_for;
    open.opened_ns = record.time_ns;
  }
  if (record.stack != 0) open.row.stack = context_.stack(record.stack, record.time_ns);
  open.row.kind = descriptor_kind(payload.kind);
  open.is_accepted = payload.kind == shm::DescriptorKind::kAccept;
  if (const std::string peer = peer_of(payload.peer); !peer.empty()) open.row.peer = peer;
  if (open.row.id != 0) context_.writer.update(open.row);
}

void DescriptorDrain::close(Open& open, std::uint64_t closed_ns) {
  // Its opening may be booked ahead of the reader's clock, by what a record's time may be.
  open.row.closed_ns = std::max(open.row.opened_ns, context_.clock.run_ns(closed_ns));
  if (open.row.id != 0) {
    context_.writer.update(open.row);
    return;
  }
  const std::int64_t second = context_.clock.second(closed_ns);
  if (second < 0) return;
  if (closed_ns - std::min(closed_ns, open.opened_ns) >= kMinAgeNs) {
    context_.writer.add(open.row);
    return;
  }
  run::DescriptorSum sum;
  sum.process = context_.process;
  sum.second = second;
  sum.kind = open.row.kind;
  sum.peer = open.is_accepted ? open.row.peer.substr(0, open.row.peer.rfind(':')) : open.row.peer;
  sum.stack = open.row.stack;
  const auto all = [&](std::int64_t of_one) { return times(of_one, open.row.stands_for); };
  sum.opened = all(1);
  sum.closed = all(1);
  sum.read_ops = all(open.row.read_ops);
  sum.read_bytes = all(open.row.read_bytes);
  sum.write_ops = all(open.row.write_ops);
  sum.write_bytes = all(open.row.write_bytes);
  context_.writer.count(sum);
}

void DescriptorDrain::closed(const shm::ReadRecord& record) {
  const auto found = open_.find(key(record.close.fd, record.close.generation));
  if (found == open_.end()) return;  // its opening was lost, and it was gone before the table was looked at
  Open& open = found->second;
  open.row.read_ops = record.close.read_ops;
  open.row.read_bytes = to_count(record.close.read_bytes);
  open.row.write_ops = record.close.write_ops;
  open.row.write_bytes = to_count(record.close.write_bytes);
  close(open, record.time_ns);
  open_.erase(found);
}

void DescriptorDrain::restore(run::Reader& run) {
  for (run::Descriptor& row : run.descriptors(context_.process)) {
    if (row.closed_ns) continue;
    Open& open = open_[key(static_cast<std::int32_t>(row.fd), static_cast<std::uint32_t>(row.generation))];
    open.opened_ns = static_cast<std::uint64_t>(row.opened_ns) + context_.clock.started_monotonic_ns;
    open.is_accepted = row.kind == "accept";
    open.row = std::move(row);
  }
}

void DescriptorDrain::compare(const std::vector<shm::ReadDescriptor>& table, std::uint64_t now_ns, bool is_last) {
  constexpr std::uint64_t kCountersEvery = 10;
  ++comparisons_;
  for (const shm::ReadDescriptor& entry : table) {
    if (entry.generation % 2 != 1) continue;
    const Key id = key(entry.fd, entry.generation);
    const bool is_young = entry.opened_ns > now_ns || now_ns - entry.opened_ns < min_age_ns_;
    const auto known = open_.find(id);
    if (known != open_.end()) known->second.seen_in = comparisons_;
    if (is_young) continue;
    Open& open = known != open_.end() ? known->second : open_[id];
    if (known == open_.end()) {
      open.row.process = context_.process;
      open.row.fd = entry.fd;
      open.row.generation = entry.generation;
      open.row.opened_ns = context_.clock.run_ns(entry.opened_ns);
      open.row.stack = context_.stack(entry.stack, entry.opened_ns);
      open.row.stands_for = entry.stands_for;
      open.opened_ns = entry.opened_ns;
      open.seen_in = comparisons_;
    }
    open.missed = 0;
    bool has_changed = false;
    if (const char* kind = descriptor_kind(entry.kind); open.row.kind != kind) {
      open.row.kind = kind;
      has_changed = true;
    }
    if (std::memcmp(&open.peer, &entry.peer, sizeof open.peer) != 0) {
      open.peer = entry.peer;
      if (const std::string peer = peer_of(entry.peer); !peer.empty() && peer != open.row.peer) {
        open.row.peer = peer;
        has_changed = true;
      }
    }
    const auto take = [&](std::int64_t& counter, std::uint64_t now) {
      open.is_stale |= counter != to_count(now);
      counter = to_count(now);
    };
    take(open.row.read_ops, entry.read_ops);
    take(open.row.read_bytes, entry.read_bytes);
    take(open.row.write_ops, entry.write_ops);
    take(open.row.write_bytes, entry.write_bytes);
    open.is_accepted = entry.kind == shm::DescriptorKind::kAccept;
    const bool is_due = is_last || (comparisons_ + static_cast<std::uint64_t>(entry.fd)) % kCountersEvery == 0;
    if (open.row.id == 0)
      open.row.id = context_.writer.add(open.row);
    else if (has_changed || (open.is_stale && is_due))
      context_.writer.update(open.row);
    else
      continue;
    open.is_stale = false;
  }
  for (auto at = open_.begin(); at != open_.end();) {
    Open& open = at->second;
    // Closed without a record that reached us: twice not in the table.
    if (open.seen_in == comparisons_ || now_ns - std::min(now_ns, open.opened_ns) < kMinAgeNs || ++open.missed < 2) {
      ++at;
      continue;
    }
    close(open, now_ns);
    at = open_.erase(at);
  }
}

}  // namespace camprobe::drain
