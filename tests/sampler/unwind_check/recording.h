// tests/sampler/unwind_check/recording.h
//
// What stack_recorder.cc writes, one file a process, and stack_checker.cc reads: our walk of a stack together with all
// that another unwinder needs to walk it once more, later and in another process.
//
// A file is a sequence of records: a RecordHead, then `bytes` bytes of body.
//   kImage   the path of the executable; everything before it belongs to an image that exec() replaced
//   kMaps    lines of /proc/self/maps, those of files and of executable memory; valid until the next kMaps
//   kSample  a SampleHead, `depth` words (our frames), then the bytes of each piece
// A process that is killed while it writes leaves a last record that is shorter than it says.
#pragma once

#include <cstdint>

#include "sampler/unwind_registers.h"

namespace camprobe::tests {

inline constexpr std::uint32_t kRecordMagic = 0x6b617473;  // "stak"
inline constexpr std::uint32_t kMostFrames = 512;
inline constexpr std::uint32_t kMostPieces = 2;

enum class RecordKind : std::uint32_t { kImage = 1, kMaps = 2, kSample = 3 };

struct RecordHead {
  std::uint32_t magic;
  RecordKind kind;
  std::uint64_t bytes;
};
static_assert(sizeof(RecordHead) == 16);

// What made the sample be taken.
enum class Origin : std::uint32_t { kTimer = 0, kAllocation = 1 };

// Stack memory as it was: [low, low + size).
struct Piece {
  std::uint64_t low;
  std::uint64_t size;
};

struct SampleHead {
  Origin origin;
  std::uint32_t end;    // ours: a sampler::WalkEnd
  std::uint32_t depth;  // ours
  std::uint32_t pieces;
  std::uint64_t hook_frame;  // kAllocation: only frames with a stack pointer from here on were recorded
  std::uint64_t registers[sampler::kRegisters];  // where both walks begin; by DWARF number
  Piece piece[kMostPieces];
};
static_assert(sizeof(SampleHead) == 16 + 8 + 8 * 17 + 32);

}  // namespace camprobe::tests
