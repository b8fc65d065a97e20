// sampler/unwind.cc: see unwind.h.
//
// The loop: look the pc up in the cache (learn() reads the module's call frame information the first time), step to the
// caller by what it says, record. The stack pointer must rise with every step but the one over a signal frame, and the
// steps are counted, so no stack, however corrupt, keeps a walk busy.
#include "sampler/unwind.h"

#include "sampler/unwind_cache.h"
#include "sampler/unwind_cfi.h"
#include "sampler/unwind_memory.h"
#include "sampler/unwind_modules.h"
#include "sampler/unwind_registers.h"
#include "sampler/unwind_row.h"
#include "sampler/unwind_rule.h"
#include "sampler/unwind_signal_frame.h"

namespace camprobe::sampler {
namespace {

constexpr std::uintptr_t kLargestPlainFrame =
    128 << 10;  // a frame pointer further away than this is somebody's loop counter

#if defined(__x86_64__)

// Half a megabyte of zero pages, of which a page becomes real when a pc falls into it.
constinit RuleCache<15> cache{};

// What became of one frame.
enum class Step : std::uint8_t { caller, interrupted, root, no_rule, bad_frame, closing };

bool is_code_address(std::uint64_t pc) {
  return pc >= kLowestAddress && pc < kUserSpaceEnd;
}

// Compares the code at `pc` with `pattern`.
CAMPROBE_READS_STACKS bool code_is(std::uintptr_t pc, const std::uint8_t* pattern, unsigned size, StackMemory* memory) {
  if (!memory->code_is_readable(pc, size)) {
    return false;
  }
  const volatile std::uint8_t* code = reinterpret_cast<const volatile std::uint8_t*>(pc);
  for (unsigned i = 0; i < size; ++i) {
    if (code[i] != pattern[i]) {
      return false;
    }
  }
  return true;
}

template <unsigned N>
bool code_is(std::uintptr_t pc, const std::uint8_t (&pattern)[N], StackMemory* memory) {
  return code_is(pc, pattern, N, memory);
}

// The caller is the frame whose return address is at `slot`; no register but the stack pointer changed.
bool return_through(std::uintptr_t slot, Registers* registers, StackMemory* memory) {
  std::uint64_t pc;
  if (!memory->read(slot, &pc) || (pc != 0 && !is_code_address(pc))) {
    return false;
  }
  registers->value[kReturnAddress] = pc;
  registers->value[kRsp] = slot + 8;
  registers->known &= Registers::kPreserved;
  return true;
}

// Steps by the chain that `push rbp; mov rbp, rsp` builds.
bool step_by_frame_pointer(Registers* registers, StackMemory* memory) {
  const std::uint64_t frame = registers->value[kRbp];
  std::uint64_t caller_frame;
  std::uint64_t pc;
  if (frame % 8 != 0 || frame < registers->value[kRsp] || frame - registers->value[kRsp] > kLargestPlainFrame ||
      !memory->read(frame, &caller_frame) || !memory->read(frame + 8, &pc) || (pc != 0 && !is_code_address(pc))) {
    return false;
  }
  registers->value[kRbp] = caller_frame;
  registers->value[kRsp] = frame + 16;
  registers->value[kReturnAddress] = pc;
  registers->known &= Registers::kFrame;
  return true;
}

// Steps over the kernel's signal frame.
bool step_by_signal_frame(Registers* registers, StackMemory* memory) {
  const std::uintptr_t context = registers->value[kRsp];
  Registers interrupted;
  for (std::uint32_t reg = 0; reg < kRegisters; ++reg) {
    if (!memory->read(context + kSignalFrameRegister[reg], &interrupted.value[reg])) {
      return false;
    }
  }
  interrupted.known = Registers::kAll;
  *registers = interrupted;
  return true;
}

// The interrupted instruction has no call frame information: a JIT's, hand-written assembly, a PLT that lld made, or no
// code at all. Where the code shows that the frame is not built yet, or is gone already, the return address is on top
// of the stack and the frame pointer would skip the caller.
bool step_from_bare_leaf(Registers* registers, StackMemory* memory) {
  static constexpr std::uint8_t kPushFrame[] = {0x55};
  static constexpr std::uint8_t kMoveFrame[] = {0x55, 0x48, 0x89, 0xe5};   // push rbp; mov rbp, rsp
  static constexpr std::uint8_t kMoveFrame2[] = {0x55, 0x48, 0x8b, 0xec};  // the same in V8's encoding
  static constexpr std::uint8_t kReturn[] = {0xc3};
  static constexpr std::uint8_t kReturnPopping[] = {0xc2};
  static constexpr std::uint8_t kEnterBranch[] = {0xf3, 0x0f, 0x1e, 0xfa};  // endbr64
  static constexpr std::uint8_t kJumpByTable[] = {0xff, 0x25};              // jmp *got(rip)
  static constexpr std::uint8_t kJumpByTableBnd[] = {0xf2, 0xff, 0x25};
  static constexpr std::uint8_t kPushIndex[] = {0x68};  // push $index; jmp plt0
  static constexpr std::uint8_t kJump[] = {0xe9};
  const std::uintptr_t pc = registers->value[kReturnAddress];
  const std::uintptr_t sp = registers->value[kRsp];
  if (!is_code_address(pc) || !memory->code_is_readable(pc, 1)) {
    return return_through(sp, registers, memory);  // a call through a wild pointer
  }
  if (code_is(pc, kPushFrame, memory) || code_is(pc, kReturn, memory) || code_is(pc, kReturnPopping, memory) ||
      code_is(pc, kEnterBranch, memory) || code_is(pc, kJumpByTable, memory) || code_is(pc, kJumpByTableBnd, memory) ||
      (code_is(pc, kPushIndex, memory) && code_is(pc + 5, kJump, memory))) {
    return return_through(sp, registers, memory);
  }
  if (code_is(pc - 1, kMoveFrame, memory) || code_is(pc - 1, kMoveFrame2, memory) ||
      (code_is(pc, kJump, memory) && code_is(pc - 5, kPushIndex, memory))) {
    std::uint64_t saved_frame;
    return memory->read(sp, &saved_frame) && return_through(sp + 8, registers, memory);
  }
  return step_by_frame_pointer(registers, memory);
}

// Steps over a frame without call frame information.
Step step_bare(Registers* registers, bool is_leaf, StackMemory* memory) {
  // Zero ends a chain that was followed here; in a function that keeps no chain it is just a number.
  const bool chain_ends = registers->value[kRbp] == 0 && registers->known == Registers::kFrame;
  if (is_leaf ? step_from_bare_leaf(registers, memory) : step_by_frame_pointer(registers, memory)) {
    return Step::caller;
  }
  // Go, musl and other runtimes bring a signal trampoline without call frame information; the kernel's interface is its
  // code.
  static constexpr std::uint8_t kTrampoline[] = {0x48, 0xc7, 0xc0, 0x0f, 0,
                                                 0,    0,    0x0f, 0x05};  // mov $15, %rax; syscall
  static constexpr std::uint8_t kTrampoline2[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
  const std::uintptr_t pc = registers->value[kReturnAddress];
  if (is_code_address(pc) && (code_is(pc, kTrampoline, memory) || code_is(pc, kTrampoline2, memory))) {
    return step_by_signal_frame(registers, memory) ? Step::interrupted : Step::bad_frame;
  }
  return chain_ends ? Step::root : Step::no_rule;
}

// Steps by a rule that the cache can hold. Inlined into the loop: this is the warm path.
[[gnu::always_inline]] inline Step step_by_rule(Rule rule, Registers* registers, StackMemory* memory) {
  const std::uint8_t from = rule.cfa_register();
  if ((registers->known >> from & 1) == 0) [[unlikely]] {
    return Step::no_rule;
  }
  const std::uint64_t frame_pointer = registers->value[kRbp];
  std::uint64_t cfa = registers->value[from] + static_cast<std::uint64_t>(rule.cfa_offset());
  if (rule.kind() == RuleKind::kCallRealigned && !memory->read(cfa, &cfa)) [[unlikely]] {
    return Step::bad_frame;
  }
  if (cfa <= registers->value[kRsp]) [[unlikely]] {
    return Step::bad_frame;
  }
  // GCC does not say when the epilogue of a realigned function has restored rbp and the registers saved relative to it.
  // They are back where they belong once rbp points out of the frame.
  const bool by_frame_pointer = rule.saves_by_frame_pointer();
  const bool restored = by_frame_pointer && (frame_pointer < registers->value[kRsp] || frame_pointer >= cfa);
  if (rule.saves_anything() && !restored) {
    const std::uint64_t base = by_frame_pointer ? frame_pointer + 8 : cfa;
    for (std::uint32_t i = 0; i < kSavedRegisters; ++i) {
      const std::uint32_t word = rule.saved_word(i);
      if (word != 0 && !memory->read(base - std::uint64_t{8} * word, &registers->value[kSaved[i]])) [[unlikely]] {
        return Step::bad_frame;
      }
    }
  }
  if (!memory->read(cfa - 8, &registers->value[kReturnAddress])) [[unlikely]] {
    return Step::bad_frame;
  }
  registers->value[kRsp] = cfa;
  registers->known &= Registers::kPreserved;
  return Step::caller;
}

// What the cache does not answer: a pc met for the first time, a frame without call frame information, a rule too long
// to keep.
[[gnu::noinline, gnu::cold]] Step step_slowly(Rule rule, std::uintptr_t lookup, bool is_leaf, Generation generation,
                                              Registers* registers, StackMemory* memory) {
  if (rule.kind() == RuleKind::kNoEntry) {
    const Step step = step_bare(registers, is_leaf, memory);
    return step == Step::root ? Step::no_rule : step;  // ahead-of-time code owes nobody a zero frame pointer
  }
  if (rule.kind() == RuleKind::kSignal) {
    return step_by_signal_frame(registers, memory) ? Step::interrupted : Step::bad_frame;
  }
  if (rule.kind() == RuleKind::kUnusable) {
    return Step::no_rule;
  }
  Module module;
  const ModuleReader reader;  // before the look-up: what it finds must stay mapped while it is read
  if (!is_code_address(lookup) || !find_module(lookup, &module)) {
    return step_bare(registers, is_leaf, memory);
  }
  if (!reader.may_read() && !stays_loaded(module)) {
    return Step::closing;
  }
  Row row;
  RowStatus status = RowStatus::no_entry;
  if (module.eh_frame_header != 0) {
    const Image image = image_of(module);
    status = find_row(image, module.eh_frame_header, lookup, &row);
    if (status == RowStatus::no_entry && !is_leaf &&
        find_row(image, module.eh_frame_header, lookup + 1, &row) == RowStatus::found) {
      // No call ends where a function begins: somebody wrote this return address by hand, below a coroutine's first
      // function. (The C library's __start_context has call frame information, but it does not say that nobody called
      // it.)
      cache.keep(lookup, generation, Rule(RuleKind::kRoot));
      return Step::root;
    }
  }
  if (rule.kind() == RuleKind::kUnknown) {
    rule = status == RowStatus::found             ? pack(row, lookup)
           : status == RowStatus::unsupported     ? Rule(RuleKind::kUnusable)
           : !is_leaf && is_program_entry(lookup) ? Rule(RuleKind::kRoot)
                                                  : Rule(RuleKind::kNoEntry);
    cache.keep(lookup, generation, rule);
  }
  switch (rule.kind()) {
    case RuleKind::kCall:
    case RuleKind::kCallRealigned:
      return step_by_rule(rule, registers, memory);
    case RuleKind::kRoot:
      return Step::root;
    case RuleKind::kFull:
      break;
    default:
      return step_slowly(rule, lookup, is_leaf, generation, registers, memory);
  }
  const std::uint64_t sp = registers->value[kRsp];
  if (status != RowStatus::found || !step_by_row(row, registers, memory)) {
    return Step::bad_frame;
  }
  if (row.is_signal_frame) {
    return Step::interrupted;
  }
  return registers->value[kRsp] > sp ? Step::caller : Step::bad_frame;
}

// Where a walk begins recording.
struct Start {
  std::uint32_t skip;    // frames to leave out
  std::uintptr_t above;  // frames whose stack pointer is below this are left out
  bool interrupted;      // the first pc is the interrupted instruction, and recorded
};

Walk walk(Registers* registers, std::uintptr_t* out, std::uint32_t max, StackBounds bounds, Start start) {
  const Generation generation = module_generation();
  StackMemory memory(bounds, registers->value[kRsp]);
  std::uint32_t depth = 0;
  std::uint64_t steps = std::uint64_t{max} + start.skip + 64;  // and the frames below `above`
  bool interrupted = start.interrupted;
  bool has_passed_handler = false;
  if (interrupted) {
    if (max == 0) {
      return {0, WalkEnd::truncated_depth};
    }
    out[depth++] = registers->value[kReturnAddress];
  }
  for (;;) {
    // A call that never returns may be its function's last instruction, so a return address may already be the next
    // function's.
    const std::uintptr_t lookup = registers->value[kReturnAddress] - (interrupted ? 0 : 1);
    const Rule rule = cache.find(lookup, generation);
    Step step;
    if (rule.kind() == RuleKind::kCall || rule.kind() == RuleKind::kCallRealigned) [[likely]] {
      step = step_by_rule(rule, registers, &memory);
    } else if (rule.kind() == RuleKind::kRoot) {
      step = Step::root;
    } else {
      step = step_slowly(rule, lookup, interrupted, generation, registers, &memory);
    }
    std::uint64_t pc = registers->value[kReturnAddress];
    if (step != Step::caller) [[unlikely]] {
      switch (step) {
        case Step::root:
          return {depth, WalkEnd::root, has_passed_handler || !modules_are_known()};
        case Step::no_rule:
          if (!interrupted && depth > 0 && !memory.code_is_readable(lookup, 1)) {
            return {depth - 1,
                    WalkEnd::bad_frame};  // never was a return address: the stack is overwritten or being rewritten
          }
          return {depth, WalkEnd::no_rule};
        case Step::closing:
          return {depth, WalkEnd::closing};
        case Step::interrupted:
          has_passed_handler = true;
          break;
        default:
          return {depth, WalkEnd::bad_frame};
      }
      memory.enter(registers->value[kRsp]);
      ++pc;
    } else if (pc == 0) [[unlikely]] {
      // makecontext() and hand-made stacks end so.
      return {depth, WalkEnd::root, has_passed_handler || !modules_are_known()};
    } else if (!is_code_address(pc)) [[unlikely]] {
      return {depth, WalkEnd::bad_frame};
    }
    interrupted = step == Step::interrupted;
    if (steps-- == 0) [[unlikely]] {
      return {depth, WalkEnd::bad_frame};
    }
    if (start.skip > 0) {
      --start.skip;
    } else if (registers->value[kRsp] >= start.above) [[likely]] {
      if (depth == max) {
        return {depth, WalkEnd::truncated_depth};
      }
      out[depth++] = pc;
    }
  }
}

// The registers as they are here and now. Inlined into each entry point, whose own frame the walk then starts from: its
// call frame information describes this very instruction.
#define CAMPROBE_CAPTURE_REGISTERS(registers)                                                                         \
  do {                                                                                                                \
    (registers).known = Registers::kPreserved;                                                                        \
    auto& value = (registers).value;                                                                                  \
    asm volatile(                                                                                                     \
        "movq %%rbx, %[rbx]\n\t"                                                                                      \
        "movq %%rbp, %[rbp]\n\t"                                                                                      \
        "movq %%rsp, %[rsp]\n\t"                                                                                      \
        "movq %%r12, %[r12]\n\t"                                                                                      \
        "movq %%r13, %[r13]\n\t"                                                                                      \
        "movq %%r14, %[r14]\n\t"                                                                                      \
        "movq %%r15, %[r15]\n\t"                                                                                      \
        "leaq 1f(%%rip), %%rax\n\t"                                                                                   \
        "1: movq %%rax, %[pc]\n\t"                                                                                    \
        : [rbx] "=m"(value[kRbx]), [rbp] "=m"(value[kRbp]), [rsp] "=m"(value[kRsp]), [r12] "=m"(value[kR12]),         \
          [r13] "=m"(value[kR13]), [r14] "=m"(value[kR14]), [r15] "=m"(value[kR15]), [pc] "=m"(value[kReturnAddress]) \
        :                                                                                                             \
        : "rax", "memory");                                                                                           \
  } while (false)

// Without the loader's look-up (an old glibc) only the frame pointer is left, and it must be this function's own.
void start_from_frame(Registers* registers, void* frame, void* pc) {
  registers->value[kRbp] = reinterpret_cast<std::uintptr_t>(frame);
  registers->value[kReturnAddress] = reinterpret_cast<std::uintptr_t>(pc);
}

#endif

}  // namespace

#if defined(__x86_64__)

void start_unwinding() {
  start_modules();
}

Walk walk_here(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, std::uint32_t skip) {
  Registers registers;
  CAMPROBE_CAPTURE_REGISTERS(registers);
  if (!modules_are_known()) [[unlikely]] {
    start_from_frame(&registers, __builtin_frame_address(0), reinterpret_cast<void*>(&walk_here));
  }
  return walk(&registers, out, max, bounds, {skip, 0, false});
}

Walk walk_above(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, void* hook_frame) {
  Registers registers;
  CAMPROBE_CAPTURE_REGISTERS(registers);
  if (!modules_are_known()) [[unlikely]] {
    start_from_frame(&registers, __builtin_frame_address(0), reinterpret_cast<void*>(&walk_above));
  }
  return walk(&registers, out, max, bounds, {0, reinterpret_cast<std::uintptr_t>(hook_frame), false});
}

Walk walk_context(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, const ucontext_t* context) {
  const auto& saved = context->uc_mcontext.gregs;
  Registers registers;
  registers.known = Registers::kAll;
  static constexpr std::uint8_t kIndex[kRegisters] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                      REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                      REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (std::uint32_t reg = 0; reg < kRegisters; ++reg) {
    registers.value[reg] = static_cast<std::uint64_t>(saved[kIndex[reg]]);
  }
  return walk(&registers, out, max, bounds, {0, 0, true});
}

#else  // aarch64: the ABI's frame records, {caller's x29, return address} at x29, which distributions compile
       // everything with

namespace {

Walk walk_frame_records(std::uint64_t frame, std::uint64_t stack_pointer, std::uintptr_t* out, std::uint32_t depth,
                        std::uint32_t max, StackBounds bounds, std::uint32_t skip, std::uintptr_t above) {
  StackMemory memory(bounds, stack_pointer);
  for (std::uint64_t lowest = stack_pointer;;) {
    std::uint64_t caller_frame;
    std::uint64_t pc;
    if (frame == 0) {
      return {depth, WalkEnd::root, true};
    }
    if (frame % 8 != 0 || frame < lowest || frame - lowest > kLargestPlainFrame || !memory.read(frame, &caller_frame) ||
        !memory.read(frame + 8, &pc)) {
      return {depth, WalkEnd::no_rule};
    }
    if (pc == 0) {
      return {depth, WalkEnd::root, true};
    }
    if (skip > 0) {
      --skip;
    } else if (frame + 16 >= above) {
      if (depth == max) {
        return {depth, WalkEnd::truncated_depth};
      }
      out[depth++] = pc;
    }
    lowest = frame + 16;
    frame = caller_frame;
  }
}

}  // namespace

void start_unwinding() {}

Walk walk_here(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, std::uint32_t skip) {
  const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return walk_frame_records(frame, frame, out, 0, max, bounds, skip, 0);
}

Walk walk_above(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, void* hook_frame) {
  const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return walk_frame_records(frame, frame, out, 0, max, bounds, 0, reinterpret_cast<std::uintptr_t>(hook_frame));
}

Walk walk_context(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, const ucontext_t* context) {
  if (max == 0) {
    return {0, WalkEnd::truncated_depth};
  }
  out[0] = context->uc_mcontext.pc;
  return walk_frame_records(context->uc_mcontext.regs[29], context->uc_mcontext.sp, out, 1, max, bounds, 0, 0);
}

#endif

}  // namespace camprobe::sampler
