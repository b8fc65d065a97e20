// examples/cam-server/faults/sawtooth_arena.cc
//
// Innocent: an arena that each request adds to and that is freed as a whole every so many requests.
#include <algorithm>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

std::mutex arena_mutex;

std::vector<std::unique_ptr<char[]>>& arena() {
  static auto* blocks = new std::vector<std::unique_ptr<char[]>>;  // outlives the threads that use it
  return *blocks;
}

}  // namespace

// Whether the arena was freed, with all that was in it, before this block was added.
[[gnu::noinline]] bool add_to_arena(std::size_t bytes, std::size_t period) {
  const std::lock_guard lock(arena_mutex);
  const bool full = arena().size() >= period;
  if (full) arena().clear();
  arena().push_back(std::make_unique<char[]>(bytes));
  return full;
}

namespace {

class SawtoothArena : public Fault {
 public:
  SawtoothArena()
      : Fault({"sawtooth-arena", "an arena grows, and is freed as a whole every so many requests", true, "bytes", 1024,
               1.0, "period_requests", 10'000}) {}

 private:
  void strike(std::uint64_t) override {
    const std::lock_guard lock(mutex_);  // the sum below must see frees in the order they happen
    const std::size_t bytes = std::max<std::size_t>(amount(), 1);
    const bool freed = add_to_arena(bytes, std::max<std::uint64_t>(cap(), 1));
    const std::int64_t before = in_arena_;
    if (freed) {
      in_arena_ = 0;
      ++freed_;
    }
    in_arena_ += static_cast<std::int64_t>(bytes);
    count(in_arena_ - before);
  }
  void describe(nlohmann::json& json) const override { json["times_freed"] = freed_.load(); }
  std::mutex mutex_;
  std::int64_t in_arena_ = 0;
  std::atomic<std::uint64_t> freed_{0};
};

}  // namespace

std::unique_ptr<Fault> make_sawtooth_arena() {
  return std::make_unique<SawtoothArena>();
}

}  // namespace cam
