// sampler/unwind_signal_frame.h
//
// Where the kernel's x86-64 signal frame keeps the interrupted registers: it is a ucontext_t at the stack pointer of
// the trampoline that the handler returns to.
#pragma once

#include "sampler/unwind_registers.h"

namespace camprobe::sampler {

// Bytes from the ucontext_t to each register, by DWARF number: uc_mcontext.gregs stands at 40 and holds
// r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
inline constexpr std::uint8_t kSignalFrameRegister[kRegisters] = {
    40 + 8 * 13, 40 + 8 * 12, 40 + 8 * 14, 40 + 8 * 11, 40 + 8 * 9, 40 + 8 * 8, 40 + 8 * 10, 40 + 8 * 15, 40 + 8 * 0,
    40 + 8 * 1,  40 + 8 * 2,  40 + 8 * 3,  40 + 8 * 4,  40 + 8 * 5, 40 + 8 * 6, 40 + 8 * 7,  40 + 8 * 16,
};

}  // namespace camprobe::sampler
