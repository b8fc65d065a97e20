// probe/bootstrap.h
//
// Memory for the moment when the real allocator is being looked up: dlsym() itself may call malloc or calloc. A static
// arena, never given back; free(), realloc() and malloc_usable_size() know its blocks by their address for ever after.
#pragma once

#include <cstddef>
#include <cstdint>

namespace camprobe::probe {

inline constexpr std::size_t kBootstrapBytes = 64u << 10;
extern unsigned char g_bootstrap[kBootstrapBytes];

// Zeroed, aligned to 16; nullptr when the arena is full. Only before there is a second thread.
void* bootstrap_allocate(std::size_t bytes);

inline bool is_bootstrap(const void* block) {
  return reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(g_bootstrap) < kBootstrapBytes;
}
std::size_t bootstrap_size(const void* block);

}  // namespace camprobe::probe
