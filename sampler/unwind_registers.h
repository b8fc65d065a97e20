// sampler/unwind_registers.h
//
// The registers of one frame, by their DWARF numbers (System V ABI, x86-64).
#pragma once

#include <cstdint>

namespace camprobe::sampler {

enum RegisterNumber : std::uint8_t {
  kRax = 0,
  kRdx = 1,
  kRcx = 2,
  kRbx = 3,
  kRsi = 4,
  kRdi = 5,
  kRbp = 6,
  kRsp = 7,  // clang-format off
  kR8 = 8, kR9 = 9, kR10 = 10, kR11 = 11, kR12 = 12, kR13 = 13, kR14 = 14, kR15 = 15,  // clang-format on
  kReturnAddress = 16,
};
inline constexpr std::uint32_t kRegisters = 17;

struct Registers {
  std::uint64_t value[kRegisters];
  std::uint32_t known;  // bit n: value[n] is what register n held in this frame

  static constexpr std::uint32_t kAll = (1u << kRegisters) - 1;
  // What a frame-pointer step yields: such code saves the others where only it knows.
  static constexpr std::uint32_t kFrame = 1u << kRbp | 1u << kRsp | 1u << kReturnAddress;
  // What a call preserves. An interrupted frame has all its registers; its callers have these.
  static constexpr std::uint32_t kPreserved = kFrame | 1u << kRbx | 1u << kR12 | 1u << kR13 | 1u << kR14 | 1u << kR15;
};

}  // namespace camprobe::sampler
