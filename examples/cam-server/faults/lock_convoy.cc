// examples/cam-server/faults/lock_convoy.cc
//
// A critical section that grows: every struck request waits (as for a disk or another service) while it holds the one
// lock, each for a little longer than the last, until the threads stand in line for it. It takes no CPU: latency rises,
// work does not.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

std::mutex the_one_lock;

}  // namespace

[[gnu::noinline]] void wait_under_the_one_lock(std::chrono::nanoseconds how_long) {
  const std::lock_guard lock(the_one_lock);
  std::this_thread::sleep_for(how_long);
}

namespace {

class LockConvoy : public Fault {
 public:
  LockConvoy()
      : Fault({"lock-convoy", "a wait under one lock that takes longer with each request", false, "nanoseconds", 60,
               1.0, "cap_nanoseconds", 2'000'000}) {}

 private:
  void strike(std::uint64_t) override {
    count(0);
    wait_under_the_one_lock(std::chrono::nanoseconds(hold_time()));
  }
  void describe(nlohmann::json& json) const override { json["lock_held_ns_by_each"] = hold_time(); }
  std::uint64_t hold_time() const { return std::min(amount() * strikes(), cap()); }
};

}  // namespace

std::unique_ptr<Fault> make_lock_convoy() {
  return std::make_unique<LockConvoy>();
}

}  // namespace cam
