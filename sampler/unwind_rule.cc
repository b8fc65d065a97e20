// sampler/unwind_rule.cc: see unwind_rule.h.
#include "sampler/unwind_rule.h"

#include <ucontext.h>

#include <cstddef>

#include "sampler/unwind_expression.h"
#include "sampler/unwind_signal_frame.h"

namespace camprobe::sampler {
namespace {

using Value = ExpressionValue;
constexpr Value kNothing{Value::kNumber, 0, 0};

// Whether a rule's expression is "stored at `reg` + `offset`".
bool is_stored_at(const Row& row, const RegisterRule& rule, std::uintptr_t pc, std::uint8_t reg, std::uint64_t offset) {
  if (rule.kind != RegisterRule::kAtExpression) {
    return false;
  }
  const Value value = evaluate(expression_of(row, rule), kNothing, pc, nullptr, nullptr);
  return value.form == Value::kRegisterPlus && value.reg == reg && value.number == offset;
}

}  // namespace

Rule pack(const Row& row, std::uintptr_t pc) {
  const RegisterRule& return_address = row.rules[kReturnAddress];
  if (return_address.kind == RegisterRule::kUndefined) {
    return Rule(RuleKind::kRoot);
  }
  Value cfa{Value::kRegisterPlus, static_cast<std::uint8_t>(row.cfa_register),
            static_cast<std::uint64_t>(row.cfa_offset)};
  if (row.cfa_expression.begin != nullptr) {
    cfa = evaluate(row.cfa_expression, kNothing, pc, nullptr, nullptr);
  } else if (row.cfa_register >= kRegisters) {
    return Rule(RuleKind::kFull);
  }
  if (row.is_signal_frame) {
    const bool kernels_own = cfa.form == Value::kStoredAtRegisterPlus && cfa.reg == kRsp &&
                             cfa.number == kSignalFrameRegister[kRsp] &&
                             is_stored_at(row, return_address, pc, kRsp, kSignalFrameRegister[kReturnAddress]);
    return Rule(kernels_own ? RuleKind::kSignal : RuleKind::kFull);
  }
  RuleKind kind;
  if (cfa.form == Value::kRegisterPlus) {
    kind = RuleKind::kCall;
  } else if (cfa.form == Value::kStoredAtRegisterPlus) {
    kind = RuleKind::kCallRealigned;
  } else {
    return Rule(RuleKind::kFull);
  }
  if (return_address.kind != RegisterRule::kAtOffset || return_address.offset != -8 ||
      row.rules[kRsp].kind != RegisterRule::kSame) {
    return Rule(RuleKind::kFull);
  }

  std::uint64_t cfa_code = 0;
  while (cfa_code < 8 && kCfaRegisters[cfa_code] != cfa.reg) {
    ++cfa_code;
  }
  const std::int64_t offset = static_cast<std::int64_t>(cfa.number);
  if (cfa_code == 8 || offset % 8 != 0 || offset / 8 < -(1 << 19) || offset / 8 >= 1 << 19) {
    return Rule(RuleKind::kFull);
  }
  bool by_frame_pointer = false;
  bool by_cfa = false;
  std::uint64_t saved = 0;
  for (std::uint32_t i = 0; i < kSavedRegisters; ++i) {
    const RegisterRule& rule = row.rules[kSaved[i]];
    std::int64_t below;  // the base
    if (rule.kind == RegisterRule::kSame) {
      continue;
    }
    if (rule.kind == RegisterRule::kAtOffset) {
      by_cfa = true;
      below = -std::int64_t{rule.offset};
    } else if (rule.kind == RegisterRule::kAtExpression) {
      const Value value = evaluate(expression_of(row, rule), kNothing, pc, nullptr, nullptr);
      if (value.form != Value::kRegisterPlus || value.reg != kRbp) {
        return Rule(RuleKind::kFull);
      }
      by_frame_pointer = true;
      below = 8 - static_cast<std::int64_t>(value.number);
    } else {
      return Rule(RuleKind::kFull);
    }
    if (below % 8 != 0 || below < 8 || below > std::int64_t{8} * 63) {
      return Rule(RuleKind::kFull);
    }
    saved |= static_cast<std::uint64_t>(below / 8) << (6 * i);
  }
  if (by_frame_pointer && by_cfa) {
    return Rule(RuleKind::kFull);
  }
  return Rule(static_cast<std::uint64_t>(kind) | cfa_code << 4 | std::uint64_t{by_frame_pointer} << 7 | saved << 8 |
              static_cast<std::uint64_t>(offset / 8) << 44);
}

}  // namespace camprobe::sampler
