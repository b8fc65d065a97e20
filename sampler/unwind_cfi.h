// sampler/unwind_cfi.h
//
// Reads DWARF call frame information (.eh_frame through its .eh_frame_hdr): for one pc, how to find its caller's frame.
//
// The bytes are a module's own and may be wrong: nothing outside the given image is ever read, every loop is bounded by
// the bytes it consumes, and what is not understood yields "unsupported" rather than a guess. Async-signal-safe; uses
// about 1 KiB of stack.
#pragma once

#include <cstdint>

#include "sampler/unwind_row.h"
#include "sampler/unwind_table.h"

namespace camprobe::sampler {

// Finds the row for `pc` through the module's sorted look-up table, the .eh_frame_hdr at `header`.
RowStatus find_row(const Image& image, std::uintptr_t header, std::uintptr_t pc, Row* row);

}  // namespace camprobe::sampler
