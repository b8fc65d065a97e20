// examples/cam-server/faults/fragmentation.cc
//
// Holes: large buffers are shrunk to the few bytes worth keeping, each once the next one stands behind it. What is
// given back between them is too short for the next large buffer, so with glibc's allocator the resident set grows by a
// buffer each time while live memory grows by the few bytes. The common form of this is "read into 16 KiB, shrink to
// fit, keep".
//
// A buffer shrunk while it is the last of its heap leaves no hole (the rest goes back to the top of the heap, and the
// next buffer takes the same place), hence one buffer is kept back; each thread has a heap of its own, hence one a
// thread.
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

struct Shrinking {
  bool allocated = false;
  std::size_t hole = 0;  // bytes given back behind what was kept of the buffer before
};

[[gnu::noinline]] Shrinking shrink_and_keep(std::size_t bytes) {
  thread_local void* last_buffer = nullptr;
  thread_local std::size_t last_bytes = 0;
  void* buffer = std::malloc(bytes);
  if (buffer == nullptr) return {};
  std::memset(buffer, 0x5a, bytes);
  Shrinking done{true, 0};
  if (last_buffer != nullptr) {
    void* kept = std::realloc(last_buffer, kKept);
    auto* pin = static_cast<Pin*>(kept != nullptr ? kept : last_buffer);
    pin->next = pins.load(std::memory_order_relaxed);
    while (!pins.compare_exchange_weak(pin->next, pin, std::memory_order_release)) {
    }
    done.hole = last_bytes - kKept;
  }
  last_buffer = buffer;
  last_bytes = bytes;
  return done;
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
    // Beyond 128 KiB glibc maps each buffer on its own, and shrinking it gives the pages back.
    const std::size_t bytes = std::clamp<std::size_t>(amount(), 2 * kKept, 96 * 1024);
    if (holes_ + bytes > cap()) return;
    const Shrinking done = shrink_and_keep(bytes);
    if (!done.allocated) return;
    holes_ += done.hole;
    count(static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(done.hole));
  }
  void describe(nlohmann::json& json) const override { json["bytes_in_holes"] = holes_.load(); }
  std::atomic<std::uint64_t> holes_{0};
};

}  // namespace

std::unique_ptr<Fault> make_fragmentation() {
  return std::make_unique<Fragmentation>();
}

}  // namespace cam
