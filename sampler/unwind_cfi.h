// sampler/unwind_cfi.h
//
// Reads DWARF call frame information (.eh_frame through its .eh_frame_hdr): for one pc, how to find its caller's frame.
//
// The bytes are a module's own and may be wrong: nothing outside the given image is ever read, every loop is bounded by
// the bytes it consumes, and what is not understood yields "unsupported" rather than a guess. Async-signal-safe; uses
// about 1 KiB of stack.
#pragma once

#include <cstdint>

#include "sampler/unwind_memory.h"
#include "sampler/unwind_registers.h"

namespace camprobe::sampler {

// The readable parts of a mapped module.
struct Image {
  static constexpr std::uint32_t kMostSegments = 8;
  struct Segment {
    std::uintptr_t low;
    std::uintptr_t high;
  };
  Segment segments[kMostSegments];
  std::uint32_t count;
};

// Bytes of a DWARF expression, inside the image.
struct Expression {
  const std::uint8_t* begin;
  std::uint32_t size;
};

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

enum class RowStatus : std::uint8_t { found, no_entry, unsupported };

// Finds the row for `pc` through the module's sorted look-up table, the .eh_frame_hdr at `header`.
RowStatus find_row(const Image& image, std::uintptr_t header, std::uintptr_t pc, Row* row);

// The expression of a rule of kind kAtExpression or kIsExpression; empty if it is not inside the segment.
Expression expression_of(const Row& row, const RegisterRule& rule);

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

// Steps to the caller by the full row. False if a rule cannot be followed.
bool step_by_row(const Row& row, Registers* registers, StackMemory* memory);

}  // namespace camprobe::sampler
