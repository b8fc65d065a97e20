// probe/heap_operators.h
//
// C++'s operator new and delete in every form. Where the real operator comes from decides who counts (see the .cc).
#pragma once

namespace camprobe::probe {

// Start-up: finds the real operators. `real_malloc` tells which object the allocator is.
void resolve_operators(void* real_malloc);

}  // namespace camprobe::probe
