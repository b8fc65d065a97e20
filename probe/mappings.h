// probe/mappings.h
//
// Which caller's mappings are not the program's own.
#pragma once

#include <cstdint>

namespace camprobe::probe {

// Code in [low, high) is the allocator's. Start-up.
void exclude_mappings_of(std::uintptr_t low, std::uintptr_t high);

}  // namespace camprobe::probe
