// collector/analysis/own_frame.h
//
// Whose code a frame is: the program's own, or that of a library, an allocator or a language's run time. A finding is
// named by the innermost frame of the program's own, because that is the line its reader can change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "run/rows.h"

namespace camprobe::analysis {

// Whether a function is V8's own, told by its name.
bool is_v8(std::string_view function);
bool is_library_frame(const run::Frame& frame);

// The innermost frame that is the program's own: neither the allocator, nor the standard library, nor the system's. The
// index into `frames` (leaf first); 0 where there is none.
std::size_t own_frame(const std::vector<run::Frame>& frames);

// A number for a function's name that is the same in every run, so that findings keep their ids; never 0.
std::uint64_t hash_of_name(std::string_view name);

}  // namespace camprobe::analysis
