// collector/symbols/frame.h
//
// What a reader sees of one address: a function, where it is written, and the module it lies in.
//
// An address inside inlined code yields several frames, innermost first: each inlined callee is a frame of its own, and
// the last one is the function that physically holds the address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace camprobe::symbols {

enum class FrameKind : std::uint8_t {
  kNative,   // machine code of a module, or of a JIT whose language is not known
  kInlined,  // inlined into the next frame that is not kInlined
  kJs,
  kPython,
  kJava,
  kKernel,
  kUnknown,  // no name could be had; `function` says as much as is known, never a guess
};

// "native", "inlined", "js", "python", "java", "kernel", "unknown".
std::string_view to_string(FrameKind kind);
// The other way; kUnknown for any other text.
FrameKind frame_kind_of(std::string_view text);

struct Frame {
  std::string function{};  // full and demangled; unknown: "libfoo.so!0x1234", or "[unknown]" outside any module
  std::string file{};      // empty: not known
  std::uint32_t line = 0;  // 0: not known. Native: the line being executed. JavaScript: where the function begins
  std::string module{};    // path as the target loaded it, "[vdso]", "[jit]", "[kernel]" or empty
  // The address looked up: in the module's link-time addresses, or in the process for JIT code. For a return address
  // this is one byte before it, inside the call.
  std::uint64_t address = 0;
  FrameKind kind = FrameKind::kUnknown;

  bool operator==(const Frame&) const = default;
};

}  // namespace camprobe::symbols
