// collector/symbols/demangle.cc
//
// The two libiberty demanglers behind one bounded call.
#include "collector/symbols/demangle.h"

#include <demangle.h>

namespace camprobe::symbols {
namespace {

struct TooLong {};

// libiberty's printers take no "stop" answer, so a name that grows without end is left by throwing through them: they
// keep everything on the stack, and lose nothing when unwound.
void append(const char* text, std::size_t length, void* opaque) {
  auto& out = *static_cast<std::string*>(opaque);
  if (out.size() + length > kMaxDemangled) throw TooLong{};
  out.append(text, length);
}

}  // namespace

std::string demangle(std::string_view symbol) {
  std::string mangled(symbol);
  if (mangled.size() > kMaxMangled || (!mangled.starts_with("_Z") && !mangled.starts_with("_R"))) return mangled;
  std::string text;
  try {
    constexpr int kOptions = DMGL_PARAMS | DMGL_ANSI;
    // Rust first: its legacy scheme is valid C++ mangling too, with the hash as one more namespace.
    if (rust_demangle_callback(mangled.c_str(), kOptions, append, &text) != 0) return text;
    text.clear();
    if (cplus_demangle_v3_callback(mangled.c_str(), kOptions, append, &text) != 0) return text;
  } catch (const TooLong&) {
  }
  return mangled;
}

}  // namespace camprobe::symbols
