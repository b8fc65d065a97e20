// collector/symbols/frame.cc
//
// The names of frame kinds, as the run file spells them.
#include "collector/symbols/frame.h"

namespace camprobe::symbols {

std::string_view to_string(FrameKind kind) {
  switch (kind) {
    case FrameKind::kNative:
      return "native";
    case FrameKind::kInlined:
      return "inlined";
    case FrameKind::kJs:
      return "js";
    case FrameKind::kPython:
      return "python";
    case FrameKind::kJava:
      return "java";
    case FrameKind::kKernel:
      return "kernel";
    case FrameKind::kUnknown:
      return "unknown";
  }
  return "unknown";
}

FrameKind frame_kind_of(std::string_view text) {
  for (const FrameKind kind : {FrameKind::kNative, FrameKind::kInlined, FrameKind::kJs, FrameKind::kPython,
                               FrameKind::kJava, FrameKind::kKernel}) {
    if (to_string(kind) == text) return kind;
  }
  return FrameKind::kUnknown;
}

}  // namespace camprobe::symbols
