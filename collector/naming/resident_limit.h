// collector/naming/resident_limit.h: what a collector as a whole may take while it looks names up.
#pragma once

#include <cstddef>

namespace camprobe::naming {

// Less than the 64 MiB that a collector promises, for what a single look-up may add: the lines and functions of one
// large compilation unit. For whoever reads names beside a recording: the recording itself, and a look at it.
inline constexpr std::size_t kResidentBytes = std::size_t{40} << 20;

}  // namespace camprobe::naming
