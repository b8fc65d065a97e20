// tests/symbols/jit_name_test.cc
//
// Names as the runtimes wrote them (node 20, CPython 3.12, HotSpot 17, perf-map-agent).
#include "collector/symbols/jit_name.h"

#include <gtest/gtest.h>

using camprobe::symbols::FrameKind;
using camprobe::symbols::JitName;
using camprobe::symbols::parse_jit_name;

namespace {
void expect_name(const char* name, FrameKind kind, const char* function, const char* file, unsigned line,
                 unsigned column) {
  const JitName parsed = parse_jit_name(name);
  EXPECT_EQ(parsed.kind, kind) << name;
  EXPECT_EQ(parsed.function, function) << name;
  EXPECT_EQ(parsed.file, file) << name;
  EXPECT_EQ(parsed.line, line) << name;
  EXPECT_EQ(parsed.column, column) << name;
}
}  // namespace

TEST(JitName, ReadsV8Functions) {
  expect_name("JS:*cost /srv/w.js:1:22", FrameKind::kJs, "cost", "/srv/w.js", 1, 22);
  expect_name("JS:^ /srv/w.js:2:29", FrameKind::kJs, "(anonymous)", "/srv/w.js", 2, 29);
  expect_name("LazyCompile:~arbitrate file:///srv/my%20app/w.mjs:3:19", FrameKind::kJs, "arbitrate",
              "/srv/my app/w.mjs", 3, 19);
  expect_name("JS:~get cost /srv/with blank/w.js:10:5", FrameKind::kJs, "get cost", "/srv/with blank/w.js", 10, 5);
  expect_name("JS:~isEnabled node:internal/process/permission:16:12", FrameKind::kJs, "isEnabled",
              "node:internal/process/permission", 16, 12);
  expect_name("Function:runInContext vm.js:130", FrameKind::kJs, "runInContext", "vm.js", 130, 0);
  expect_name("Eval:~ evalmachine.<anonymous>:1:1", FrameKind::kJs, "(eval)", "evalmachine.<anonymous>", 1, 1);
  expect_name("Script:~ /srv/w.js:1:1", FrameKind::kJs, "(script)", "/srv/w.js", 1, 1);
  expect_name("JS:~lonely", FrameKind::kJs, "lonely", "", 0, 0);
}

TEST(JitName, KeepsV8sOwnCodeUnderItsName) {
  expect_name("Builtin:ArrayMap", FrameKind::kJs, "Builtin:ArrayMap", "", 0, 0);
  expect_name("BytecodeHandler:Star", FrameKind::kJs, "BytecodeHandler:Star", "", 0, 0);
  expect_name("RegExp:a(b|c)*d:1:2", FrameKind::kJs, "RegExp:a(b|c)*d:1:2", "", 0, 0);
}

TEST(JitName, ReadsPython) {
  expect_name("py::arbitrate.<locals>.<lambda>:/srv/w.py", FrameKind::kPython, "arbitrate.<locals>.<lambda>",
              "/srv/w.py", 0, 0);
  expect_name("py::FileLoader.__init__:<frozen importlib._bootstrap_external>", FrameKind::kPython,
              "FileLoader.__init__", "<frozen importlib._bootstrap_external>", 0, 0);
}

TEST(JitName, ReadsJava) {
  expect_name("double W$Provider.cost(int)", FrameKind::kJava, "W$Provider.cost(int)", "", 0, 0);
  expect_name("void java.lang.Object.<init>()", FrameKind::kJava, "java.lang.Object.<init>()", "", 0, 0);
  expect_name("Lorg/x/Provider;::cost", FrameKind::kJava, "org.x.Provider.cost", "", 0, 0);
  expect_name("org.x.Provider::cost", FrameKind::kJava, "org.x.Provider.cost", "", 0, 0);
}

TEST(JitName, ClaimsNoLanguageForOtherNames) {
  for (const char* name :
       {"Interpreter", "StubRoutines (1)", "mesh::cost", "TRACE_12::lua:5", ":", "::", "py::", "JSON", "a:b:c:1:2"}) {
    expect_name(name, FrameKind::kNative, name, "", 0, 0);
  }
}
