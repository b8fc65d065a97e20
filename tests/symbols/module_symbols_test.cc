// tests/symbols/module_symbols_test.cc
#include "collector/symbols/module_symbols.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>

#include "collector/symbols/module_file.h"
#include "collector/symbols/short_name.h"
#include "tests/symbols/elf_symbols.h"

using namespace camprobe::symbols;

namespace {

const std::string kFixtures = std::string(FIXTURES) + "/";

std::string read_name(const Frame& frame) {
  return short_function_name(frame);
}

// The frames at the call of measure(), which is inlined from two functions: somewhere in arbitrate().
std::vector<Frame> frames_with_inlining(const std::string& path, const std::string& symbols) {
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  const FunctionSymbol arbitrate = function_symbol(symbols, "_ZN4mesh9arbitrateEPVi");
  std::vector<Frame> deepest;
  for (std::uint64_t i = 0; file && i < arbitrate.size; ++i) {
    const std::vector<Frame>& frames = cache.resolve(file, arbitrate.address + i).frames;
    if (frames.size() > deepest.size()) deepest = frames;
  }
  return deepest;
}

void expect_inlined_frames(const std::vector<Frame>& frames) {
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].function, "mesh::innermost(int volatile*)");
  EXPECT_EQ(frames[0].kind, FrameKind::kInlined);
  EXPECT_EQ(frames[0].line, 28u);
  EXPECT_EQ(frames[1].function, "mesh::middle(int volatile*)");
  EXPECT_EQ(frames[1].kind, FrameKind::kInlined);
  EXPECT_EQ(frames[1].line, 32u);
  EXPECT_EQ(frames[2].function, "mesh::arbitrate(int volatile*)");
  EXPECT_EQ(frames[2].kind, FrameKind::kNative);
  EXPECT_EQ(frames[2].line, 36u);
  for (const Frame& frame : frames)
    EXPECT_TRUE(frame.file.ends_with("/tests/symbols/fixtures/arbiter.cc")) << frame.file;
}

Frame only_frame(const std::string& path, std::uint64_t address) {
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  const std::vector<Frame> frames = cache.resolve(file, address).frames;
  EXPECT_EQ(frames.size(), 1u);
  return frames.back();
}

}  // namespace

TEST(ModuleSymbols, InlinedCalleesAreFramesOfTheirOwn) {
  for (const char* name :
       {"program", "program-dwarf4", "program-no-aranges", "program-compressed", "program-split", "libwhole.so"}) {
    SCOPED_TRACE(name);
    expect_inlined_frames(frames_with_inlining(kFixtures + name, kFixtures + name));
  }
}

TEST(ModuleSymbols, FindsTheSeparateDebugFileOfAStrippedLibrary) {
  expect_inlined_frames(frames_with_inlining(kFixtures + "libstripped.so", kFixtures + "libwhole.so"));
}

TEST(ModuleSymbols, NamesAreAllThereIsWithoutDebugInformation) {
  const std::vector<Frame> frames = frames_with_inlining(kFixtures + "libbare.so", kFixtures + "libwhole.so");
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].function, "mesh::arbitrate(int volatile*)");
  EXPECT_EQ(frames[0].kind, FrameKind::kNative);
  EXPECT_EQ(frames[0].file, "");
  EXPECT_EQ(frames[0].line, 0u);
}

TEST(ModuleSymbols, AStaticFunctionWithoutSymbolGetsNoNameFromItsNeighbour) {
  const auto symbols = function_symbols(kFixtures + "libwhole.so");
  const auto hidden = std::find_if(symbols.begin(), symbols.end(),
                                   [](const auto& s) { return s.name.find("6hidden") != std::string::npos; });
  ASSERT_NE(hidden, symbols.end());
  const Frame bare = only_frame(kFixtures + "libbare.so", hidden->address + 1);
  EXPECT_EQ(bare.function, "");
  EXPECT_EQ(bare.kind, FrameKind::kUnknown);
  EXPECT_EQ(read_name(only_frame(kFixtures + "libwhole.so", hidden->address + 1)),
            "mesh::(anonymous namespace)::hidden");
  EXPECT_EQ(read_name(only_frame(kFixtures + "libmini.so", hidden->address + 1)),
            "mesh::(anonymous namespace)::hidden");
}

TEST(ModuleSymbols, NamesStubsByWhatTheyCall) {
  const std::string path = kFixtures + "libwhole.so";
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string error;
  const auto elf = ElfFile::open(UniqueFd(::dup(fd.get())), path, error);
  std::vector<std::string> names;
  for (const ElfFile::Section& section : elf->sections()) {
    if (!section.name.starts_with(".plt")) continue;
    for (std::uint64_t address = section.low; address < section.high; address += 8) {
      const Frame frame = cache.resolve(file, address).frames.back();
      if (!frame.function.empty()) {
        EXPECT_EQ(frame.kind, FrameKind::kNative);
        names.push_back(frame.function);
      }
    }
  }
  EXPECT_NE(std::find(names.begin(), names.end(), "rand@plt"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "operator new(unsigned long)@plt"), names.end());
  for (const std::string& name : names) EXPECT_TRUE(name.ends_with("@plt")) << name;
}

