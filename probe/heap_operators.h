// probe/heap_operators.h
//
// C++'s operator new and delete in every form. Who counts, they or malloc, is found out at start-up (see the .cc).
#pragma once

namespace camprobe::probe {

// Start-up: finds the real operators; then, once the malloc family is known too, finds out which of them call it.
void resolve_operators(void* real_malloc);
void measure_operators();

}  // namespace camprobe::probe
