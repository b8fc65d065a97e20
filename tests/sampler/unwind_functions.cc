// tests/sampler/unwind_functions.cc: see unwind_functions.h.
#include "tests/sampler/unwind_functions.h"

#include <alloca.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace camprobe::sampler {
namespace {

void keep(const void* pointer) {
  asm volatile("" : : "r"(pointer) : "memory");
}

thread_local Visit current_visit;
thread_local void* current_argument;
thread_local bool visited;

int compare_and_visit(const void* a, const void* b) {
  if (!visited) {
    visited = true;
    current_visit(current_argument);
  }
  const int x = *static_cast<const int*>(a);
  const int y = *static_cast<const int*>(b);
  return (x > y) - (x < y);
}

int compare(const void* a, const void* b) {
  const int x = *static_cast<const int*>(a);
  const int y = *static_cast<const int*>(b);
  return (x > y) - (x < y);
}

[[gnu::noinline]] void throw_from(unsigned depth) {
  if (depth == 0) {
    throw std::runtime_error("as the test wants it");
  }
  const std::string local(depth * 8, 'x');  // something to destroy on the way
  keep(local.data());
  throw_from(depth - 1);
  asm volatile("");
}

}  // namespace

[[gnu::noinline]] void recurse(unsigned depth, Visit visit, void* argument) {
  if (depth == 0) {
    visit(argument);
  } else {
    recurse(depth - 1, visit, argument);
  }
  asm volatile("" : : : "memory");  // no tail call
}

[[gnu::noinline]] void recurse_with_alloca(unsigned depth, Visit visit, void* argument) {
  char* room = static_cast<char*>(alloca(16 + depth * 24));
  std::memset(room, static_cast<int>(depth), 16 + depth * 24);
  if (depth == 0) {
    visit(argument);
  } else {
    recurse_with_alloca(depth - 1, visit, argument);
  }
  keep(room);
}

[[gnu::noinline]] void with_realigned_stack(unsigned depth, Visit visit, void* argument) {
  alignas(64) double vector[8 * 4];
  char* room = static_cast<char*>(alloca(16 + depth * 8));
  for (unsigned i = 0; i < 32; ++i) vector[i] = depth + i;
  keep(vector);
  keep(room);
  if (depth == 0) {
    visit(argument);
  } else {
    with_realigned_stack(depth - 1, visit, argument);
  }
  keep(vector);
  keep(room);
}

[[gnu::noinline]] void with_all_registers_in_use(Visit visit, void* argument) {
  asm volatile("" : : : "rbx", "r12", "r13", "r14", "r15");
  visit(argument);
  asm volatile("" : : : "rbx", "r12", "r13", "r14", "r15", "memory");
}

asm(R"(
  .text
  .type camprobe_test_garbage_frame_pointer, @function
camprobe_test_garbage_frame_pointer:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset 6, -16
  pushq %rbx
  .cfi_def_cfa_offset 24
  .cfi_offset 3, -24
  pushq %r12
  .cfi_def_cfa_offset 32
  .cfi_offset 12, -32
  movabsq $0xdeadbeefdeadbee8, %rbp
  movq %rsp, %rbx
  movabsq $0x7fffdeadbee8, %r12
  movq %rdi, %rax
  movq %rsi, %rdi
  call *%rax
  popq %r12
  .cfi_def_cfa_offset 24
  popq %rbx
  .cfi_def_cfa_offset 16
  popq %rbp
  .cfi_def_cfa_offset 8
  ret
  .cfi_endproc
  .size camprobe_test_garbage_frame_pointer, .-camprobe_test_garbage_frame_pointer
  .type camprobe_test_no_frame_information, @function
camprobe_test_no_frame_information:
  pushq %rbp
  pushq %rbx
  pushq %rbx
  movabsq $0x7fffdeadbee8, %rbp
  movq %rdi, %rax
  movq %rsi, %rdi
  call *%rax
  popq %rbx
  popq %rbx
  popq %rbp
  ret
  .size camprobe_test_no_frame_information, .-camprobe_test_no_frame_information
  .type camprobe_test_hand_written, @function
camprobe_test_hand_written:
  .cfi_startproc
  pushq %r15
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset 15, 0
  leaq -40(%rsp), %rsp
  .cfi_adjust_cfa_offset 40
  movq %rsp, %r15
  .cfi_def_cfa_register 15
  andq $-64, %rsp
  movq %rdi, %rax
  movq %rsi, %rdi
  call *%rax
  movq %r15, %rsp
  .cfi_def_cfa_register 7
  addq $40, %rsp
  .cfi_adjust_cfa_offset -40
  popq %r15
  .cfi_adjust_cfa_offset -8
  .cfi_restore 15
  ret
  .cfi_endproc
  .size camprobe_test_hand_written, .-camprobe_test_hand_written
  .type camprobe_test_hand_written_leaf, @function
camprobe_test_hand_written_leaf:
  .cfi_startproc
  movq $5, %rcx
1:
  imulq %rdi, %rdi
  xorq %rcx, %rdi
  decq %rcx
  jnz 1b
  movq %rdi, %rax
  ret
  .cfi_endproc
  .size camprobe_test_hand_written_leaf, .-camprobe_test_hand_written_leaf
)");
extern "C" {
void camprobe_test_hand_written(Visit visit, void* argument);
std::uint64_t camprobe_test_hand_written_leaf(std::uint64_t value);
void camprobe_test_garbage_frame_pointer(Visit visit, void* argument);
void camprobe_test_no_frame_information(Visit visit, void* argument);
}

