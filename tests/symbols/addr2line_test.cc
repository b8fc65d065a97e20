// tests/symbols/addr2line_test.cc
//
// binutils' addr2line as the oracle: the same frames, functions, files and lines for hundreds of addresses of real
// files.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "collector/symbols/module_symbols.h"
#include "tests/symbols/elf_symbols.h"

using namespace camprobe::symbols;

namespace {

struct Line {
  std::string function;
  std::string file;
  std::uint32_t line = 0;
};
using Answers = std::map<std::uint64_t, std::vector<Line>>;

Answers ask_addr2line(const std::string& path, const std::vector<std::uint64_t>& addresses) {
  const std::string list = ::testing::TempDir() + "addresses-" + std::to_string(::getpid());
  std::ofstream out(list);
  for (std::uint64_t address : addresses) out << std::hex << "0x" << address << "\n";
  out.close();
  const std::string command = std::string(ADDR2LINE) + " -a -i -f -C -e '" + path + "' < " + list;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string text;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, got);
  EXPECT_EQ(::pclose(pipe), 0);
  std::filesystem::remove(list);

  Answers answers;
  std::istringstream in(text);
  std::vector<Line>* current = nullptr;
  for (std::string function; std::getline(in, function);) {
    if (function.starts_with("0x")) {
      current = &answers[std::stoull(function, nullptr, 16)];
      continue;
    }
    std::string place;
    std::getline(in, place);
    place = place.substr(0, place.find(" (discriminator"));
    const std::size_t colon = place.rfind(':');
    const std::string number = place.substr(colon + 1);
    Line line{function, place.substr(0, colon), number == "?" ? 0 : static_cast<std::uint32_t>(std::stoul(number))};
    if (line.line == 0) line.file.clear();  // "??", or the object file's name from the symbol table
    if (current != nullptr) current->push_back(line);
  }
  return answers;
}

