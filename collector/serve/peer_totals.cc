#include "collector/serve/peer_totals.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace camprobe::serve {
namespace {

PeerNetwork network_of_ipv4(const std::uint8_t* a) {
  if (a[0] == 127) return PeerNetwork::kLoopback;
  const bool is_private = a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
                          (a[0] == 100 && (a[1] & 0xc0) == 64) || (a[0] == 169 && a[1] == 254);
  return is_private ? PeerNetwork::kPrivate : PeerNetwork::kPublic;
}

}  // namespace

const char* text_of(PeerRole role) {
  switch (role) {
    case PeerRole::kAccepted:
      return "accepted";
    case PeerRole::kConnected:
      return "connected";
    default:
      return "other";
  }
}

const char* text_of(PeerNetwork network) {
  switch (network) {
    case PeerNetwork::kLoopback:
      return "loopback";
    case PeerNetwork::kPrivate:
      return "private";
    case PeerNetwork::kPublic:
      return "public";
    case PeerNetwork::kUnix:
      return "unix";
    default:
      return "unknown";
  }
}

PeerNetwork network_of(const shm::Peer& peer) {
  const std::uint8_t* a = peer.address;
  if (peer.family == AF_UNIX) return PeerNetwork::kUnix;
  if (peer.family == AF_INET) return network_of_ipv4(a);
  if (peer.family != AF_INET6) return PeerNetwork::kUnknown;
  constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(a, kMapped, sizeof kMapped) == 0) return network_of_ipv4(a + 12);
  if (std::all_of(a, a + 15, [](std::uint8_t byte) { return byte == 0; }) && a[15] == 1) return PeerNetwork::kLoopback;
  const bool is_private = (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
  return is_private ? PeerNetwork::kPrivate : PeerNetwork::kPublic;
}

bool PeerTotals::is_socket(shm::DescriptorKind kind) {
  return kind == shm::DescriptorKind::kSocket || kind == shm::DescriptorKind::kAccept ||
         kind == shm::DescriptorKind::kConnect;
}

void PeerTotals::learn(Socket& socket, shm::DescriptorKind kind, const shm::Peer& peer) {
  socket.role = kind == shm::DescriptorKind::kAccept    ? PeerRole::kAccepted
                : kind == shm::DescriptorKind::kConnect ? PeerRole::kConnected
                                                        : PeerRole::kOther;
  socket.network = network_of(peer);
  if (socket.role == PeerRole::kOther || socket.is_counted) return;  // it may yet connect
  socket.is_counted = true;
  totals_[static_cast<std::size_t>(socket.role)][static_cast<std::size_t>(socket.network)].opened += 1;
}

void PeerTotals::count(Socket& socket, std::uint64_t read_ops, std::uint64_t read_bytes, std::uint64_t write_ops,
                       std::uint64_t write_bytes) {
  SocketTotals& totals = totals_[static_cast<std::size_t>(socket.role)][static_cast<std::size_t>(socket.network)];
  // What seems to have gone back was read while it was written; no socket moves 2^60 bytes.
  const auto grow = [](double& total, std::uint64_t& before, std::uint64_t now) {
    if (now <= before || now - before > (std::uint64_t{1} << 60)) return;
    total += static_cast<double>(now - before);
    before = now;
  };
  grow(totals.read_ops, socket.read_ops, read_ops);
  grow(totals.read_bytes, socket.read_bytes, read_bytes);
  grow(totals.write_ops, socket.write_ops, write_ops);
  grow(totals.write_bytes, socket.write_bytes, write_bytes);
}

std::uint64_t PeerTotals::key(std::int32_t fd, std::uint32_t generation) {
  return std::uint64_t{static_cast<std::uint32_t>(fd)} << 32 | generation;
}

PeerTotals::Socket* PeerTotals::find_or_add(std::int32_t fd, std::uint32_t generation) {
  const auto found = sockets_.find(key(fd, generation));
  if (found != sockets_.end()) return &found->second;
  // More than can be open: closings were lost, or the target makes them up.
  return sockets_.size() < kMostSockets ? &sockets_[key(fd, generation)] : nullptr;
}

void PeerTotals::opened(const shm::ReadRecord& record) {
  const shm::OpenPayload& open = record.open;
  if ((record.flags & shm::kFlagFailed) != 0 || open.fd < 0 ||
      open.fd >= static_cast<std::int32_t>(shm::kDescriptors) || !is_socket(open.kind))
    return;
  if (Socket* socket = find_or_add(open.fd, open.generation)) learn(*socket, open.kind, open.peer);
}

bool PeerTotals::close(const shm::ClosePayload& close) {
  const auto found = sockets_.find(key(close.fd, close.generation));
  if (found == sockets_.end()) return false;
  count(found->second, close.read_ops, close.read_bytes, close.write_ops, close.write_bytes);
  sockets_.erase(found);
  return true;
}

void PeerTotals::closed(const shm::ReadRecord& record) {
  if (!close(record.close) && late_.size() < kMostLate) late_.push_back({record.close, 0});  // most are files and pipes
}

void PeerTotals::end_round() {
  constexpr int kPatience = 2;
  std::erase_if(late_, [&](LateClose& late) { return close(late.close) || late.rounds++ >= kPatience; });
}

void PeerTotals::compare(const std::vector<shm::ReadDescriptor>& table) {
  for (const shm::ReadDescriptor& entry : table) {
    if ((entry.generation & 1) == 0 || !is_socket(entry.kind)) continue;
    Socket* socket = find_or_add(entry.fd, entry.generation);
    if (socket == nullptr) continue;
    learn(*socket, entry.kind, entry.peer);
    count(*socket, entry.read_ops, entry.read_bytes, entry.write_ops, entry.write_bytes);
    socket->is_in_table = true;
  }
  // What the table has no more, and whose closing did not come in several rounds either, was lost.
  for (auto& [which, socket] : sockets_) {
    socket.missed = socket.is_in_table ? 0 : socket.missed + 1;
    socket.is_in_table = false;
  }
  std::erase_if(sockets_, [](const auto& entry) { return entry.second.missed > 3; });
}

}  // namespace camprobe::serve
