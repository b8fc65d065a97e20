// sampler/unwind_expression.cc: see unwind_expression.h.
#include "sampler/unwind_expression.h"

namespace camprobe::sampler {
namespace {

// Operations (DW_OP_*, in DWARF 5 section 7.7.1) that compilers, linkers and people write into call frame information.
enum : std::uint8_t {
  kAddress = 0x03,
  kDeref = 0x06,
  kConst1u = 0x08,
  kConst1s = 0x09,
  kConst2u = 0x0a,
  kConst2s = 0x0b,
  kConst4u = 0x0c,
  kConst4s = 0x0d,
  kConst8u = 0x0e,
  kConst8s = 0x0f,
  kConstU = 0x10,
  kConstS = 0x11,
  kDup = 0x12,
  kDrop = 0x13,
  kOver = 0x14,
  kPick = 0x15,
  kSwap = 0x16,
  kAnd = 0x1a,
  kMinus = 0x1c,
  kMultiply = 0x1e,
  kNeg = 0x1f,
  kNot = 0x20,
  kOr = 0x21,
  kPlus = 0x22,
  kPlusConst = 0x23,
  kShiftLeft = 0x24,
  kShiftRight = 0x25,
  kShiftRightSigned = 0x26,
  kXor = 0x27,
  kBranch = 0x28,
  kEqual = 0x29,
  kAtLeast = 0x2a,
  kGreater = 0x2b,
  kAtMost = 0x2c,
  kLess = 0x2d,
  kNotEqual = 0x2e,
  kSkip = 0x2f,
  kLiteral0 = 0x30,
  kBaseRegister0 = 0x70,
  kBaseRegisterX = 0x92,
  kNop = 0x96,
};

}  // namespace

ExpressionValue evaluate(Expression expression, ExpressionValue initial, std::uintptr_t pc, const Registers* registers,
                         StackMemory* memory) {
  using Value = ExpressionValue;
  constexpr unsigned kMostValues = 16;
  constexpr unsigned kMostSteps = 256;  // an expression may jump backwards
  const Value unsupported{Value::kUnsupported, 0, 0};
  if (expression.begin == nullptr) {
    return unsupported;
  }
  Value stack[kMostValues];
  unsigned depth = 0;
  stack[depth++] = initial;
  const std::uint8_t* const end = expression.begin + expression.size;
  Bytes bytes(expression.begin, end);

  const auto number = [](std::uint64_t value) { return Value{Value::kNumber, 0, value}; };
  const auto of_register = [&](std::uint64_t reg, std::int64_t offset) {
    if (reg == kReturnAddress) return number(pc + static_cast<std::uint64_t>(offset));
    if (reg >= kRegisters) return unsupported;
    if (registers == nullptr) {
      return Value{Value::kRegisterPlus, static_cast<std::uint8_t>(reg), static_cast<std::uint64_t>(offset)};
    }
    if ((registers->known >> reg & 1) == 0) return unsupported;
    return number(registers->value[reg] + static_cast<std::uint64_t>(offset));
  };
  const auto stored_at = [&](Value address) {
    std::uint64_t word;
    if (address.form == Value::kRegisterPlus) return Value{Value::kStoredAtRegisterPlus, address.reg, address.number};
    if (address.form == Value::kNumber && memory != nullptr && memory->read(address.number, &word)) return number(word);
    return unsupported;
  };
  const auto combined = [&](std::uint8_t op, Value a, Value b) {  // `b` was on top
    const bool linear = a.form == Value::kRegisterPlus && b.form == Value::kNumber;
    if (op == kPlus) {
      if (linear) return Value{a.form, a.reg, a.number + b.number};
      if (a.form == Value::kNumber && b.form == Value::kRegisterPlus) return Value{b.form, b.reg, a.number + b.number};
    }
    if (op == kMinus && linear) return Value{a.form, a.reg, a.number - b.number};
    if (a.form != Value::kNumber || b.form != Value::kNumber) return unsupported;
    const std::int64_t x = static_cast<std::int64_t>(a.number);
    const std::int64_t y = static_cast<std::int64_t>(b.number);
    switch (op) {
      case kAnd:
        return number(a.number & b.number);
      case kMinus:
        return number(a.number - b.number);
      case kMultiply:
        return number(a.number * b.number);
      case kOr:
        return number(a.number | b.number);
      case kPlus:
        return number(a.number + b.number);
      case kShiftLeft:
        return number(b.number < 64 ? a.number << b.number : 0);
      case kShiftRight:
        return number(b.number < 64 ? a.number >> b.number : 0);
      case kShiftRightSigned:
        return number(static_cast<std::uint64_t>(x >> (b.number < 64 ? b.number : 63)));
      case kXor:
        return number(a.number ^ b.number);
      case kEqual:
        return number(x == y);
      case kAtLeast:
        return number(x >= y);
      case kGreater:
        return number(x > y);
      case kAtMost:
        return number(x <= y);
      case kLess:
        return number(x < y);
      case kNotEqual:
        return number(x != y);
      default:
        return unsupported;
    }
  };

  for (unsigned steps = 0; !bytes.done(); ++steps) {
    if (steps == kMostSteps || depth == kMostValues) {
      return unsupported;
    }
    const std::uint8_t op = bytes.take<std::uint8_t>();
    Value pushed = unsupported;
    if (op >= kLiteral0 && op <= kLiteral0 + 31) {
      pushed = number(std::uint64_t{op} - kLiteral0);
    } else if (op >= kBaseRegister0 && op <= kBaseRegister0 + 31) {
      pushed = of_register(std::uint64_t{op} - kBaseRegister0, bytes.sleb());
    } else {
      switch (op) {
        case kAddress:
        case kConst8u:
        case kConst8s:
          pushed = number(bytes.take<std::uint64_t>());
          break;
        case kConst1u:
          pushed = number(bytes.take<std::uint8_t>());
          break;
        case kConst1s:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int8_t>()}));
          break;
        case kConst2u:
          pushed = number(bytes.take<std::uint16_t>());
          break;
        case kConst2s:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int16_t>()}));
          break;
        case kConst4u:
          pushed = number(bytes.take<std::uint32_t>());
          break;
        case kConst4s:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int32_t>()}));
          break;
        case kConstU:
          pushed = number(bytes.uleb());
          break;
        case kConstS:
          pushed = number(static_cast<std::uint64_t>(bytes.sleb()));
          break;
        case kBaseRegisterX: {
          const std::uint64_t reg = bytes.uleb();
          pushed = of_register(reg, bytes.sleb());
          break;
        }
        case kDup:
        case kOver:
        case kPick: {
          const unsigned back = op == kDup ? 0 : op == kOver ? 1 : bytes.take<std::uint8_t>();
          if (back >= depth) return unsupported;
          pushed = stack[depth - 1 - back];
          break;
        }
        case kDrop:
          if (depth == 0) return unsupported;
          --depth;
          continue;
        case kSwap: {
          if (depth < 2) return unsupported;
          const Value top = stack[depth - 1];
          stack[depth - 1] = stack[depth - 2];
          stack[depth - 2] = top;
          continue;
        }
        case kDeref:
          if (depth == 0) return unsupported;
          pushed = stored_at(stack[--depth]);
          break;
        case kPlusConst:
          if (depth == 0) return unsupported;
          pushed = combined(kPlus, stack[--depth], number(bytes.uleb()));
          break;
        case kNeg:
        case kNot: {
          if (depth == 0 || stack[depth - 1].form != Value::kNumber) return unsupported;
          const std::uint64_t value = stack[--depth].number;
          pushed = number(op == kNeg ? 0 - value : ~value);
          break;
        }
        case kBranch:
        case kSkip: {
          const std::int16_t distance = bytes.take<std::int16_t>();
          bool jump = true;
          if (op == kBranch) {
            if (depth == 0 || stack[depth - 1].form != Value::kNumber) return unsupported;
            jump = stack[--depth].number != 0;
          }
          const std::int64_t target = bytes.at() - expression.begin + distance;
          if (bytes.bad() || target < 0 || target > static_cast<std::int64_t>(expression.size)) return unsupported;
          if (jump) bytes = Bytes(expression.begin + target, end);
          continue;
        }
        case kNop:
          continue;
        default:
          if (depth < 2) return unsupported;
          depth -= 2;
          pushed = combined(op, stack[depth], stack[depth + 1]);
          break;
      }
    }
    if (pushed.form == Value::kUnsupported) {
      return unsupported;
    }
    stack[depth++] = pushed;
  }
  return bytes.bad() || depth == 0 ? unsupported : stack[depth - 1];
}

}  // namespace camprobe::sampler
