// tests/symbols/names_fuzz.cc
//
// Any bytes as a symbol, as a demangled name and as a JIT's name.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "collector/symbols/demangle.h"
#include "collector/symbols/jit_name.h"
#include "collector/symbols/short_name.h"

using namespace camprobe::symbols;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view name(reinterpret_cast<const char*>(data), size);
  const std::string demangled = demangle(name);
  if (demangled.size() > kMaxDemangled && demangled != name) std::abort();
  if (!demangled.empty() && short_function_name(demangled).empty()) std::abort();
  if (short_function_name(demangled).size() > demangled.size()) std::abort();
  const JitName parsed = parse_jit_name(name);
  if (!name.empty() && parsed.function.empty()) std::abort();
  return 0;
}
