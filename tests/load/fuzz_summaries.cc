// tests/load/fuzz_summaries.cc: any bytes as what wrk, ab and siege print, and as ab -g: see fuzz_adapter.h.
#include "tests/load/fuzz_adapter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace camprobe::load;
  for (const Adapter* adapter : {&kWrk, &kAb, &kAbGnuplot, &kSiege}) fuzz_adapter(*adapter, data, size);
  return 0;
}
