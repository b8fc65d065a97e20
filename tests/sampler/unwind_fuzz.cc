// tests/sampler/unwind_fuzz.cc
//
// Any bytes as a module's .eh_frame_hdr and .eh_frame, any pc, any stack: the reader must stay within what it was given
// and end.
//
// Input: bytes 0..3 the pc, relative to the header; 4..5 how many bytes of the rest are the stack; then the module,
// which begins with its .eh_frame_hdr; then the stack. Bytes 6..7 choose where registers point.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "sampler/unwind_cfi.h"
#include "sampler/unwind_rule.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace camprobe::sampler;
  constexpr std::size_t kHeader = 8;
  if (size < kHeader + 8) {
    return 0;
  }
  std::int32_t pc_offset;
  std::uint16_t stack_size;
  std::uint16_t choice;
  std::memcpy(&pc_offset, data, 4);
  std::memcpy(&stack_size, data + 4, 2);
  std::memcpy(&choice, data + 6, 2);
  data += kHeader;
  size -= kHeader;
  const std::size_t module_size = size - stack_size % size;

  // Copies of exactly their size, so that a sanitizer sees every byte too far.
  const std::unique_ptr<std::uint8_t[]> module(new std::uint8_t[module_size]);
  std::memcpy(module.get(), data, module_size);
  const std::uintptr_t header = reinterpret_cast<std::uintptr_t>(module.get());
  Image image;
  image.count = 1;
  image.segments[0] = {header, header + module_size};
  const std::uintptr_t pc = header + static_cast<std::uintptr_t>(std::intptr_t{pc_offset});

  Row row;
  if (find_row(image, header, pc, &row) != RowStatus::found) {
    return 0;
  }
  const Rule rule = pack(row, pc);
  if (rule.kind() == RuleKind::kUnknown || rule.kind() > RuleKind::kFull) {
    std::abort();
  }
  const std::size_t words = (size - module_size) / 8 + 1;
  const std::unique_ptr<std::uint64_t[]> stack(new std::uint64_t[words]());
  std::memcpy(stack.get(), data + module_size, (words - 1) * 8);
  const std::uintptr_t low = reinterpret_cast<std::uintptr_t>(stack.get());
  Registers registers{};
  registers.known = Registers::kAll;
  for (std::uint32_t reg = 0; reg < kRegisters; ++reg) {
    registers.value[reg] = low + (choice * (reg + 1u)) % (words * 8 + 8);
  }
  registers.value[kReturnAddress] = pc;
  // Known bounds: a read outside of them is refused, so what is read is on this little stack.
  StackMemory memory({low, low + words * 8}, low);
  step_by_row(row, &registers, &memory);
  return 0;
}
