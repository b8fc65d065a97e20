// collector/symbols/demangle.h
//
// Linker symbols as people write them: C++ (Itanium ABI) and Rust, legacy (the hash is left out) and v0.
//
// libiberty does the work rather than abi::__cxa_demangle, because it knows Rust and hands out its text in pieces.
// Names come from files the collector does not trust, and a short mangled name can stand for gigabytes of text
// (substitutions repeat), so what comes out is bounded: a name that grows beyond kMaxDemangled is shown as it was,
// mangled.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace camprobe::symbols {

inline constexpr std::size_t kMaxMangled = std::size_t{16} * 1024;
inline constexpr std::size_t kMaxDemangled = std::size_t{64} * 1024;

// The readable name, or `symbol` itself if it is not mangled or cannot be demangled.
std::string demangle(std::string_view symbol);

}  // namespace camprobe::symbols
