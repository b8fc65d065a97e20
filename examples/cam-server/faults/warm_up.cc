// examples/cam-server/faults/warm_up.cc
//
// Innocent: tables built lazily, a slice by each of the first requests, kept from then on and never grown again.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

struct Slice {
  Slice* next;
};
std::atomic<Slice*> table{nullptr};

}  // namespace

[[gnu::noinline]] bool build_table_slice(std::size_t bytes) {
  void* block = std::malloc(bytes);
  if (block == nullptr) return false;
  std::memset(block, 0x5a, bytes);
  auto* slice = static_cast<Slice*>(block);
  slice->next = table.load(std::memory_order_relaxed);
  while (!table.compare_exchange_weak(slice->next, slice, std::memory_order_release)) {
  }
  return true;
}

namespace {

class WarmUp : public Fault {
 public:
  WarmUp()
      : Fault({"warm-up", "tables are built lazily by the first requests, then kept", true, "bytes", 4096, 1.0,
               "first_requests", 5'000}) {}

 private:
  void strike(std::uint64_t) override {
    if (built_.fetch_add(1) >= cap()) {
      built_.fetch_sub(1);
      return;
    }
    const std::size_t bytes = std::max<std::size_t>(amount(), sizeof(Slice));
    if (build_table_slice(bytes)) count(static_cast<std::int64_t>(bytes));
  }
  std::atomic<std::uint64_t> built_{0};
};

}  // namespace

std::unique_ptr<Fault> make_warm_up() {
  return std::make_unique<WarmUp>();
}

}  // namespace cam
