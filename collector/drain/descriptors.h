// collector/drain/descriptors.h
//
// Descriptors of one region into the run: a row for each that was open for a second or still is, sums for the others.
//
// Of plain files that a thread opens hundreds of a second only some openings are captured (sampler/opening_turns.h).
// Those stand for the others in the sums, and in what is made of the rows; the others have rows too, as long as they
// are open for a second, of unknown stack and standing for nothing.
//
// Like the heap: records tell of openings and closings as they happen, and the descriptor table, copied once a second,
// is the truth about what is open, with exact counts. Of ten thousand connections in use every counter changes every
// second, so a row's counters are brought up to date every ten seconds (each row at a time of its own), and when its
// descriptor is closed or the recording ends; what else changes is written at once.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/drain/region_context.h"

namespace camprobe::drain {

// "listen", "accept", ... as the schema lists them.
const char* descriptor_kind(shm::DescriptorKind kind);
// "127.0.0.1:8080", "[::1]:8080", a Unix socket's path, or "".
std::string peer_text(const shm::Peer& peer, const std::string& unix_path);

class DescriptorDrain {
 public:
  static constexpr std::uint64_t kMinAgeNs = shm::kShortLifeNs;

  explicit DescriptorDrain(RegionContext& context) : context_(context) {}

  // Descriptors need not come of age to have a row.
  void take_the_young() { min_age_ns_ = 0; }

  void opened(const shm::ReadRecord& record);
  void closed(const shm::ReadRecord& record);
  // The rows of those that were open when a recording before this one was cut short.
  void restore(run::Reader& run);
  // Once a second. `is_last`: every row is brought up to date.
  void compare(const std::vector<shm::ReadDescriptor>& table, std::uint64_t now_ns, bool is_last);

 private:
  struct Open {
    run::Descriptor row;       // row.id 0: too young to have one
    bool is_accepted = false;  // its peer's port is the other side's choice, so sums leave it out
    bool is_stale = false;     // its counters have changed since the row was written
    std::uint64_t opened_ns = 0;
    shm::Peer peer{};           // that row.peer was made from
    std::uint64_t seen_in = 0;  // the comparison that last saw it in the table
    std::uint64_t missed = 0;   // comparisons that did not
  };
  using Key = std::uint64_t;  // fd and generation
  static Key key(std::int32_t fd, std::uint32_t generation);
  std::string peer_of(const shm::Peer& peer);
  void close(Open& open, std::uint64_t closed_ns);

  RegionContext& context_;
  std::uint64_t min_age_ns_ = kMinAgeNs;
  std::unordered_map<Key, Open> open_;
  std::uint64_t comparisons_ = 0;
};

}  // namespace camprobe::drain
