// examples/cam-server/faults/heap_leak.cc
//
// The plain leak: a block per struck request, linked into a list that is never read and never freed.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

struct Remembered {
  Remembered* next;
};
std::atomic<Remembered*> everything_remembered{nullptr};

}  // namespace

// Exactly `bytes` from malloc; at least a pointer's worth. False where there was no memory.
[[gnu::noinline]] bool remember_forever(std::size_t bytes) {
  void* block = std::malloc(bytes);
  if (block == nullptr) return false;
  std::memset(block, 0x5a, bytes);  // resident, as real data would be
  auto* node = static_cast<Remembered*>(block);
  node->next = everything_remembered.load(std::memory_order_relaxed);
  while (!everything_remembered.compare_exchange_weak(node->next, node, std::memory_order_release)) {
  }
  return true;
}

namespace {

class HeapLeak : public Fault {
 public:
  HeapLeak()
      : Fault({"heap-leak", "a block is allocated and never freed", false, "bytes", 2048, 0.25, "cap_bytes", 1 << 30}) {
  }

 private:
  void strike(std::uint64_t) override {
    const std::size_t bytes = amount() < sizeof(Remembered) ? sizeof(Remembered) : amount();
    if (count_within_cap(bytes) && !remember_forever(bytes)) hold(-static_cast<std::int64_t>(bytes));
  }
};

}  // namespace

std::unique_ptr<Fault> make_heap_leak() {
  return std::make_unique<HeapLeak>();
}

}  // namespace cam
