// sampler/unwind_memory.cc: see unwind_memory.h.
#include "sampler/unwind_memory.h"

#include <sys/syscall.h>

#include "shm/raw_syscall.h"

namespace camprobe::sampler {

// rt_sigprocmask() copies the new set before it looks at what to do with it: with a meaningless `how` it answers EFAULT
// for memory it cannot read and EINVAL for memory it can. Preferred to process_vm_readv() and to a write into a pipe
// because every seccomp filter lets it pass, it needs no descriptor, and it has no effect.
bool page_is_readable(std::uintptr_t address) {
  if (address < kLowestAddress || address >= kUserSpaceEnd) {
    return false;
  }
  constexpr long kNoSuchHow = 0x7fffffff;
  constexpr long kKernelSetSize = 8;
  constexpr long kInvalid = -22;
  return shm::raw_syscall(SYS_rt_sigprocmask, kNoSuchHow, static_cast<long>(address & ~std::uintptr_t{7}), 0,
                          kKernelSetSize) == kInvalid;
}

bool StackMemory::admit(std::uintptr_t address) {
  if (known_stack_ || address > kUserSpaceEnd - kWord) {
    return false;
  }
  const std::uintptr_t first = address & ~kPageMask;
  const std::uintptr_t end = ((address + kWord - 1) & ~kPageMask) + kPageMask + 1;
  std::uintptr_t range_end = size_ == 0 ? 0 : low_ + size_ + kWord - 1;
  if (first < low_ || first > range_end) {  // not the range's own last page, nor the one above it: a new range
    low_ = range_end = first;
    size_ = 0;
  }
  for (; range_end < end; range_end += kPageMask + 1) {
    if (!page_is_readable(range_end)) {
      return false;
    }
    size_ = range_end + kPageMask + 1 - low_ - kWord + 1;
  }
  return true;
}

bool StackMemory::admit_code_page(std::uintptr_t address) {
  const std::uintptr_t page = address & ~kPageMask;
  for (std::uintptr_t known : code_pages_) {
    if (known == page && page != 0) {
      return true;
    }
  }
  if (!page_is_readable(page)) {
    return false;
  }
  code_pages_[next_++ % 4] = page;
  return true;
}

}  // namespace camprobe::sampler
