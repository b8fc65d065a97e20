// sampler/unwind_cfi.cc: see unwind_cfi.h.
#include "sampler/unwind_cfi.h"

namespace camprobe::sampler {
namespace {

// Pointer encodings (Linux Standard Base, "DWARF Exception Header Encoding").
enum : std::uint8_t {
  kEncAbsolute = 0x00,
  kEncUleb = 0x01,
  kEncU2 = 0x02,
  kEncU4 = 0x03,
  kEncU8 = 0x04,  // clang-format off
  kEncSleb = 0x09, kEncS2 = 0x0a, kEncS4 = 0x0b, kEncS8 = 0x0c,
  kEncPcRelative = 0x10, kEncDataRelative = 0x30, kEncIndirect = 0x80, kEncOmit = 0xff,  // clang-format on
};

// Takes values off a range of bytes. After a read past its end it is `bad` and yields zeros.
class Bytes {
 public:
  Bytes(const std::uint8_t* begin, const std::uint8_t* end) : at_(begin), end_(end) {}

  bool bad() const { return bad_; }
  bool done() const { return bad_ || at_ >= end_; }
  const std::uint8_t* at() const { return at_; }
  const std::uint8_t* end() const { return end_; }

  template <typename T>
  T take() {
    T value{};
    if (static_cast<std::uintptr_t>(end_ - at_) < sizeof(T)) {
      return fail();
    }
    __builtin_memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t byte = take<std::uint8_t>();
      if (bad_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const std::uint8_t byte = take<std::uint8_t>();
      if (bad_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
        return static_cast<std::int64_t>(value);
      }
    }
  }

  // A pointer in one of the encodings above; `data` is what data-relative ones are relative to.
  std::uint64_t encoded(std::uint8_t encoding, std::uintptr_t data) {
    const std::uintptr_t here = reinterpret_cast<std::uintptr_t>(at_);
    std::uint64_t value = 0;
    switch (encoding & 0x0f) {
      case kEncAbsolute:
      case kEncU8:
      case kEncS8:
        value = take<std::uint64_t>();
        break;
      case kEncUleb:
        value = uleb();
        break;
      case kEncSleb:
        value = static_cast<std::uint64_t>(sleb());
        break;
      case kEncU2:
        value = take<std::uint16_t>();
        break;
      case kEncS2:
        value = static_cast<std::uint64_t>(std::int64_t{take<std::int16_t>()});
        break;
      case kEncU4:
        value = take<std::uint32_t>();
        break;
      case kEncS4:
        value = static_cast<std::uint64_t>(std::int64_t{take<std::int32_t>()});
        break;
      default:
        return fail();
    }
    switch (encoding & 0xf0) {
      case 0:
        return value;
      case kEncPcRelative:
        return value + here;
      case kEncDataRelative:
        return value + data;
      default:
        return fail();
    }
  }

  void skip(std::uint64_t count) {
    if (static_cast<std::uint64_t>(end_ - at_) < count) {
      fail();
    } else {
      at_ += count;
    }
  }

  // The next `size` bytes as an expression.
  Expression expression() {
    const std::uint64_t size = uleb();
    const Expression taken{at_, static_cast<std::uint32_t>(size)};
    skip(size);
    return bad_ ? Expression{nullptr, 0} : taken;
  }

