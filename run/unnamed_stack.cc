#include "run/unnamed_stack.h"

#include <bit>
#include <cstring>

namespace camprobe::run {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kHasJit = std::uint64_t{1} << 62;
constexpr std::uint64_t kKernel = std::uint64_t{1} << 63;  // has bit 62 too

}  // namespace

std::string to_blob(const std::vector<UnnamedStack::Address>& leaf_first) {
  std::string bytes;
  const auto add = [&](std::uint64_t word) { bytes.append(reinterpret_cast<const char*>(&word), sizeof word); };
  for (const UnnamedStack::Address& at : leaf_first) {
    if ((at.address & kKernel) != 0) {
      add(at.address);
    } else if (at.jit) {
      add(at.address | kHasJit);
      add(static_cast<std::uint64_t>(number(*at.jit)));
    } else {
      add(at.address & ~kHasJit);
    }
  }
  return bytes;
}

std::vector<UnnamedStack::Address> from_blob(std::string_view bytes) {
  std::vector<UnnamedStack::Address> leaf_first;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    const auto take = [&] {
      std::memcpy(&word, bytes.data(), sizeof word);
      bytes.remove_prefix(sizeof word);
    };
    take();
    UnnamedStack::Address at{word, {}};
    if ((word & kKernel) == 0 && (word & kHasJit) != 0 && bytes.size() >= sizeof word) {
      at.address = word & ~kHasJit;
      take();
      at.jit = static_cast<FrameId>(word);
    }
    leaf_first.push_back(at);
  }
  return leaf_first;
}

}  // namespace camprobe::run
