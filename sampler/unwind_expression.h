// sampler/unwind_expression.h
//
// DWARF expressions, as far as call frame information has them: PLT stubs, realigned stacks, signal trampolines,
// hand-written assembly. Bounded in steps and depth; what is not understood is unsupported, never guessed.
// Async-signal-safe.
#pragma once

#include <cstdint>

#include "sampler/unwind_bytes.h"
#include "sampler/unwind_memory.h"
#include "sampler/unwind_registers.h"

namespace camprobe::sampler {

// What an expression comes to: a number, or while registers are unknown, a number relative to one, or what is stored
// there.
struct ExpressionValue {
  enum Form : std::uint8_t { kUnsupported, kNumber, kRegisterPlus, kStoredAtRegisterPlus };
  Form form;
  std::uint8_t reg;
  std::uint64_t number;
};

// Evaluates with `initial` on the stack. With `registers` null only the pc is known, which is enough to turn the
// expressions that linkers and compilers write (PLT stubs, realigned stacks, the signal trampoline) into rules that can
// be kept.
ExpressionValue evaluate(Expression expression, ExpressionValue initial, std::uintptr_t pc, const Registers* registers,
                         StackMemory* memory);

}  // namespace camprobe::sampler
