// tests/symbols/source_map_fuzz.cc
//
// Any bytes as a source map.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "collector/symbols/source_map.h"

using camprobe::symbols::SourceMap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string error;
  const auto map = SourceMap::parse({reinterpret_cast<const char*>(data), size}, "/srv", error);
  if (map == nullptr && error.empty()) std::abort();
  if (map == nullptr) return 0;
  for (std::uint32_t line : {0u, 1u, 4u, 100u, ~0u}) {
    for (std::uint32_t column : {0u, 1u, 14u, ~0u}) {
      const auto position = map->find(line, column);
      if (position && (position->file.empty() || position->line == 0)) std::abort();
    }
  }
  return 0;
}
