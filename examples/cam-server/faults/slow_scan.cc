// examples/cam-server/faults/slow_scan.cc
//
// Drift to slower: a history that grows with every request and is searched from end to end by every request.
#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <vector>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

std::shared_mutex history_mutex;

std::vector<std::uint64_t>& history() {
  static auto* all = new std::vector<std::uint64_t>;  // outlives the threads that use it
  return *all;
}

std::size_t add_to_history(std::uint64_t request, std::uint64_t entries, std::uint64_t cap) {
  const std::unique_lock lock(history_mutex);
  const std::size_t room = cap > history().size() ? cap - history().size() : 0;
  const std::size_t added = std::min<std::size_t>(entries, room);
  history().insert(history().end(), added, request * 2);
  return added;
}

}  // namespace

// How often `request` is in the history: never, but that takes a look at every entry.
[[gnu::noinline]] std::size_t scan_whole_history(std::uint64_t request) {
  const std::shared_lock lock(history_mutex);
  return static_cast<std::size_t>(std::count(history().begin(), history().end(), request * 2 + 1));
}

namespace {

class SlowScan : public Fault {
 public:
  SlowScan()
      : Fault({"slow-scan", "a list grows with each request and is scanned by each: more CPU a request", false,
               "entries", 32, 1.0, "cap_entries", 4'000'000}) {}

 private:
  void strike(std::uint64_t request) override {
    const std::size_t added = add_to_history(request, amount(), cap());
    entries_ += added;
    found_ += scan_whole_history(request);
    count(static_cast<std::int64_t>(added * sizeof(std::uint64_t)));
  }
  void describe(nlohmann::json& json) const override { json["entries_scanned_by_each"] = entries_.load(); }
  std::atomic<std::uint64_t> entries_{0};
  std::atomic<std::uint64_t> found_{0};  // keeps the scan from being optimised away
};

}  // namespace

std::unique_ptr<Fault> make_slow_scan() {
  return std::make_unique<SlowScan>();
}

}  // namespace cam
