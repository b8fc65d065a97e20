// sampler/module_table.h
//
// Which modules (program, libraries) were loaded when, for whoever looks up a program counter later.
//
// Modules present at start-up are listed then (dl_iterate_phdr is allowed there). Ones opened later enter the table
// when one of their program counters first stands in a captured stack. That needs no hook of dlopen() and no lock: the
// module is in use by a function that has not returned, so it cannot be unloaded while we look, and _dl_find_object()
// (glibc 2.35) is lock-free and async-signal-safe.
//
// Why dlopen() is not hooked: the loader takes the caller's RUNPATH, namespace and $ORIGIN from dlopen()'s return
// address, so a wrapper in our library would change what programs load. A jump would not, but gives no control
// afterwards. dlclose() asks for no caller; its hook marks what went.
//
// On a glibc older than 2.35 only the modules present at start-up and at each dlclose() are known here; a collector
// still finds the others in /proc/<pid>/maps.
#pragma once

#include <cstdint>

#include "sampler/unwind.h"
#include "shm/record.h"

namespace camprobe::sampler {

// Start-up: finds the loader's look-up and lists what is loaded.
void start_module_table();

// In the child of a fork, once it has a region: the same modules again.
void publish_modules_again();

// After dlclose(): marks modules that are gone.
void note_closed_modules();

// Puts a walk into the depot and makes sure that the table knows its modules. `frames` must have room for one more
// word. Async-signal-safe. 0: the depot is full.
shm::StackId intern_walk(std::uintptr_t* frames, const Walk& walk);

// The same for an interrupted thread, at `now_ns`: the samples' depot gets what stands behind `frames[0]`, the
// instruction. 0: that is nothing, or the depot has no room.
shm::StackId intern_callers(std::uintptr_t* frames, const Walk& walk, std::uint64_t now_ns);

}  // namespace camprobe::sampler
