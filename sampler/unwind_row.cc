// sampler/unwind_row.cc: see unwind_row.h.
#include "sampler/unwind_row.h"

#include "sampler/unwind_expression.h"

namespace camprobe::sampler {

Expression expression_of(const Row& row, const RegisterRule& rule) {
  if (rule.offset < 0 || rule.offset >= row.limit - row.base) {
    return {nullptr, 0};
  }
  return Bytes(row.base + rule.offset, row.limit).expression();
}

bool step_by_row(const Row& row, Registers* registers, StackMemory* memory) {
  using Value = ExpressionValue;
  const std::uintptr_t pc = registers->value[kReturnAddress];
  std::uint64_t cfa;
  if (row.cfa_expression.begin != nullptr) {
    const Value value = evaluate(row.cfa_expression, {Value::kNumber, 0, 0}, pc, registers, memory);
    if (value.form != Value::kNumber) {
      return false;
    }
    cfa = value.number;
  } else {
    if (row.cfa_register >= kRegisters || (registers->known >> row.cfa_register & 1) == 0) {
      return false;
    }
    cfa = registers->value[row.cfa_register] + static_cast<std::uint64_t>(row.cfa_offset);
  }
  Registers caller;
  caller.known = 0;
  for (std::uint32_t reg = 0; reg < kRegisters; ++reg) {
    const RegisterRule& rule = row.rules[reg];
    std::uint32_t from = reg;
    std::uint64_t value = 0;
    bool known = false;
    switch (rule.kind) {
      case RegisterRule::kUndefined:
        break;
      case RegisterRule::kRegister:
        from = static_cast<std::uint32_t>(rule.offset);
        [[fallthrough]];
      case RegisterRule::kSame:
        if (reg == kRsp && rule.kind == RegisterRule::kSame) {
          value = cfa;
          known = true;
        } else if (from < kRegisters) {
          value = registers->value[from];
          known = (registers->known >> from & 1) != 0 && (row.is_signal_frame || rule.kind == RegisterRule::kRegister ||
                                                          (Registers::kPreserved >> reg & 1) != 0);
        }
        break;
      case RegisterRule::kAtOffset:
        known = memory->read(cfa + static_cast<std::uint64_t>(std::int64_t{rule.offset}), &value);
        if (!known) return false;
        break;
      case RegisterRule::kIsOffset:
        value = cfa + static_cast<std::uint64_t>(std::int64_t{rule.offset});
        known = true;
        break;
      case RegisterRule::kAtExpression:
      case RegisterRule::kIsExpression: {
        const Value result = evaluate(expression_of(row, rule), {Value::kNumber, 0, cfa}, pc, registers, memory);
        if (result.form != Value::kNumber) return false;
        value = result.number;
        known = rule.kind == RegisterRule::kIsExpression || memory->read(result.number, &value);
        if (!known) return false;
        break;
      }
    }
    caller.value[reg] = value;
    caller.known |= static_cast<std::uint32_t>(known) << reg;
  }
  // A return address nobody saved ("same") is no return address: the row was written by hand and is incomplete.
  if (row.rules[kReturnAddress].kind == RegisterRule::kSame || (caller.known >> kReturnAddress & 1) == 0) {
    return false;
  }
  *registers = caller;
  return true;
}

}  // namespace camprobe::sampler
