// collector/attach/allocator.h
//
// An allocator to put behind the probe, by its name: tcmalloc (gperftools'), jemalloc, mimalloc.
#pragma once

#include <string>

#include "run/result.h"

namespace camprobe::attach {

// The path of its shared library, where the loader has its own libraries. The error: no such allocator is known, or its
// library is not installed, with the package that has it.
run::Result<std::string> find_allocator(const std::string& name);

}  // namespace camprobe::attach
