// sampler/unwind_row.h
//
// Everything that call frame information says about one pc, and the step to the caller by it. The slow and complete
// way: what fits into 64 bits (unwind_rule.h) is stepped over by the walk's own loop. Async-signal-safe.
#pragma once

#include <cstdint>

#include "sampler/unwind_bytes.h"
#include "sampler/unwind_memory.h"
#include "sampler/unwind_registers.h"

namespace camprobe::sampler {

// Where one register of the caller is.
struct RegisterRule {
  enum Kind : std::uint8_t {
    kSame,          // where it was: this frame did not touch it
    kUndefined,     // gone
    kAtOffset,      // saved at CFA + offset
    kIsOffset,      // is CFA + offset
    kRegister,      // in another register, `offset`
    kAtExpression,  // saved at the expression's value
    kIsExpression,  // is the expression's value
  };
  Kind kind;
  std::int32_t offset;  // or a register's number, or where the expression's length stands, from Row::base
};

// Everything the call frame information says about one pc. CFA: canonical frame address, the caller's stack pointer.
struct Row {
  RegisterRule rules[kRegisters];
  Expression cfa_expression;  // in use when its `begin` is set; else CFA = cfa_register + cfa_offset
  std::int64_t cfa_offset;
  std::uint32_t cfa_register;
  bool is_signal_frame;       // the caller was interrupted, not calling
  const std::uint8_t* base;   // the FDE
  const std::uint8_t* limit;  // the end of the segment that holds it
};

// The expression of a rule of kind kAtExpression or kIsExpression; empty if it is not inside the segment.
Expression expression_of(const Row& row, const RegisterRule& rule);

// Steps to the caller by the full row. False if a rule cannot be followed.
bool step_by_row(const Row& row, Registers* registers, StackMemory* memory);

}  // namespace camprobe::sampler
