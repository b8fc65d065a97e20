// probe/bootstrap.cc: see probe/bootstrap.h.
#include "probe/bootstrap.h"

namespace camprobe::probe {

alignas(4096) unsigned char g_bootstrap[kBootstrapBytes];

namespace {
constinit std::size_t g_used = 0;
constexpr std::size_t kHeader = 16;  // the block's size stands before it
}  // namespace

void* bootstrap_allocate(std::size_t bytes) {
  if (bytes > kBootstrapBytes) return nullptr;
  const std::size_t need = kHeader + (bytes + 15) / 16 * 16;
  if (g_used + need > kBootstrapBytes) return nullptr;
  unsigned char* header = g_bootstrap + g_used;
  g_used += need;
  __builtin_memcpy(header, &bytes, sizeof bytes);
  return header + kHeader;
}

std::size_t bootstrap_size(const void* block) {
  std::size_t bytes;
  __builtin_memcpy(&bytes, static_cast<const unsigned char*>(block) - kHeader, sizeof bytes);
  return bytes;
}

}  // namespace camprobe::probe
