// probe/span.h
//
// What the rest of the probe must know of spans; programs use probe/include/camprobe.h.
#pragma once

namespace camprobe::probe {

// In the child of a fork: the spans around its thread are the parent's.
void forget_spans();

}  // namespace camprobe::probe