  std::uint8_t fail() {
    bad_ = true;
    at_ = end_;
    return 0;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool bad_ = false;
};

// From `address` to the end of the segment that holds it; empty if none does.
Bytes bytes_at(const Image& image, std::uintptr_t address) {
  for (std::uint32_t i = 0; i < image.count; ++i) {
    const Image::Segment& segment = image.segments[i];
    if (address >= segment.low && address < segment.high) {
      return Bytes(reinterpret_cast<const std::uint8_t*>(address), reinterpret_cast<const std::uint8_t*>(segment.high));
    }
  }
  return Bytes(nullptr, nullptr);
}

// One length-prefixed record, a CIE or an FDE; `id_at` is where its second field stands, from which an FDE's CIE is
// counted back.
Bytes record_at(const Image& image, std::uintptr_t address, std::uintptr_t* id_at) {
  Bytes rest = bytes_at(image, address);
  const std::uint32_t length = rest.take<std::uint32_t>();
  *id_at = reinterpret_cast<std::uintptr_t>(rest.at());
  if (rest.bad() || length == 0 || length == 0xffffffff ||
      length > static_cast<std::uintptr_t>(rest.end() - rest.at())) {
    return Bytes(nullptr, nullptr);
  }
  return Bytes(rest.at(), rest.at() + length);
}

// The last entry of the look-up table that begins at or before `pc`: the address of its FDE, or 0.
std::uintptr_t find_in_table(const Image& image, std::uintptr_t header, std::uintptr_t pc) {
  Bytes bytes = bytes_at(image, header);
  const std::uint8_t version = bytes.take<std::uint8_t>();
  const std::uint8_t section_encoding = bytes.take<std::uint8_t>();
  const std::uint8_t count_encoding = bytes.take<std::uint8_t>();
  const std::uint8_t table_encoding = bytes.take<std::uint8_t>();
  if (version != 1 || count_encoding == kEncOmit || table_encoding != (kEncDataRelative | kEncS4)) {
    return 0;
  }
  bytes.encoded(section_encoding, header);
  std::uint64_t count = bytes.encoded(count_encoding, header);
  if (bytes.bad()) {
    return 0;
  }
  struct Entry {
    std::int32_t begin, fde;  // both relative to the header
  };
  const std::uint64_t room = static_cast<std::uint64_t>(bytes.end() - bytes.at()) / sizeof(Entry);
  count = count < room ? count : room;
  const auto entry = [&](std::uint64_t index) {
    Entry read;
    __builtin_memcpy(&read, bytes.at() + index * sizeof(Entry), sizeof(Entry));
    return read;
  };
  const std::int64_t wanted = static_cast<std::int64_t>(pc - header);
  std::uint64_t low = 0;
  while (count > 0) {
    const std::uint64_t half = count / 2;
    if (entry(low + half).begin <= wanted) {
      low += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return low == 0 ? 0 : header + static_cast<std::uint64_t>(std::int64_t{entry(low - 1).fde});
}

struct Cie {
  std::uint64_t code_align;
  std::int64_t data_align;
  std::uint8_t pointer_encoding;
  bool has_augmentation;
  bool is_signal_frame;
  Bytes program;
};

bool parse_cie(const Image& image, std::uintptr_t address, Cie* cie) {
  std::uintptr_t id_at;
  Bytes bytes = record_at(image, address, &id_at);
  const std::uint32_t id = bytes.take<std::uint32_t>();
  const std::uint8_t version = bytes.take<std::uint8_t>();
  if (bytes.bad() || id != 0 || (version != 1 && version != 3)) {
    return false;
  }
  const std::uint8_t* augmentation = bytes.at();
  while (bytes.take<std::uint8_t>() != 0) {
  }
  cie->code_align = bytes.uleb();
  cie->data_align = bytes.sleb();
  const std::uint64_t return_column = version == 1 ? bytes.take<std::uint8_t>() : bytes.uleb();
  if (bytes.bad() || return_column != kReturnAddress) {
    return false;
  }
  cie->pointer_encoding = kEncAbsolute;
  cie->is_signal_frame = false;
  cie->has_augmentation = *augmentation == 'z';
  if (!cie->has_augmentation && *augmentation != 0) {
    return false;
  }
  if (cie->has_augmentation) {
    const std::uint64_t size = bytes.uleb();
    Bytes data = bytes;
    bytes.skip(size);
    for (const std::uint8_t* letter = augmentation + 1; *letter != 0; ++letter) {
      switch (*letter) {
        case 'R':
          cie->pointer_encoding = data.take<std::uint8_t>();
          break;
        case 'L':
          data.skip(1);
          break;
        case 'P': {
          const std::uint8_t encoding = data.take<std::uint8_t>();
          data.encoded(encoding & 0x7f, 0);
          break;
        }
        case 'S':
          cie->is_signal_frame = true;
          break;
        default:
          return false;
      }
    }
    if (data.bad()) {
      return false;
    }
  }
  cie->program = bytes;
  return !bytes.bad();
}

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
      case 1:  // DW_CFA_advance_loc
        location += low * cie.code_align;
        if (location > pc) return true;
        continue;
      case 2:  // DW_CFA_offset
        if (!set(low, RegisterRule::kAtOffset, scaled(static_cast<std::int64_t>(bytes.uleb())))) return false;
        continue;
      case 3:  // DW_CFA_restore
        if (!restore(low)) return false;
        continue;
      default:
        break;
    }
    switch (op) {
      case 0x00:
        break;  // DW_CFA_nop
      case 0x01:
        location = bytes.encoded(cie.pointer_encoding, header);
        break;
      case 0x02:
        location += bytes.take<std::uint8_t>() * cie.code_align;
        break;
      case 0x03:
        location += bytes.take<std::uint16_t>() * cie.code_align;
        break;
      case 0x04:
        location += bytes.take<std::uint32_t>() * cie.code_align;
        break;
      case 0x05:  // DW_CFA_offset_extended
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kAtOffset, scaled(static_cast<std::int64_t>(bytes.uleb())));
        break;
      case 0x06:
        fine = restore(bytes.uleb());
        break;
      case 0x07:
        fine = set(bytes.uleb(), RegisterRule::kUndefined);
        break;
      case 0x08:
        fine = set(bytes.uleb(), RegisterRule::kSame);
        break;
      case 0x09:  // DW_CFA_register
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kRegister, static_cast<std::int64_t>(bytes.uleb()));
        break;
      case 0x0a:  // DW_CFA_remember_state
        if (depth == kMostSavedRows) return false;
        saved[depth++] = now;
        break;
      case 0x0b:  // DW_CFA_restore_state
        if (depth == 0) return false;
        now = saved[--depth];
        break;
      case 0x0c:  // DW_CFA_def_cfa
      case 0x12:  // DW_CFA_def_cfa_sf
        now.cfa_register = static_cast<std::uint32_t>(bytes.uleb());
        now.cfa_offset = op == 0x0c ? static_cast<std::int64_t>(bytes.uleb()) : scaled(bytes.sleb());
        now.cfa_expression = {nullptr, 0};
        break;
      case 0x0d:  // DW_CFA_def_cfa_register
        now.cfa_register = static_cast<std::uint32_t>(bytes.uleb());
        fine = now.cfa_expression.begin == nullptr;
        break;
      case 0x0e:  // DW_CFA_def_cfa_offset
      case 0x13:  // DW_CFA_def_cfa_offset_sf
        now.cfa_offset = op == 0x0e ? static_cast<std::int64_t>(bytes.uleb()) : scaled(bytes.sleb());
        fine = now.cfa_expression.begin == nullptr;
        break;
      case 0x0f:  // DW_CFA_def_cfa_expression
        now.cfa_expression = bytes.expression();
        break;
      case 0x10:
        fine = at_expression(bytes.uleb(), RegisterRule::kAtExpression);
        break;
      case 0x16:
        fine = at_expression(bytes.uleb(), RegisterRule::kIsExpression);
        break;
      case 0x11:  // DW_CFA_offset_extended_sf
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kAtOffset, scaled(bytes.sleb()));
        break;
      case 0x14:  // DW_CFA_val_offset
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kIsOffset, scaled(static_cast<std::int64_t>(bytes.uleb())));
        break;
      case 0x15:  // DW_CFA_val_offset_sf
        reg = bytes.uleb();
        fine = set(reg, RegisterRule::kIsOffset, scaled(bytes.sleb()));
        break;
      case 0x2e:
        bytes.uleb();
        break;  // DW_CFA_GNU_args_size: for landing pads only
      default:
        return false;
    }
    if (!fine) {
      return false;
    }
    if (op >= 0x01 && op <= 0x04 && location > pc) {
      return !bytes.bad();
    }
  }
  return !bytes.bad();
}

}  // namespace