TEST(ModuleSymbols, ReadsRustNamesAndRespectsSymbolSizes) {
  const std::string path = kFixtures + "labels";
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  const auto name_at = [&](std::uint64_t address) { return cache.resolve(file, address).frames.back().function; };
  const std::uint64_t arbitrate = function_symbol(path, "_ZN3cam9arbitrate17h0123456789abcdefE").address;
  const std::uint64_t quorum = function_symbol(path, "_RNvC3cam6quorum").address;
  const std::uint64_t sized = function_symbol(path, "sized_function").address;
  const std::uint64_t sizeless = function_symbol(path, "without_size").address;
  EXPECT_EQ(name_at(arbitrate), "cam::arbitrate");
  EXPECT_EQ(name_at(quorum + 1), "cam::quorum");
  EXPECT_EQ(name_at(quorum + 2), "");  // behind its end
  EXPECT_EQ(name_at(sized - 1), "");
  EXPECT_EQ(name_at(sized + 7), "sized_function");
  EXPECT_EQ(name_at(sized + 8), "sized_function");  // a label inside it
  EXPECT_EQ(name_at(sizeless), "without_size");
  EXPECT_EQ(name_at(sizeless + 16), "without_size");
  EXPECT_EQ(name_at(sizeless + 17), "");  // the next section
}

TEST(ModuleSymbols, AddressesOutsideOfCodeHaveNoName) {
  for (std::uint64_t address : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    EXPECT_EQ(only_frame(kFixtures + "program", address).kind, FrameKind::kUnknown);
  }
}

TEST(ModuleSymbols, AFileOfAnotherBuildIsNotUsed) {
  ModuleSymbols cache;
  RecordedModule module = recorded(kFixtures + "libwhole.so");
  module.path = kFixtures + "libother.so";
  const auto found = cache.find(module, TargetFiles(0));
  EXPECT_EQ(found.file, nullptr);
  EXPECT_EQ(found.why_not, "build-id differs");
  module.path = kFixtures + "no-such-library.so";
  EXPECT_EQ(cache.find(module, TargetFiles(0)).why_not, "no such file");
}

TEST(ModuleSymbols, ADeletedFileWithoutBuildIdIsNotGuessedByItsPath) {
  ModuleSymbols cache;
  RecordedModule module = recorded(kFixtures + "libnoid.so");
  ASSERT_EQ(module.build_id, "");
  EXPECT_NE(cache.find(module, TargetFiles(0)).file, nullptr);
  module.path += " (deleted)";
  EXPECT_EQ(cache.find(module, TargetFiles(0)).why_not, "file was deleted");
}

