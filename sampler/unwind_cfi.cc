// sampler/unwind_cfi.cc: see unwind_cfi.h.
#include "sampler/unwind_cfi.h"

namespace camprobe::sampler {
namespace {

// Operations (DW_CFA_*, in DWARF 5 section 7.24): three that are told by their upper two bits, and the others.
enum : std::uint8_t { kAdvance = 1, kOffset = 2, kRestore = 3 };
enum : std::uint8_t {
  kNop = 0x00,
  kSetLocation = 0x01,
  kAdvance1 = 0x02,
  kAdvance2 = 0x03,
  kAdvance4 = 0x04,
  kOffsetExtended = 0x05,
  kRestoreExtended = 0x06,
  kUndefined = 0x07,
  kSameValue = 0x08,
  kRegister = 0x09,
  kRememberState = 0x0a,
  kRestoreState = 0x0b,
  kDefineCfa = 0x0c,
  kDefineCfaRegister = 0x0d,
  kDefineCfaOffset = 0x0e,
  kDefineCfaExpression = 0x0f,
  kExpression = 0x10,
  kOffsetExtendedSigned = 0x11,
  kDefineCfaSigned = 0x12,
  kDefineCfaOffsetSigned = 0x13,
  kValueOffset = 0x14,
  kValueOffsetSigned = 0x15,
  kValueExpression = 0x16,
  kGnuArgsSize = 0x2e,
};

constexpr unsigned kMostSavedRows = 4;  // DW_CFA_remember_state nests once or twice

// What a CFA program changes.
struct State {
  RegisterRule rules[kRegisters];
  Expression cfa_expression;
  std::int64_t cfa_offset;
  std::uint32_t cfa_register;
};

struct Program {
  State now;
  State saved[kMostSavedRows];
  unsigned depth = 0;

  bool set(std::uint64_t reg, RegisterRule::Kind kind, std::int64_t offset = 0) {
    if (reg < kRegisters) {
      now.rules[reg] = {kind, static_cast<std::int32_t>(offset)};
    }  // others (vector registers) are none of our business
    return offset == static_cast<std::int32_t>(offset);
  }

