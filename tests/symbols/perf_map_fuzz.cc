// tests/symbols/perf_map_fuzz.cc
//
// Any bytes, in any pieces, as a perf map: the first byte says how long the pieces are.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "collector/symbols/perf_map.h"

using camprobe::symbols::PerfMap;

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = data[0] == 0 ? 1 : data[0];
  PerfMap whole(100000);
  PerfMap pieces(100000);
  whole.feed(text);
  for (std::size_t i = 0; i < text.size(); i += step) pieces.feed(text.substr(i, step));
  require(whole.size() == pieces.size() && whole.malformed() == pieces.malformed() && whole.lines() == pieces.lines());
  require(whole.bytes() <= 100000 + 3 * text.size());
  for (std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0x1000}, std::uint64_t{0x7f0000001010}, ~std::uint64_t{0}}) {
    const auto* code = whole.find(address);
    require(code == nullptr || (code->low <= address && address < code->high && !code->name.empty()));
  }
  return 0;
}
