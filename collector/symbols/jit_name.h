// collector/symbols/jit_name.h
//
// What a JIT's own name for its code means: language, function, file and line.
//
//   JS:*cost /srv/app.js:10:5, LazyCompile:~cost file:///srv/app.js:10:5   V8 (the mark says which tier compiled it)
//   Builtin:ArrayMap, BytecodeHandler:Star, RegExp:a+                      V8's own code
//   py::Provider.cost:/srv/app.py                                          CPython 3.12 and later
//   Lorg/x/Y;::cost, org.x.Y::cost, double org.x.Y.cost(int)               JVM: perf-map-agent, and HotSpot itself
//
// Anything else is code of a language not known, under the name it has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/symbols/frame.h"

namespace camprobe::symbols {

struct JitName {
  FrameKind kind = FrameKind::kNative;
  std::string function;
  std::string file;
  std::uint32_t line = 0;    // where the function begins; 0: not known
  std::uint32_t column = 0;  // from 1; 0: not known
};

JitName parse_jit_name(std::string_view name);

}  // namespace camprobe::symbols
