// probe/allocator.h
//
// Which allocator the program runs on, and how that one is asked what it holds. Asking: sampler/allocator_watch.h says
// when.
#pragma once

namespace camprobe::probe {

// Start-up, where names may be looked up: finds the allocator's object and its functions. What it maps for itself is
// then not taken for the program's own mappings.
void find_allocator();

}  // namespace camprobe::probe
