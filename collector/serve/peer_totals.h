// collector/serve/peer_totals.h
//
// Bytes and operations of one region's sockets by what kind of peer is at the other end: which side opened the
// connection, and whether the peer is this machine, a private network or the world. Never the peer itself: addresses
// are unbounded, and nobody's business on a dashboard.
//
// The descriptor table has exact counts of what is open; a closing record has those of what came and went between two
// looks at the table. What neither tells (a closing that was overwritten before it was read, of a number that was used
// again) is missing here, and only here: the process's totals come from its threads' own counters.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "shm/region_reader.h"

namespace camprobe::serve {

enum class PeerRole : std::uint8_t { kAccepted, kConnected, kOther, kRoles };
enum class PeerNetwork : std::uint8_t { kLoopback, kPrivate, kPublic, kUnix, kUnknown, kNetworks };
const char* text_of(PeerRole role);
const char* text_of(PeerNetwork network);

// Private: RFC 1918, RFC 6598, link-local and their IPv6 counterparts (fc00::/7, fe80::/10). An IPv4 address inside
// IPv6 counts as itself.
PeerNetwork network_of(const shm::Peer& peer);

struct SocketTotals {
  double read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0, opened = 0;
};

class PeerTotals {
 public:
  void opened(const shm::ReadRecord& record);
  void closed(const shm::ReadRecord& record);
  // After a round of draining. Rings are read one after the other, so an opening may come in the round after its
  // closing, which waits two rounds for it.
  void end_round();
  void compare(const std::vector<shm::ReadDescriptor>& table);

  static constexpr std::size_t kRoles = static_cast<std::size_t>(PeerRole::kRoles);
  static constexpr std::size_t kNetworks = static_cast<std::size_t>(PeerNetwork::kNetworks);
  const SocketTotals& of(PeerRole role, PeerNetwork network) const {
    return totals_[static_cast<std::size_t>(role)][static_cast<std::size_t>(network)];
  }

 private:
  struct Socket {
    PeerRole role = PeerRole::kOther;
    PeerNetwork network = PeerNetwork::kUnknown;
    bool is_counted = false, is_in_table = false;
    int missed = 0;  // looks at the table that did not have it
                     // as opened
    std::uint64_t read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;  // counted so far
  };
  static bool is_socket(shm::DescriptorKind kind);
  void learn(Socket& socket, shm::DescriptorKind kind, const shm::Peer& peer);
  void count(Socket& socket, std::uint64_t read_ops, std::uint64_t read_bytes, std::uint64_t write_ops,
             std::uint64_t write_bytes);

  // A number is used again at once, and the table may show its next socket before the last one's closing is drained.
  static std::uint64_t key(std::int32_t fd, std::uint32_t generation);
  Socket* find_or_add(std::int32_t fd, std::uint32_t generation);
  bool close(const shm::ClosePayload& close);

  static constexpr std::size_t kMostLate = 4096, kMostSockets = 2 * shm::kDescriptors;
  struct LateClose {
    shm::ClosePayload close;
    int rounds = 0;
  };
  std::vector<LateClose> late_;
  std::unordered_map<std::uint64_t, Socket> sockets_;
  SocketTotals totals_[kRoles][kNetworks];
};

}  // namespace camprobe::serve
