// tests/symbols/process_symbols_test.cc
//
// Whole stacks of live processes: this one, children, and a node server in the making.
#include "collector/symbols/process_symbols.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "collector/symbols/elf_file.h"
#include "collector/symbols/short_name.h"
#include "tests/symbols/elf_symbols.h"

using namespace camprobe::symbols;
using ::testing::Contains;
using ::testing::ElementsAre;

namespace {

// Every module of this process, as the probe would have recorded it.
void add_own_modules(ProcessSymbols& process) {
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* opaque) {
        std::string path = info->dlpi_name;
        if (path.empty()) path = std::filesystem::read_symlink("/proc/self/exe").string();
        RecordedModule module = recorded(path);
        module.path = path;
        module.base = info->dlpi_addr;
        module.low = ~std::uint64_t{0};
        module.high = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
          module.low = std::min(module.low, info->dlpi_addr + header.p_vaddr);
          module.high = std::max(module.high, info->dlpi_addr + header.p_vaddr + header.p_memsz);
        }
        static_cast<ProcessSymbols*>(opaque)->add_module(module);
        return 0;
      },
      &process);
}

std::vector<std::string> names(const std::vector<Frame>& frames) {
  std::vector<std::string> all;
  for (const Frame& frame : frames) all.push_back(short_function_name(frame));
  return all;
}

using Addresses = std::vector<std::uint64_t>;

[[gnu::noinline]] Addresses own_stack() {
  std::array<void*, 64> pointers{};
  const int count = ::backtrace(pointers.data(), static_cast<int>(pointers.size()));
  Addresses addresses;
  for (int i = 0; i < count; ++i)
    addresses.push_back(reinterpret_cast<std::uint64_t>(pointers[static_cast<std::size_t>(i)]));
  return addresses;
}

Addresses stack_in_handler;

// Calls as its very last instruction, so that the return address belongs to the next function.
[[gnu::noinline, noreturn]] void leave(int how) {
  ::_exit(how);
}

}  // namespace

TEST(ProcessSymbols, NamesThisVeryStack) {
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = ::getpid(), .uid = ::getuid()});
  add_own_modules(process);
  const Addresses stack = own_stack();
  const std::uint32_t line = __LINE__ - 1;
  const std::vector<Frame> frames = process.resolve({.addresses = stack, .leaf_is_exact = false});
  ASSERT_GE(frames.size(), stack.size());
  EXPECT_THAT(names(frames), Contains("(anonymous namespace)::own_stack"));
  const auto test = std::find_if(frames.begin(), frames.end(), [](const Frame& f) {
    return f.function.find("NamesThisVeryStack") != std::string::npos;
  });
  ASSERT_NE(test, frames.end());
  EXPECT_EQ(test->line, line);
  EXPECT_TRUE(test->file.ends_with("tests/symbols/process_symbols_test.cc"));
  EXPECT_EQ(test->module, std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_THAT(names(frames), Contains("main"));
  for (const std::string& problem : process.problems()) ADD_FAILURE() << problem;
}

TEST(ProcessSymbols, AReturnAddressBelongsToTheCallBeforeIt) {
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = ::getpid(), .uid = ::getuid()});
  const std::string path = std::string(FIXTURES) + "/labels";
  process.add_module(recorded(path));
  const FunctionSymbol quorum = function_symbol(path, "_RNvC3cam6quorum");
  const Addresses end{quorum.address, quorum.address};
  const auto as_leaf = process.resolve({.addresses = end, .leaf_is_exact = true});
  ASSERT_EQ(as_leaf.size(), 2u);
  EXPECT_EQ(as_leaf[0].function, "cam::quorum");
  EXPECT_EQ(as_leaf[0].address, quorum.address);
  EXPECT_EQ(as_leaf[1].function, "cam::arbitrate");
  EXPECT_EQ(as_leaf[1].address, quorum.address - 1);
  EXPECT_EQ(process.resolve({.addresses = end, .leaf_is_exact = false})[0].function, "cam::arbitrate");
}

