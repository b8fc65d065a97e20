// sampler/unwind_modules.h
//
// Which module a pc lies in, and keeping modules' .eh_frame from being unmapped under a reader.
//
// The hazard. A walker that reads a module's .eh_frame while another thread's dlclose() unmaps it faults. Most of the
// time that cannot happen: the module is read because one of its pcs is on the walker's own stack, and a module in
// whose functions a thread stands is in use. But a garbage frame pointer can yield a pc of a module that nobody uses
// any more, and then the look-up, the read and the unmapping race. So:
//
//   reader   readers += 1; if (closing) leave; look up; read; readers -= 1
//   closer   closing += 1; wait until readers == 0; dlclose(); generation += 1; closing -= 1
//
// Both begin with a sequentially consistent read-modify-write followed by a load of the other's word, so at least one
// of the two sees the other: either the reader leaves, or the closer waits. A walk reads the generation before anything
// else, so a rule that it learnt before an unloading and keeps after it carries the old generation and is never found
// again.
//
// Unloading that passes no hook (iconv's converters) is left to the first argument. Async-signal-safe but for
// start_modules().
#pragma once

#include <cstdint>

#include "sampler/unwind_bytes.h"
#include "sampler/unwind_cache.h"

namespace camprobe::sampler {

// Finds the loader's look-up with dlsym(), the program's entry point, and the modules that stay.
void start_modules();

// Whether `pc` is in _start, which in programs linked with an old toolchain has no call frame information to say that
// nobody called it.
bool is_program_entry(std::uintptr_t pc);

// What the loader knows about a pc. A program with holes between its segments (node; what lld links) is one module to
// people, and to the loader one for each segment: then [low, high) is the segment of the pc, and the header lies in
// another.
struct Module {
  std::uintptr_t low;
  std::uintptr_t high;
  std::uintptr_t eh_frame_header;  // 0 if it has none
};

// The module that holds `pc`. The loader's look-up is lock-free and safe during dlopen() and dlclose().
bool find_module(std::uintptr_t pc, Module* module);

// Whether the module can never be unloaded: the program itself, the loader, the C library, the kernel's vDSO and the
// one that this code is in. Those may be read while others go: the stack of dlclose() itself leads through them.
bool stays_loaded(const Module& module);

// Whether find_module() can find anything at all.
bool modules_are_known();

// The module's readable segments that may hold its unwind information.
Image image_of(const Module& module);

Generation module_generation();

// Held while a module's memory is read.
class ModuleReader {
 public:
  ModuleReader();
  ~ModuleReader();
  ModuleReader(const ModuleReader&) = delete;
  ModuleReader& operator=(const ModuleReader&) = delete;

  // False while a module is being unloaded: read nothing but what stays_loaded().
  bool may_read() const { return may_read_; }

 private:
  bool may_read_;
};

// For tests: another look-up, or none (an old glibc). Returns the one it replaces.
struct FoundObject;
using FindObject = int (*)(void* pc, FoundObject* result);
FindObject replace_module_lookup(FindObject find);

}  // namespace camprobe::sampler