RowStatus find_row(const Image& image, std::uintptr_t header, std::uintptr_t pc, Row* row) {
  const std::uintptr_t fde_at = find_in_table(image, header, pc);
  std::uintptr_t id_at;
  Bytes fde = record_at(image, fde_at, &id_at);
  const std::uint32_t back_to_cie = fde.take<std::uint32_t>();
  if (fde.bad() || back_to_cie == 0) {
    return RowStatus::no_entry;
  }
  Cie cie{0, 0, 0, false, false, Bytes(nullptr, nullptr)};
  if (!parse_cie(image, id_at - back_to_cie, &cie) || (cie.pointer_encoding & kEncIndirect) != 0) {
    return RowStatus::unsupported;
  }
  const std::uint64_t begin = fde.encoded(cie.pointer_encoding, header);
  const std::uint64_t length = fde.encoded(cie.pointer_encoding & 0x0f, header);
  if (cie.has_augmentation) {
    fde.skip(fde.uleb());
  }
  if (fde.bad()) {
    return RowStatus::unsupported;
  }
  if (pc - begin >= length) {
    return RowStatus::no_entry;
  }
  const std::uint8_t* base = reinterpret_cast<const std::uint8_t*>(fde_at);
  Program program{};
  // The CIE's program has no locations of its own: it runs to its end. Expressions in it would need a base of their
  // own, and no compiler writes one there.
  if (!program.run(cie.program, cie, nullptr, 0, ~std::uint64_t{0}, header, base)) {
    return RowStatus::unsupported;
  }
  const State initial = program.now;
  if (!program.run(fde, cie, &initial, begin, pc, header, base)) {
    return RowStatus::unsupported;
  }
  __builtin_memcpy(row->rules, program.now.rules, sizeof(row->rules));
  row->cfa_expression = program.now.cfa_expression;
  row->cfa_offset = program.now.cfa_offset;
  row->cfa_register = program.now.cfa_register;
  row->is_signal_frame = cie.is_signal_frame;
  row->base = base;
  row->limit = bytes_at(image, fde_at).end();
  return RowStatus::found;
}

