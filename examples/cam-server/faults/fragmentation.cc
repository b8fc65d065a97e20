// examples/cam-server/faults/fragmentation.cc
//
// Holes: a large buffer is shrunk to the few bytes worth keeping. They pin the place, and what is given back behind
// them is too short for the next large buffer, so with glibc's allocator the resident set grows by a buffer each time
// while live memory grows by the few bytes. The common form of this is "read into 16 KiB, shrink to fit, keep".
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

constexpr std::size_t kKept = 64;
struct Pin {
  Pin* next;
};
std::atomic<Pin*> pins{nullptr};

}  // namespace

[[gnu::noinline]] bool shrink_and_keep(std::size_t bytes) {
  void* buffer = std::malloc(bytes);
  if (buffer == nullptr) return false;
  std::memset(buffer, 0x5a, bytes);
  void* kept = std::realloc(buffer, kKept);
  auto* pin = static_cast<Pin*>(kept != nullptr ? kept : buffer);
  pin->next = pins.load(std::memory_order_relaxed);
  while (!pins.compare_exchange_weak(pin->next, pin, std::memory_order_release)) {
  }
  return true;
}

namespace {

class Fragmentation : public Fault {
 public:
  Fragmentation()
      : Fault({"fragmentation",
               "large buffers shrunk to 64 bytes leave holes: resident memory up, live memory nearly flat", false,
               "bytes", 16 * 1024, 0.05, "cap_bytes_in_holes", 512 << 20}) {}

 private:
  void strike(std::uint64_t) override {
    const std::size_t bytes = std::max<std::size_t>(amount(), 2 * kKept);
    const std::size_t hole = bytes - kKept;
    if (holes_ + hole > cap() || !shrink_and_keep(bytes)) return;
    holes_ += hole;
    count(kKept);
  }
  void describe(nlohmann::json& json) const override { json["bytes_in_holes"] = holes_.load(); }
  std::atomic<std::uint64_t> holes_{0};
};

}  // namespace

std::unique_ptr<Fault> make_fragmentation() {
  return std::make_unique<Fragmentation>();
}

}  // namespace cam
