// tests/sampler/unwind_jit.h
//
// Machine code that no module holds, with a frame-pointer chain and nothing else, as a JIT makes it.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "tests/sampler/unwind_functions.h"

namespace camprobe::sampler {

class JitCode {
 public:
  JitCode() : page_(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    static constexpr std::uint8_t kCode[] = {
        0x55,                                      // push rbp
        0x48, 0x89, 0xe5,                          // mov rbp, rsp
        0x53, 0x53,                                // push rbx; push rbx
        0x48, 0xc7, 0xc3, 0xff, 0xff, 0xff, 0xff,  // mov rbx, -1
        0x48, 0x89, 0xf8,                          // mov rax, rdi
        0x48, 0x89, 0xf7,                          // mov rdi, rsi
        0xff, 0xd0,                                // call rax
        0x5b, 0x5b,                                // pop rbx; pop rbx
        0x5d,                                      // pop rbp
        0xc3,                                      // ret
    };
    if (page_ == MAP_FAILED) {
      throw std::runtime_error("no page for code");
    }
    std::memcpy(page_, kCode, sizeof(kCode));
    mprotect(page_, 4096, PROT_READ | PROT_EXEC);
  }
  ~JitCode() { munmap(page_, 4096); }
  JitCode(const JitCode&) = delete;
  JitCode& operator=(const JitCode&) = delete;

  // Calls `visit` from the code.
  void call(Visit visit, void* argument) const { reinterpret_cast<void (*)(Visit, void*)>(page_)(visit, argument); }
  std::uintptr_t return_address() const { return reinterpret_cast<std::uintptr_t>(page_) + 21; }

 private:
  void* page_;
};

}  // namespace camprobe::sampler