// Files that cannot all be kept are read again whenever an address of another is asked for in turn; in their own order,
// each only once.
TEST(ProcessSymbols, ManyStacksLookedUpTogetherGiveTheSameFramesForFewerReadings) {
  const std::vector<std::string> paths = {std::string(FIXTURES) + "/program", std::string(FIXTURES) + "/libwhole.so"};
  const auto base_of = [](std::size_t file) { return std::uint64_t{0x100000000} * (file + 1); };
  std::vector<std::vector<std::uint64_t>> functions(paths.size());
  std::size_t largest = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    ModuleSymbols alone;
    const auto file = open_module(alone, paths[i]);
    for (const FunctionSymbol& function : function_symbols(paths[i])) {
      if (function.size <= 2) continue;
      functions[i].push_back(base_of(i) + function.address + 2);
      alone.resolve(file, function.address + 1);
      alone.resolve(file, function.address + 2);
    }
    ASSERT_FALSE(functions[i].empty());
    largest = std::max(largest, alone.usage().debug_bytes);
  }
  std::vector<Addresses> stacks(40);
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    for (std::size_t depth = 0; depth < 6; ++depth) {
      const auto& of_file = functions[(i + depth) % paths.size()];
      stacks[i].push_back(of_file[(i * 7 + depth * 13) % of_file.size()]);
    }
  }
  std::vector<RawStack> raw;
  for (const Addresses& stack : stacks) raw.push_back({.addresses = stack});

  // Room for either file, not for both.
  ModuleSymbols one_by_one({.debug_bytes = largest}), together({.debug_bytes = largest});
  ProcessSymbols plain(one_by_one, {}), batched(together, {});
  for (std::size_t i = 0; i < paths.size(); ++i) {
    RecordedModule module = recorded(paths[i]);
    module.base = base_of(i);
    module.low += module.base;
    module.high += module.base;
    plain.add_module(module);
    batched.add_module(module);
  }
  ModuleSymbols::AddressesByFile addresses;
  batched.collect(raw, addresses);
  together.resolve_all(addresses);
  const std::uint64_t looked_up = together.usage().misses;
  EXPECT_GT(looked_up, 0u);
  for (const RawStack& stack : raw) EXPECT_EQ(batched.resolve(stack), plain.resolve(stack));
  EXPECT_EQ(together.usage().misses, looked_up) << "all of them were in the cache";
  EXPECT_EQ(together.usage().unloads, paths.size()) << "each file is read once and given back";
  EXPECT_EQ(together.usage().debug_bytes, 0u);
  EXPECT_GT(one_by_one.usage().unloads, 4u);
}

TEST(ProcessSymbols, WhatASignalInterruptedDidNotCall) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { stack_in_handler = own_stack(); };
  ASSERT_EQ(::sigaction(SIGUSR2, &action, &before), 0);
  ::raise(SIGUSR2);
  ::sigaction(SIGUSR2, &before, nullptr);

  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = ::getpid(), .uid = ::getuid()});
  add_own_modules(process);
  const auto frames = process.resolve({.addresses = stack_in_handler, .leaf_is_exact = false});
  const auto all = names(frames);
  const auto signal_frame = std::find_if(all.begin(), all.end(), [](const std::string& name) {
    return name == "__restore_rt" || name == "<signal handler called>";
  });
  ASSERT_NE(signal_frame, all.end()) << ::testing::PrintToString(all);
  // The handler above it, and below it libc, at the instruction after the system call: not one byte before.
  EXPECT_NE((signal_frame - 1)->find("WhatASignalInterrupted"), std::string::npos);
  const auto index = static_cast<std::size_t>(signal_frame - all.begin());
  const auto interrupted = std::find_if(stack_in_handler.begin(), stack_in_handler.end(), [&](std::uint64_t address) {
    Dl_info info{};
    return ::dladdr(reinterpret_cast<void*>(address), &info) != 0 &&
           address - reinterpret_cast<std::uint64_t>(info.dli_fbase) == frames[index + 1].address;
  });
  EXPECT_NE(interrupted, stack_in_handler.end());
}