// Up to `count` addresses inside functions, always the same ones.
std::vector<std::uint64_t> pick_addresses(const std::string& path, std::size_t count) {
  std::vector<FunctionSymbol> symbols = function_symbols(path);
  std::erase_if(symbols, [](const FunctionSymbol& symbol) { return symbol.size == 0; });
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> addresses;
  for (std::size_t i = 0; i < count && !symbols.empty(); ++i) {
    const FunctionSymbol& symbol = symbols[random() % symbols.size()];
    addresses.push_back(symbol.address + random() % symbol.size);
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

std::string show(const std::vector<Line>& lines) {
  std::ostringstream out;
  for (const Line& line : lines) out << "    " << line.function << " at " << line.file << ":" << line.line << "\n";
  return out.str();
}

struct Agreement {
  std::size_t asked = 0;
  std::size_t lines = 0;      // same number of frames, each with the same line number
  std::size_t places = 0;     // and the same file
  std::size_t functions = 0;  // same number of frames, each with the same function
  std::string differences;
};

std::string normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

// addr2line leaves out the scopes of functions without a linkage name, names C functions by other aliases, gives
// lambdas the name of the function around them, and tells GCC's clones apart; a name agrees if theirs is ours without
// scopes and arguments, or if the ELF file has both on one address.
bool same_function(std::string ours, std::string theirs, const std::vector<std::string>& aliases) {
  for (const char* clone : {" [clone ", ".part.", ".cold", ".constprop.", ".isra."}) {
    ours = ours.substr(0, ours.find(clone));
    theirs = theirs.substr(0, theirs.find(clone));
  }
  if (ours.find("::{lambda") != std::string::npos && ours.starts_with(theirs)) return true;
  if (ours.starts_with(theirs) || ours.find("::" + theirs) != std::string::npos) return true;
  const auto is_alias = [&](const std::string& name) {
    return std::find(aliases.begin(), aliases.end(), name) != aliases.end();
  };
  return is_alias(ours) && is_alias(theirs);
}

// `oracle`: the file addr2line is asked about, for code it cannot read the debug information of.
Agreement compare(const std::string& path, std::size_t count, std::string oracle = "") {
  if (oracle.empty()) oracle = path;
  const std::vector<std::uint64_t> addresses = pick_addresses(path, count);
  const Answers answers = ask_addr2line(oracle, addresses);
  ModuleSymbols cache;
  const auto file = open_module(cache, path);
  std::map<std::uint64_t, std::vector<std::string>> aliases;
  std::vector<FunctionSymbol> symbols = function_symbols(path);
  const std::string id = recorded(path).build_id;
  const std::string debug_file = "/usr/lib/debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug";
  if (std::filesystem::exists(debug_file)) symbols = function_symbols(debug_file);
  Agreement agreement;
  for (const auto& [address, theirs] : answers) {
    const std::vector<Frame> frames = cache.resolve(file, address).frames;
    std::vector<Line> ours;
    for (const Frame& frame : frames) ours.push_back({frame.function, frame.line == 0 ? "" : frame.file, frame.line});
    bool places = ours.size() == theirs.size();
    bool lines = places;
    bool functions = places;
    std::vector<std::string> names;
    for (const FunctionSymbol& symbol : symbols) {
      if (symbol.address <= address && address < symbol.address + symbol.size)
        names.push_back(symbol.name.substr(0, symbol.name.find('@')));
    }
    for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i) {
      lines = lines && ours[i].line == theirs[i].line;
      places = places && lines && normal(ours[i].file) == normal(theirs[i].file);
      functions = functions && same_function(ours[i].function, theirs[i].function, names);
    }
    ++agreement.asked;
    agreement.lines += lines;
    agreement.places += places;
    agreement.functions += functions;
    if (!places || !functions) {
      std::ostringstream out;
      out << std::hex << address << std::dec << "\n  ours:\n" << show(ours) << "  addr2line:\n" << show(theirs);
      agreement.differences += out.str();
    }
  }
  return agreement;
}

// Of DWARF 5, addr2line 2.40 takes the wrong file for the first rows of a unit (where readelf agrees with us), which is
// often in libc, whose units are single functions: hence one in ten for files.
void expect_agreement(const Agreement& agreement, std::size_t at_least) {
  EXPECT_GT(agreement.asked, at_least);
  EXPECT_GE(agreement.lines * 100, agreement.asked * 99) << agreement.differences.substr(0, 6000);
  EXPECT_GE(agreement.places * 100, agreement.asked * 90) << agreement.differences.substr(0, 6000);
  EXPECT_GE(agreement.functions * 100, agreement.asked * 98) << agreement.differences.substr(0, 6000);
  std::printf("%zu addresses; the same: %zu lines, %zu files, %zu functions\n", agreement.asked, agreement.lines,
              agreement.places, agreement.functions);
}

}  // namespace

TEST(Addr2Line, AgreesOnAProgramWithInlinedCalls) {
  for (const char* name : {"program", "program-dwarf4", "program-no-aranges", "program-compressed"}) {
    SCOPED_TRACE(name);
    expect_agreement(compare(std::string(FIXTURES "/") + name, 400), 150);
  }
}

// The same code, its DWARF in a .dwo file, which addr2line does not read.
TEST(Addr2Line, AgreesOnSplitDwarf) {
  expect_agreement(compare(FIXTURES "/program-split", 400, FIXTURES "/program"), 150);
}

TEST(Addr2Line, AgreesOnThisTest) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  expect_agreement(compare(self, 600), 400);
}

TEST(Addr2Line, AgreesOnLibc) {
  // With or without its debug file installed.
  void* libc = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  ASSERT_NE(libc, nullptr);
  ASSERT_EQ(::dlinfo(libc, RTLD_DI_LINKMAP, &map), 0);
  expect_agreement(compare(std::filesystem::canonical(map->l_name).string(), 400), 250);
}