Expression expression_of(const Row& row, const RegisterRule& rule) {
  if (rule.offset < 0 || rule.offset >= row.limit - row.base) {
    return {nullptr, 0};
  }
  return Bytes(row.base + rule.offset, row.limit).expression();
}

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
    if (op == 0x22) {  // DW_OP_plus
      if (linear) return Value{a.form, a.reg, a.number + b.number};
      if (a.form == Value::kNumber && b.form == Value::kRegisterPlus) return Value{b.form, b.reg, a.number + b.number};
    }
    if (op == 0x1c && linear) return Value{a.form, a.reg, a.number - b.number};
    if (a.form != Value::kNumber || b.form != Value::kNumber) return unsupported;
    const std::int64_t x = static_cast<std::int64_t>(a.number);
    const std::int64_t y = static_cast<std::int64_t>(b.number);
    switch (op) {
      case 0x1a:
        return number(a.number & b.number);
      case 0x1c:
        return number(a.number - b.number);
      case 0x1e:
        return number(a.number * b.number);
      case 0x21:
        return number(a.number | b.number);
      case 0x22:
        return number(a.number + b.number);
      case 0x24:
        return number(b.number < 64 ? a.number << b.number : 0);
      case 0x25:
        return number(b.number < 64 ? a.number >> b.number : 0);
      case 0x26:
        return number(static_cast<std::uint64_t>(x >> (b.number < 64 ? b.number : 63)));
      case 0x27:
        return number(a.number ^ b.number);
      case 0x29:
        return number(x == y);
      case 0x2a:
        return number(x >= y);
      case 0x2b:
        return number(x > y);
      case 0x2c:
        return number(x <= y);
      case 0x2d:
        return number(x < y);
      case 0x2e:
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
    if (op >= 0x30 && op <= 0x4f) {  // DW_OP_lit0..31
      pushed = number(op - 0x30u);
    } else if (op >= 0x70 && op <= 0x8f) {  // DW_OP_breg0..31
      pushed = of_register(op - 0x70u, bytes.sleb());
    } else {
      switch (op) {
        case 0x03:
        case 0x0e:
        case 0x0f:
          pushed = number(bytes.take<std::uint64_t>());
          break;  // addr, const8u, const8s
        case 0x08:
          pushed = number(bytes.take<std::uint8_t>());
          break;
        case 0x09:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int8_t>()}));
          break;
        case 0x0a:
          pushed = number(bytes.take<std::uint16_t>());
          break;
        case 0x0b:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int16_t>()}));
          break;
        case 0x0c:
          pushed = number(bytes.take<std::uint32_t>());
          break;
        case 0x0d:
          pushed = number(static_cast<std::uint64_t>(std::int64_t{bytes.take<std::int32_t>()}));
          break;
        case 0x10:
          pushed = number(bytes.uleb());
          break;
        case 0x11:
          pushed = number(static_cast<std::uint64_t>(bytes.sleb()));
          break;
        case 0x92: {  // DW_OP_bregx
          const std::uint64_t reg = bytes.uleb();
          pushed = of_register(reg, bytes.sleb());
          break;
        }
        case 0x12:
        case 0x14:
        case 0x15: {  // dup, over, pick
          const unsigned back = op == 0x12 ? 0 : op == 0x14 ? 1 : bytes.take<std::uint8_t>();
          if (back >= depth) return unsupported;
          pushed = stack[depth - 1 - back];
          break;
        }
        case 0x13:  // drop
          if (depth == 0) return unsupported;
          --depth;
          continue;
        case 0x16: {  // swap
          if (depth < 2) return unsupported;
          const Value top = stack[depth - 1];
          stack[depth - 1] = stack[depth - 2];
          stack[depth - 2] = top;
          continue;
        }
        case 0x06:  // deref
          if (depth == 0) return unsupported;
          pushed = stored_at(stack[--depth]);
          break;
        case 0x23:  // plus_uconst
          if (depth == 0) return unsupported;
          pushed = combined(0x22, stack[--depth], number(bytes.uleb()));
          break;
        case 0x1f:
        case 0x20: {  // neg, not
          if (depth == 0 || stack[depth - 1].form != Value::kNumber) return unsupported;
          const std::uint64_t value = stack[--depth].number;
          pushed = number(op == 0x1f ? 0 - value : ~value);
          break;
        }
        case 0x28:
        case 0x2f: {  // bra, skip
          const std::int16_t distance = bytes.take<std::int16_t>();
          bool jump = true;
          if (op == 0x28) {
            if (depth == 0 || stack[depth - 1].form != Value::kNumber) return unsupported;
            jump = stack[--depth].number != 0;
          }
          const std::int64_t target = bytes.at() - expression.begin + distance;
          if (bytes.bad() || target < 0 || target > static_cast<std::int64_t>(expression.size)) return unsupported;
          if (jump) bytes = Bytes(expression.begin + target, end);
          continue;
        }
        case 0x96:
          continue;  // nop
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
