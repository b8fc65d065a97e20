// tests/load/fuzz_vegeta_gob.cc: see fuzz_adapter.h.
#include "tests/load/fuzz_adapter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return camprobe::load::fuzz_adapter(camprobe::load::kVegetaGob, data, size);
}