TEST(ProcessSymbols, NamesTheVdso) {
  const auto begin = static_cast<std::uint64_t>(::getauxval(AT_SYSINFO_EHDR));
  if (begin == 0) GTEST_SKIP() << "no vdso";
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = ::getpid(), .uid = ::getuid()});
  process.add_module({.path = "linux-vdso.so.1", .base = begin, .low = begin, .high = begin + 0x10000});
  void* libc = ::dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  void* clock = libc == nullptr ? nullptr : ::dlsym(libc, "__vdso_clock_gettime");
  if (clock == nullptr) GTEST_SKIP() << "no clock in the vdso";
  const Addresses stack{reinterpret_cast<std::uint64_t>(clock) + 1};
  const Frame frame = process.resolve({.addresses = stack}).at(0);
  EXPECT_EQ(frame.function, "clock_gettime");
  EXPECT_EQ(frame.module, "[vdso]");
}

TEST(ProcessSymbols, SaysWhatIsKnownOfTheUnknown) {
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = 0, .uid = 0});
  process.add_module(
      {.path = "/srv/lib/libgone.so", .build_id = "00ff", .base = 0x100000, .low = 0x101000, .high = 0x102000});
  const Addresses stack{0x101234, 0x1, 0, 0xffffffff81000000};
  const auto frames = process.resolve({.addresses = stack});
  EXPECT_THAT(names(frames), ElementsAre("libgone.so!0x1234", "[unknown]", "[unknown]", "[kernel]"));
  EXPECT_EQ(frames[0].module, "/srv/lib/libgone.so");
  EXPECT_EQ(frames[0].kind, FrameKind::kUnknown);
  EXPECT_EQ(frames[0].address, 0x1234u);
  EXPECT_EQ(frames[3].kind, FrameKind::kKernel);
  EXPECT_THAT(process.problems(), ElementsAre("/srv/lib/libgone.so: no symbols, no such file"));
}

TEST(ProcessSymbols, AFileOfAnotherBuildGivesNoNames) {
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = 0, .uid = 0});
  RecordedModule module = recorded(std::string(FIXTURES) + "/program");
  module.build_id = "deadbeef";
  process.add_module(module);
  const Addresses stack{function_symbol(module.path, "main").address};
  const Frame frame = process.resolve({.addresses = stack}).at(0);
  EXPECT_EQ(frame.kind, FrameKind::kUnknown);
  EXPECT_TRUE(frame.function.starts_with("program!0x")) << frame.function;
  EXPECT_THAT(process.problems(), ElementsAre(module.path + ": no symbols, build-id differs"));
}

TEST(ProcessSymbols, TheModuleThatWasOpenThenHasTheAddress) {
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = 0, .uid = 0});
  const auto first = process.add_module({.path = "/plugins/first.so", .base = 0, .low = 0x1000, .high = 0x2000}, 100);
  process.close_module(first, 200);
  process.add_module({.path = "/plugins/second.so", .base = 0, .low = 0x1000, .high = 0x2000}, 300);
  const Addresses stack{0x1500};
  const auto module_at = [&](std::uint64_t taken_ns) {
    return process.resolve({.addresses = stack, .taken_ns = taken_ns}).at(0).module;
  };
  EXPECT_EQ(module_at(150), "/plugins/first.so");
  EXPECT_EQ(module_at(350), "/plugins/second.so");
  EXPECT_EQ(process.resolve({.addresses = stack}).at(0).module, "/plugins/second.so");
}

// Updated while it runs: the path now holds another build, or nothing.
TEST(ProcessSymbols, AProgramReplacedWhileItRunsKeepsItsNames) {
  const auto path = std::filesystem::path(::testing::TempDir()) / ("replaced-" + std::to_string(::getpid()));
  std::filesystem::copy_file("/bin/sleep", path, std::filesystem::copy_options::overwrite_existing);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(path.c_str(), path.c_str(), "60", nullptr);
    leave(127);
  }
  while (std::filesystem::read_symlink("/proc/" + std::to_string(child) + "/exe") != path)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const RecordedModule module = recorded(path.string());
  std::filesystem::remove(path);
  {
    ModuleSymbols cache;
    const auto found = cache.find(module, TargetFiles(child));
    EXPECT_NE(found.file, nullptr) << found.why_not;
  }
  std::filesystem::copy_file(std::string(FIXTURES) + "/program", path);
  {
    ModuleSymbols cache;
    const auto found = cache.find(module, TargetFiles(child));
    EXPECT_NE(found.file, nullptr) << found.why_not;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::filesystem::remove(path);
}

