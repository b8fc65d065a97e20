// examples/cam-server/faults/unbounded_cache.cc
//
// A cache without a bound: each struck request adds an entry under a key that never comes again.
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

std::mutex answers_mutex;

std::unordered_map<std::uint64_t, std::string>& all_answers() {
  static auto* answers = new std::unordered_map<std::uint64_t, std::string>;  // outlives the threads that use it
  return *answers;
}

}  // namespace

[[gnu::noinline]] std::size_t cache_without_bound(std::uint64_t key, std::size_t bytes) {
  const std::lock_guard lock(answers_mutex);
  all_answers().emplace(key, std::string(bytes, 'a'));
  return all_answers().size();
}

namespace {

class UnboundedCache : public Fault {
 public:
  UnboundedCache()
      : Fault({"unbounded-cache", "an answer is cached under a key that never comes again", false, "bytes", 1024, 0.5,
               "cap_bytes", 1 << 30}) {}

 private:
  void strike(std::uint64_t request) override {
    const std::uint64_t bytes = amount();
    if (count_within_cap(bytes)) entries_ = cache_without_bound(request, bytes);
  }
  void describe(nlohmann::json& json) const override { json["entries"] = entries_.load(); }
  std::atomic<std::uint64_t> entries_{0};
};

}  // namespace

std::unique_ptr<Fault> make_unbounded_cache() {
  return std::make_unique<UnboundedCache>();
}

}  // namespace cam
