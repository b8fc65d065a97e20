// tests/load/fuzz_container.cc: any bytes as a results file: unpacked where they look packed, and the adapter chosen.
#include "tests/load/fuzz_adapter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace camprobe::load;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = read_load_results(memory_input(text, 1 + size % 61), "fuzz");
  if (!read) must(!read.error().empty(), "an error has a sentence");
  return 0;
}