TEST(ProcessSymbols, JitCodeIsNamedOnceItsLineIsWritten) {
  const std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  std::filesystem::remove(path);
  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = ::getpid(), .uid = ::getuid()});
  const Addresses stack{0x10, 0x1020};
  EXPECT_THAT(names(process.resolve({.addresses = stack})), ElementsAre("[unknown]", "[unknown]"));
  std::ofstream(path) << "1000 20 JS:*arbitrate file:///srv/app.js:10:5\n";
  const auto frames = process.resolve({.addresses = stack});
  EXPECT_EQ(frames[1], (Frame{.function = "arbitrate",
                              .file = "/srv/app.js",
                              .line = 10,
                              .module = "[jit]",
                              .address = 0x101f,
                              .kind = FrameKind::kJs}));
  std::filesystem::remove(path);
}

// What node itself writes, TypeScript's source map included.
TEST(ProcessSymbols, NamesTheFunctionsOfARealNodeProcess) {
  if (!std::filesystem::exists("/usr/bin/node")) GTEST_SKIP() << "no /usr/bin/node";
  const auto directory = std::filesystem::path(::testing::TempDir()) / ("node-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const std::string script = (directory / "cost.js").string();
  std::ofstream(directory / "cost.js.map")
      << R"({"version":3,"file":"cost.js","sourceRoot":"","sources":["../src/cost.ts"],"names":[],)"
      << R"("mappings":";;AAEA,oBAEC;AAFD,SAAgB,IAAI,CAAC,CAAW;IAC9B,OAAO,CAAC,CAAC,KAAK,GAAG,CAAC,CAAC;AACrB,CAAC"})";
  std::ofstream(script) << "\"use strict\";\n//\n//\nfunction cost(p) {\n    return p.price * 2;\n}\n"
                        << "let t = 0;\nfor (let i = 0; i < 300000; ++i) t += cost({ price: i });\n"
                        << "console.log('ready');\nsetTimeout(() => {}, 60000);\n//# sourceMappingURL=cost.js.map\n";
  std::array<int, 2> output{};
  ASSERT_EQ(::pipe(output.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output[1], STDOUT_FILENO);
    ::chdir("/");
    ::execl("/usr/bin/node", "node", "--perf-basic-prof", "--interpreted-frames-native-stack", script.c_str(), nullptr);
    leave(127);
  }
  ::close(output[1]);
  char ready = 0;
  EXPECT_EQ(::read(output[0], &ready, 1), 1);
  ::close(output[0]);

  ModuleSymbols cache;
  ProcessSymbols process(cache, {.pid = child, .uid = ::getuid()});
  const std::string map_path = "/tmp/perf-" + std::to_string(child) + ".map";
  Addresses addresses;
  std::ifstream map(map_path);
  for (std::string line; std::getline(map, line);) {
    if (line.find("cost " + script) != std::string::npos) addresses.push_back(std::stoull(line, nullptr, 16) + 1);
  }
  EXPECT_FALSE(addresses.empty());
  for (std::uint64_t address : addresses) {
    const Addresses stack{address};
    const Frame frame = process.resolve({.addresses = stack}).at(0);
    EXPECT_EQ(frame.kind, FrameKind::kJs);
    EXPECT_EQ(frame.function, "cost");
    EXPECT_EQ(frame.file, (directory.parent_path() / "src/cost.ts").string());
    EXPECT_EQ(frame.line, 3u);
  }
  EXPECT_GT(process.jit().map().size(), 500u);
  EXPECT_EQ(process.jit().map().malformed(), 0u);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::filesystem::remove(map_path);
  std::filesystem::remove_all(directory);
}
