// tests/symbols/hostile_elf_test.cc
//
// Files that lie: cut short anywhere, with bytes changed anywhere. They may be refused or have no names; they may not
// crash or hang the reader.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <random>

#include "collector/symbols/module_file.h"
#include "tests/symbols/elf_symbols.h"

using namespace camprobe::symbols;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Opens `bytes` as a module and asks it about the program's functions. Returns whether it could be opened.
bool probe(const std::string& bytes, const std::vector<FunctionSymbol>& symbols) {
  UniqueFd fd(::memfd_create("hostile", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  ElfFile::build_id_of(fd.get());
  std::string error;
  const auto file = ModuleFile::open(std::move(fd), "/nowhere/hostile", 1, error);
  if (!file) {
    EXPECT_FALSE(error.empty());
    return false;
  }
  for (std::size_t i = 0; i < symbols.size(); i += 3) {
    EXPECT_FALSE(file->resolve(symbols[i].address + symbols[i].size / 2).empty());
    file->is_signal_return(symbols[i].address);
  }
  return true;
}

}  // namespace

TEST(HostileElf, TruncatedFilesAreErrorsOrNameless) {
  const std::string path = std::string(FIXTURES) + "/program";
  const std::string whole = read_file(path);
  const auto symbols = function_symbols(path);
  ASSERT_TRUE(probe(whole, symbols));
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 64; ++i) refused += !probe(whole.substr(0, i * whole.size() / 64), symbols);
  EXPECT_GT(refused, 0u);
  for (std::size_t size : {1, 4, 16, 63, 64, 65, 100, 120, 500}) probe(whole.substr(0, size), symbols);
}

TEST(HostileElf, FilesThatAreNoneAreRefusedWithAReason) {
  for (const std::string& bytes : {std::string(), std::string("#!/bin/sh\n"),
                                   std::string("\x7f"
                                               "ELF"),
                                   std::string(100000, 'x')}) {
    EXPECT_FALSE(probe(bytes, {}));
  }
}

TEST(HostileElf, ChangedBytesDoNotCrashTheReader) {
  std::mt19937_64 random(20261123);
  for (const char* name : {"program", "program-dwarf4", "program-compressed", "libmini.so", "labels"}) {
    const std::string path = std::string(FIXTURES) + "/" + name;
    const std::string whole = read_file(path);
    const auto symbols = function_symbols(path);
    for (int i = 0; i < 200; ++i) {
      std::string changed = whole;
      for (int edits = 1 + static_cast<int>(random() % 40); edits > 0; --edits) {
        // Half of them among the headers at both ends, where every byte counts.
        std::size_t at = random() % changed.size();
        if (random() % 4 == 0) at = random() % 512;
        if (random() % 4 == 0) at = changed.size() - 1 - random() % std::min<std::size_t>(changed.size(), 2500);
        changed[at] = static_cast<char>(random());
      }
      probe(changed, symbols);
    }
  }
}