TEST(ModuleSymbols, OneBuildIsOpenedOnceWhateverItsPath) {
  ModuleSymbols cache;
  const auto copy = std::filesystem::path(::testing::TempDir()) / "copy-of-libwhole.so";
  std::filesystem::copy_file(kFixtures + "libwhole.so", copy, std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(open_module(cache, kFixtures + "libwhole.so"), open_module(cache, copy.string()));
  EXPECT_EQ(open_module(cache, kFixtures + "libnoid.so"), open_module(cache, kFixtures + "libnoid.so"));
  EXPECT_EQ(cache.usage().modules, 2u);
  std::filesystem::remove(copy);
}

TEST(ModuleSymbols, AnsweredAddressesAreNotLookedUpAgain) {
  ModuleSymbols cache;
  const auto file = open_module(cache, kFixtures + "program");
  const std::uint64_t address = function_symbol(kFixtures + "program", "main").address;
  for (int i = 0; i < 10; ++i) cache.resolve(file, address);
  EXPECT_EQ(cache.usage().misses, 1u);
  EXPECT_EQ(cache.usage().hits, 9u);
}

TEST(ModuleSymbols, StaysWithinItsLimitsAndAnswersTheSame) {
  ModuleSymbols roomy;
  ModuleSymbols tight({.result_bytes = 20000, .debug_bytes = 10000, .idle_modules = 1});
  const std::string path = kFixtures + "program";
  const auto roomy_file = open_module(roomy, path);
  const auto tight_file = open_module(tight, path);
  const FunctionSymbol build = function_symbol(path, "_ZN4mesh5buildEi");
  for (std::uint64_t i = 0; i < build.size; ++i) {
    EXPECT_EQ(tight.resolve(tight_file, build.address + i).frames, roomy.resolve(roomy_file, build.address + i).frames);
    EXPECT_LE(tight.usage().result_bytes, 20000u);
    EXPECT_LE(tight.usage().debug_bytes, 10000u);
  }
  EXPECT_GT(tight.usage().unloads, 0u);
  EXPECT_EQ(roomy.usage().unloads, 0u);
}

TEST(ModuleSymbols, UnloadsWhenTheProcessTakesTooMuchAndAnswersTheSame) {
  ModuleSymbols roomy;
  ModuleSymbols tight({.resident_bytes = 1});
  const std::string path = kFixtures + "program";
  const auto roomy_file = open_module(roomy, path);
  const auto tight_file = open_module(tight, path);
  const FunctionSymbol build = function_symbol(path, "_ZN4mesh5buildEi");
  for (std::uint64_t i = 0; i < build.size; ++i)
    EXPECT_EQ(tight.resolve(tight_file, build.address + i).frames, roomy.resolve(roomy_file, build.address + i).frames);
  EXPECT_GE(tight.usage().unloads, 1u);
  EXPECT_LE(tight.usage().unloads, 1 + build.size / 256) << "in vain once, it is not tried again for a while";
}

// A C++ server's function has a name of a kilobyte and hundreds of addresses on its stacks: were the name kept with
// each, the cache would be full with a few thousand, and naming would read the files again and again.
TEST(ModuleSymbols, AddressesOfOneFunctionShareItsName) {
  const std::string path = std::filesystem::read_symlink("/proc/self/exe");
  const auto symbols = function_symbols(path);
  const auto longest = std::max_element(symbols.begin(), symbols.end(), [](const auto& a, const auto& b) {
    return (a.size >= 64 ? a.name.size() : 0) < (b.size >= 64 ? b.name.size() : 0);
  });
  ASSERT_NE(longest, symbols.end());
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  std::size_t apart = 0;  // were each to have its own
  std::set<std::string> texts;
  for (std::uint64_t i = 0; i < 64; ++i) {
    for (const Frame& frame : cache.resolve(file, longest->address + i).frames) {
      apart += frame.function.size() + frame.file.size();
      texts.insert({frame.function, frame.file});
    }
  }
  std::size_t together = 0;
  for (const std::string& text : texts) together += text.size() + 100;
  EXPECT_GT(apart, 64 * 100u);
  EXPECT_LE(cache.usage().result_bytes, together + 64 * 400);
  EXPECT_LT(cache.usage().result_bytes, apart);
}

TEST(ModuleSymbols, GivesBackWhatCanBeReadAgain) {
  ModuleSymbols cache;
  const std::string path = kFixtures + "program";
  const auto file = open_module(cache, path);
  const FunctionSymbol build = function_symbol(path, "_ZN4mesh5buildEi");
  const auto before = cache.resolve(file, build.address).frames;
  EXPECT_GT(cache.usage().debug_bytes, 0u);
  cache.unload_all();
  EXPECT_EQ(cache.usage().debug_bytes, 0u);
  EXPECT_EQ(cache.resolve(file, build.address).frames, before) << "an answer is kept";
  EXPECT_EQ(cache.resolve(file, build.address + 1).frames.back().function, before.back().function);
  EXPECT_GT(cache.usage().debug_bytes, 0u) << "and the file is read again for a new one";
}

TEST(ModuleSymbols, ClosesFilesNobodyUses) {
  ModuleSymbols cache({.idle_modules = 1});
  for (const char* name : {"program", "program-dwarf4", "libwhole.so", "libother.so"})
    open_module(cache, kFixtures + name);
  EXPECT_EQ(cache.usage().modules, 2u);  // one idle, and the one handed out last
}

// A node binary has 180,000 symbols and 100 MB; the collector beside it must stay small.
TEST(ModuleSymbols, ALargeProgramCostsLittle) {
  const std::string path = "/usr/bin/node";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto symbols = function_symbols(path);
  const std::size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  std::size_t named = 0;
  std::size_t asked = 0;
  for (std::size_t i = 0; i < symbols.size(); i += std::max<std::size_t>(1, symbols.size() / 2000)) {
    if (symbols[i].size == 0) continue;
    ++asked;
    named += !cache.resolve(file, symbols[i].address + symbols[i].size / 2).frames.back().function.empty();
  }
  const std::size_t used = ::mallinfo2().uordblks + ::mallinfo2().hblkhd - before;
  std::printf("%zu of %zu addresses named, %zu bytes used, %zu accounted\n", named, asked, used,
              cache.usage().debug_bytes + cache.usage().result_bytes);
  EXPECT_EQ(named, asked);
  EXPECT_LT(used, 100u << 20);
}
