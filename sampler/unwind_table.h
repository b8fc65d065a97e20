// sampler/unwind_table.h
//
// What a module's .eh_frame says about one function: finds the function's entry (FDE) through the sorted look-up table
// of .eh_frame_hdr, and reads it together with the part that it shares with others (CIE). What the two's programs mean
// is unwind_cfi.h's work. Async-signal-safe.
#pragma once

#include <cstdint>

#include "sampler/unwind_bytes.h"

namespace camprobe::sampler {

enum class RowStatus : std::uint8_t { found, no_entry, unsupported };

// The common information entry: what the functions of one object file share.
struct Cie {
  std::uint64_t code_align;
  std::int64_t data_align;
  std::uint8_t pointer_encoding;
  bool has_augmentation;
  bool is_signal_frame;
  Bytes program;  // what holds where each function begins
};

// The frame description entry of one function.
struct FunctionEntry {
  Cie cie;
  std::uint64_t begin;        // of the function
  Bytes program;              // what changes within it
  const std::uint8_t* base;   // the entry
  const std::uint8_t* limit;  // the end of the segment that holds it
};

// The entry of the function that holds `pc`, through the .eh_frame_hdr at `header`.
RowStatus find_entry(const Image& image, std::uintptr_t header, std::uintptr_t pc, FunctionEntry* entry);

}  // namespace camprobe::sampler