  // Runs until the row for `pc` is complete. `initial` is null while the CIE's own program runs.
  bool run(Bytes bytes, const Cie& cie, const State* initial, std::uint64_t location, std::uint64_t pc,
           std::uintptr_t header, const std::uint8_t* base);
};

bool Program::run(Bytes bytes, const Cie& cie, const State* initial, std::uint64_t location, std::uint64_t pc,
                  std::uintptr_t header, const std::uint8_t* base) {
  const auto scaled = [&](std::int64_t factor) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(factor) * static_cast<std::uint64_t>(cie.data_align));
  };
  const auto restore = [&](std::uint64_t reg) {
    if (initial == nullptr) return false;
    if (reg < kRegisters) now.rules[reg] = initial->rules[reg];
    return true;
  };
  const auto at_expression = [&](std::uint64_t reg, RegisterRule::Kind kind) {
    const std::int64_t offset = bytes.at() - base;
    bytes.expression();
    return set(reg, kind, offset);
  };
  while (!bytes.done()) {
    const std::uint8_t op = bytes.take<std::uint8_t>();
    const std::uint8_t low = op & 0x3f;
    bool fine = true;
    std::uint64_t reg;
    switch (op >> 6) {
      case kAdvance:
        location += low * cie.code_align;
        if (location > pc) return true;
        continue;
      case kOffset:
        if (!set(low, RegisterRule::kAtOffset, scaled(static_cast<std::int64_t>(bytes.uleb())))) return false;
        continue;
      case kRestore:
        if (!restore(low)) return false;
        continue;
      default:
        break;
    }
    switch (op) {
      case kNop:
        break;
      case kSetLocation:
        location = bytes.encoded(cie.pointer_encoding, header);
        break;
      case kAdvance1:
        location += bytes.take<std::uint8_t>() * cie.code_align;
        break;
      case kAdvance2:
        location += bytes.take<std::uint16_t>() * cie.code_align;
        break;
      case kAdvance4:
        location += bytes.take<std::uint32_t>() * cie.code_align;
        break;
      case kOffsetExtended:
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kAtOffset, scaled(static_cast<std::int64_t>(bytes.uleb())));
        break;
      case kRestoreExtended:
        fine = restore(bytes.uleb());
        break;
      case kUndefined:
        fine = set(bytes.uleb(), RegisterRule::kUndefined);
        break;
      case kSameValue:
        fine = set(bytes.uleb(), RegisterRule::kSame);
        break;
      case kRegister:
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kRegister, static_cast<std::int64_t>(bytes.uleb()));
        break;
      case kRememberState:
        if (depth == kMostSavedRows) return false;
        saved[depth++] = now;
        break;
      case kRestoreState:
        if (depth == 0) return false;
        now = saved[--depth];
        break;
      case kDefineCfa:
      case kDefineCfaSigned:
        now.cfa_register = static_cast<std::uint32_t>(bytes.uleb());
        now.cfa_offset = op == kDefineCfa ? static_cast<std::int64_t>(bytes.uleb()) : scaled(bytes.sleb());
        now.cfa_expression = {nullptr, 0};
        break;
      case kDefineCfaRegister:
        now.cfa_register = static_cast<std::uint32_t>(bytes.uleb());
        fine = now.cfa_expression.begin == nullptr;
        break;
      case kDefineCfaOffset:
      case kDefineCfaOffsetSigned:
        now.cfa_offset = op == kDefineCfaOffset ? static_cast<std::int64_t>(bytes.uleb()) : scaled(bytes.sleb());
        fine = now.cfa_expression.begin == nullptr;
        break;
      case kDefineCfaExpression:
        now.cfa_expression = bytes.expression();
        break;
      case kExpression:
        fine = at_expression(bytes.uleb(), RegisterRule::kAtExpression);
        break;
      case kValueExpression:
        fine = at_expression(bytes.uleb(), RegisterRule::kIsExpression);
        break;
      case kOffsetExtendedSigned:
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kAtOffset, scaled(bytes.sleb()));
        break;
      case kValueOffset:
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kIsOffset, scaled(static_cast<std::int64_t>(bytes.uleb())));
        break;
      case kValueOffsetSigned:
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kIsOffset, scaled(bytes.sleb()));
        break;
      case kGnuArgsSize:
        bytes.uleb();
        break;  // for landing pads only
      default:
        return false;
    }
    if (!fine) {
      return false;
    }
    if (op >= kSetLocation && op <= kAdvance4 && location > pc) {
      return !bytes.bad();
    }
  }
  return !bytes.bad();
}

}  // namespace

RowStatus find_row(const Image& image, std::uintptr_t header, std::uintptr_t pc, Row* row) {
  FunctionEntry entry;
  const RowStatus status = find_entry(image, header, pc, &entry);
  if (status != RowStatus::found) {
    return status;
  }
  const Cie& cie = entry.cie;
  Program program{};
  // The CIE's program has no locations of its own: it runs to its end. Expressions in it would need a base of their
  // own, and no compiler writes one there.
  if (!program.run(cie.program, cie, nullptr, 0, ~std::uint64_t{0}, header, entry.base)) {
    return RowStatus::unsupported;
  }
  const State initial = program.now;
  if (!program.run(entry.program, cie, &initial, entry.begin, pc, header, entry.base)) {
    return RowStatus::unsupported;
  }
  __builtin_memcpy(row->rules, program.now.rules, sizeof(row->rules));
  row->cfa_expression = program.now.cfa_expression;
  row->cfa_offset = program.now.cfa_offset;
  row->cfa_register = program.now.cfa_register;
  row->is_signal_frame = cie.is_signal_frame;
  row->base = entry.base;
  row->limit = entry.limit;
  return RowStatus::found;
}

}  // namespace camprobe::sampler