[[gnu::noinline]] void with_garbage_frame_pointer(Visit visit, void* argument) {
  camprobe_test_garbage_frame_pointer(visit, argument);
  asm volatile("" : : : "memory");
}

[[gnu::noinline]] void without_frame_information(Visit visit, void* argument) {
  camprobe_test_no_frame_information(visit, argument);
  asm volatile("" : : : "memory");
}

[[gnu::noinline]] void last_of_the_tail_calls(Visit visit, void* argument) {
  keep(argument);
  visit(argument);
}

[[gnu::noinline]] void through_tail_calls(Visit visit, void* argument) {
  keep(argument);  // not its address: a frame would be needed for that
  last_of_the_tail_calls(visit, argument);
}

[[gnu::noinline]] std::uint64_t leaf_without_frame(std::uint64_t value) {
  for (unsigned i = 0; i < 5; ++i) value = value * value ^ i;
  return value;
}

std::uint64_t hand_written_leaf(std::uint64_t value) {
  return camprobe_test_hand_written_leaf(value);
}

[[gnu::noinline]] void from_hand_written(Visit visit, void* argument) {
  camprobe_test_hand_written(visit, argument);
  asm volatile("" : : : "memory");
}

void from_qsort(Visit visit, void* argument) {
  current_visit = visit;
  current_argument = argument;
  visited = false;
  int numbers[64];
  for (int i = 0; i < 64; ++i) numbers[i] = i * 37 % 64;
  std::qsort(numbers, 64, sizeof(int), compare_and_visit);
}

void from_bsearch(Visit visit, void* argument) {
  current_visit = visit;
  current_argument = argument;
  visited = false;
  const int numbers[] = {1, 2, 3, 5, 8, 13};
  const int wanted = 8;
  keep(std::bsearch(&wanted, numbers, 6, sizeof(int), compare_and_visit));
}

void after_catching(unsigned depth, Visit visit, void* argument) {
  try {
    throw_from(depth);
  } catch (const std::runtime_error&) {
    visit(argument);
  }
}

[[gnu::noinline]] double throw_and_catch(unsigned depth) {
  try {
    throw_from(depth);
  } catch (const std::runtime_error& error) {
    return error.what()[0];
  }
  return 0;
}

[[gnu::noinline]] double mixed_work(unsigned seed) {
  double sum = 0;
  int numbers[48];
  for (unsigned i = 0; i < 48; ++i) numbers[i] = static_cast<int>((i * 2654435761u + seed) % 1000);
  std::qsort(numbers, 48, sizeof(int), compare);
  sum += numbers[seed % 48];
  char text[128];
  std::snprintf(text, sizeof(text), "%d %s %.3f", numbers[3], "text", numbers[5] * 0.37);
  sum += static_cast<double>(std::strlen(text));
  void* blocks[8];
  for (unsigned i = 0; i < 8; ++i) {
    blocks[i] = std::malloc(16u << i);
    std::memset(blocks[i], 1, 16u << i);
  }
  for (void* block : blocks) std::free(block);
  std::string longer(text);
  longer.append(64, 'y');
  sum += std::sin(sum) + std::pow(1.0 + seed % 7, 0.3) + static_cast<double>(longer.size());
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  sum += static_cast<double>(now.tv_nsec % 2);
  recurse_with_alloca(
      seed % 5, [](void* value) { *static_cast<double*>(value) += 1; }, &sum);
  with_realigned_stack(
      seed % 3, [](void* value) { *static_cast<double*>(value) += 1; }, &sum);
  with_all_registers_in_use([](void* value) { *static_cast<double*>(value) += 1; }, &sum);
  return sum;
}

}  // namespace camprobe::sampler
