// examples/cam-server/faults/bounded_cache.cc
//
// Innocent: a cache that fills slowly up to its capacity and then evicts the oldest entry for each new one.
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

std::mutex recent_mutex;

std::deque<std::string>& recent_answers() {
  static auto* answers = new std::deque<std::string>;  // outlives the threads that use it
  return *answers;
}

}  // namespace

struct CacheChange {
  std::int64_t bytes;
  std::size_t entries;
  std::size_t evicted;
};

[[gnu::noinline]] CacheChange cache_within_bound(std::size_t bytes, std::size_t capacity) {
  const std::lock_guard lock(recent_mutex);
  auto& answers = recent_answers();
  CacheChange change{static_cast<std::int64_t>(bytes), 0, 0};
  answers.emplace_back(bytes, 'a');
  while (answers.size() > capacity) {
    change.bytes -= static_cast<std::int64_t>(answers.front().size());
    answers.pop_front();
    ++change.evicted;
  }
  change.entries = answers.size();
  return change;
}

namespace {

class BoundedCache : public Fault {
 public:
  BoundedCache()
      : Fault({"bounded-cache", "a cache fills slowly to its capacity, then evicts", true, "bytes", 1024, 1.0,
               "capacity_entries", 20'000}) {}

 private:
  void strike(std::uint64_t) override {
    const CacheChange change = cache_within_bound(amount(), cap());
    entries_ = change.entries;
    evicted_ += change.evicted;
    count(change.bytes);
  }
  void describe(nlohmann::json& json) const override {
    json["entries"] = entries_.load();
    json["evicted"] = evicted_.load();
  }
  std::atomic<std::uint64_t> entries_{0}, evicted_{0};
};

}  // namespace

std::unique_ptr<Fault> make_bounded_cache() {
  return std::make_unique<BoundedCache>();
}

}  // namespace cam
