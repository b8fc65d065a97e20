// tests/gates/fuzz_gates_file.cc: any bytes as gates.yaml: gates, or one sentence that says where and what.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "collector/gates/gates_file.h"

namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 << 10) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto gates = camprobe::gates::gates_of_text(text, "gates.yaml");
  if (!gates) {
    const std::string& error = gates.error();
    must(error.rfind("gates.yaml", 0) == 0, "an error begins with the file");
    must(error.find('\n') == std::string::npos, "an error is one line");
    return 0;
  }
  for (const auto& gate : *gates) must(gate.metric != nullptr, "a gate is on a metric");
  return 0;
}
