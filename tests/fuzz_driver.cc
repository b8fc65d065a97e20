// tests/fuzz_driver.cc
//
// Runs one LLVMFuzzerTestOneInput without libFuzzer: every file of the corpus as it is, then a bounded number of random
// mutations of it (bit flips, truncations, splices, repeated chunks). The seed is fixed, so a crash found here is found
// again; -runs=N and CAMPROBE_FUZZ_RUNS set the number of mutations (20,000). A target that knows its inputs' structure
// (LLVMFuzzerCustomMutator) mutates them itself.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                                             unsigned seed);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes mutate(Bytes bytes, const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  if (LLVMFuzzerCustomMutator != nullptr) {
    constexpr std::size_t kMost = 8192;
    const std::size_t size = std::min(bytes.size(), kMost);
    bytes.resize(kMost);
    bytes.resize(LLVMFuzzerCustomMutator(bytes.data(), size, kMost, static_cast<unsigned>(random())));
    return bytes;
  }
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random() % n); };
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 1:
        if (!bytes.empty()) bytes[below(bytes.size())] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        bytes.resize(below(bytes.size() + 1));
        break;
      case 3: {  // splice in a chunk of another input
        const Bytes& other = corpus[below(corpus.size())];
        if (other.empty()) break;
        const std::size_t from = below(other.size());
        const std::size_t length = 1 + below(std::min<std::size_t>(other.size() - from, 256));
        const Bytes chunk(other.begin() + static_cast<std::ptrdiff_t>(from),
                          other.begin() + static_cast<std::ptrdiff_t>(from + length));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)), chunk.begin(), chunk.end());
        break;
      }
      case 4:  // an extreme little-endian integer somewhere
        if (bytes.size() >= 8) {
          const std::size_t at = below(bytes.size() - 7);
          static constexpr std::uint64_t kExtremes[] = {
              0, 1, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, ~std::uint64_t{0}};
          const std::uint64_t value = kExtremes[below(std::size(kExtremes))];
          for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
        }
        break;
      default:
        if (!bytes.empty()) bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())));
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Bytes> corpus{{}};
  long runs = 20000;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "-runs=", 6) == 0) {
      runs = std::strtol(argv[i] + 6, nullptr, 10);
      continue;
    }
    if (!std::filesystem::exists(argv[i])) {
      std::fprintf(stderr, "fuzz: no corpus at %s\n", argv[i]);
      return 2;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  for (const Bytes& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());

  if (const char* wanted = std::getenv("CAMPROBE_FUZZ_RUNS")) runs = std::strtol(wanted, nullptr, 10);
  std::mt19937_64 random(20261123);
  for (long i = 0; i < runs; ++i) {
    const Bytes input = mutate(corpus[random() % corpus.size()], corpus, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("fuzz: %zu inputs and %ld mutations without a crash\n", corpus.size(), runs);
  return 0;
}
