// tests/symbols/elf_symbols.h
//
// What tests need to know of a file, read by other means than the code under test: its function symbols, plainly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/symbols/module_symbols.h"

struct FunctionSymbol {
  std::string name;  // mangled
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

// All defined STT_FUNC symbols of .symtab, or of .dynsym where there is no .symtab, by address.
std::vector<FunctionSymbol> function_symbols(const std::string& path);
// The one of that name; fails the test if there is none.
FunctionSymbol function_symbol(const std::string& path, const std::string& name);

// The file as the probe would have recorded it, loaded at its own addresses, its whole image as text.
camprobe::symbols::RecordedModule recorded(const std::string& path);

// Shorthand: opens the file in `cache` as a process without a root of its own sees it; fails the test if it cannot.
std::shared_ptr<camprobe::symbols::ModuleFile> open_module(camprobe::symbols::ModuleSymbols& cache,
                                                           const std::string& path);
