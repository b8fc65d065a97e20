#include "collector/drain/descriptors.h"

#include <arpa/inet.h>
#include <sys/socket.h>

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
    open.opened_ns = record.time_ns;
  }
  if (record.stack != 0) open.row.stack = context_.stack(record.stack, false, record.time_ns);
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
  sum.opened = 1;
  sum.closed = 1;
  sum.read_ops = open.row.read_ops;
  sum.read_bytes = open.row.read_bytes;
  sum.write_ops = open.row.write_ops;
  sum.write_bytes = open.row.write_bytes;
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

void DescriptorDrain::compare(const std::vector<shm::ReadDescriptor>& table, std::uint64_t now_ns) {
  std::unordered_map<Key, const shm::ReadDescriptor*> seen;
  for (const shm::ReadDescriptor& entry : table) {
    if (entry.generation % 2 == 1) seen.emplace(key(entry.fd, entry.generation), &entry);
  }
  for (const auto& [id, entry] : seen) {
    if (entry->opened_ns > now_ns || now_ns - entry->opened_ns < min_age_ns_) continue;
    auto [at, is_new] = open_.try_emplace(id);
    Open& open = at->second;
    if (is_new) {
      open.row.process = context_.process;
      open.row.fd = entry->fd;
      open.row.generation = entry->generation;
      open.row.opened_ns = context_.clock.run_ns(entry->opened_ns);
      open.row.stack = context_.stack(entry->stack, false, entry->opened_ns);
      open.opened_ns = entry->opened_ns;
    }
    open.missed = 0;
    run::Descriptor row = open.row;
    row.kind = descriptor_kind(entry->kind);
    if (const std::string peer = peer_of(entry->peer); !peer.empty()) row.peer = peer;
    row.read_ops = to_count(entry->read_ops);
    row.read_bytes = to_count(entry->read_bytes);
    row.write_ops = to_count(entry->write_ops);
    row.write_bytes = to_count(entry->write_bytes);
    open.is_accepted = entry->kind == shm::DescriptorKind::kAccept;
    const bool has_changed = row.kind != open.row.kind || row.peer != open.row.peer ||
                             row.read_ops != open.row.read_ops || row.write_ops != open.row.write_ops ||
                             row.read_bytes != open.row.read_bytes || row.write_bytes != open.row.write_bytes;
    open.row = row;
    if (open.row.id == 0)
      open.row.id = context_.writer.add(open.row);
    else if (has_changed)
      context_.writer.update(open.row);
  }
  for (auto at = open_.begin(); at != open_.end();) {
    Open& open = at->second;
    // Closed without a record that reached us: twice not in the table.
    if (seen.count(at->first) != 0 || now_ns - std::min(now_ns, open.opened_ns) < kMinAgeNs || ++open.missed < 2) {
      ++at;
      continue;
    }
    close(open, now_ns);
    at = open_.erase(at);
  }
}

}  // namespace camprobe::drain
