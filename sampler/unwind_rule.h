// sampler/unwind_rule.h
//
// How to step from one pc to its caller, in 64 bits, so that the cache can keep it.
//
//   bits  0..3   kind
//   bits  4..6   which register the CFA is counted from (kCfaRegisters)
//   bit   7      registers are saved relative to rbp + 8 rather than to the CFA (stacks realigned by GCC)
//   bits  8..43  for rbp, rbx, r12..r15 six bits each: saved at base - 8 * n; 0: not saved
//   bits 44..63  CFA offset / 8, signed
//
// That is all that compilers write, but for a handful of functions (getcontext's kin, hand-written assembly); those are
// kFull, and their row is read again each time.
#pragma once

#include <cstdint>

#include "sampler/unwind_registers.h"
#include "sampler/unwind_row.h"

namespace camprobe::sampler {

enum class RuleKind : std::uint8_t {
  kUnknown = 0,        // not in the cache
  kCall = 1,           // CFA = register + offset, return address at CFA - 8
  kCallRealigned = 2,  // CFA is stored at register + offset
  kSignal = 3,         // the kernel's signal frame: a ucontext_t at the stack pointer
  kRoot = 4,           // nobody called this
  kNoEntry = 5,        // the module says nothing about this pc
  kFull = 6,           // read the row again
  kUnusable = 7,       // the row cannot be followed
};

inline constexpr std::uint32_t kSavedRegisters = 6;
inline constexpr std::uint8_t kSaved[kSavedRegisters] = {kRbp, kRbx, kR12, kR13, kR14, kR15};
inline constexpr std::uint8_t kCfaRegisters[8] = {kRsp, kRbp, kRbx, kR12, kR13, kR14, kR15, kR10};

class Rule {
 public:
  constexpr Rule() = default;
  constexpr explicit Rule(std::uint64_t bits) : bits_(bits) {}
  constexpr explicit Rule(RuleKind kind) : bits_(static_cast<std::uint64_t>(kind)) {}

  constexpr std::uint64_t bits() const { return bits_; }
  constexpr RuleKind kind() const { return static_cast<RuleKind>(bits_ & 15); }
  constexpr std::uint8_t cfa_register() const { return kCfaRegisters[bits_ >> 4 & 7]; }
  constexpr bool saves_by_frame_pointer() const { return (bits_ >> 7 & 1) != 0; }
  constexpr std::uint32_t saved_word(std::uint32_t index) const { return bits_ >> (8 + 6 * index) & 63; }
  constexpr bool saves_anything() const { return (bits_ >> 8 & 0xfffffffff) != 0; }
  constexpr std::int64_t cfa_offset() const { return (static_cast<std::int64_t>(bits_) >> 44) * 8; }

 private:
  std::uint64_t bits_ = 0;
};

// The rule that says what `row` says about `pc`: kCall, kCallRealigned, kSignal, kRoot, or kFull when 64 bits cannot
// hold it.
Rule pack(const Row& row, std::uintptr_t pc);

}  // namespace camprobe::sampler
