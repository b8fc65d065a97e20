#include "shm/bus_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>

#include "shm/layout.h"

namespace camprobe::shm {
namespace {

// The handler may run on any thread at any instant, so what it looks at is a plain table. A collector of more regions
// than this goes without for the rest.
constexpr std::size_t kPages = 4096;
std::atomic<std::uintptr_t> g_pages[kPages];
struct sigaction g_before;

void replace_page(int signal, siginfo_t* info, void* context) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(std::uintptr_t{kPage} - 1);
  for (const auto& page : g_pages) {
    if (at == 0 || page.load(std::memory_order_relaxed) != at) continue;
    void* const where = reinterpret_cast<void*>(at);  // NOLINT(performance-no-int-to-ptr): the address of a page
    if (::mmap(where, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == where) return;
  }
  if ((g_before.sa_flags & SA_SIGINFO) != 0) {
    g_before.sa_sigaction(signal, info, context);
  } else if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) {
    g_before.sa_handler(signal);
  } else {
    ::sigaction(SIGBUS, &g_before, nullptr);  // the access is made again, and ends as it would have
  }
}

void install_once() {
  static const bool is_installed = [] {
    struct sigaction action {};
    action.sa_sigaction = replace_page;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    return ::sigaction(SIGBUS, &action, &g_before) == 0;
  }();
  (void)is_installed;
}

}  // namespace

BusGuard::BusGuard(void* page) : slot_(kPages) {
  install_once();
  const auto address = reinterpret_cast<std::uintptr_t>(page);
  for (std::size_t slot = 0; slot < kPages && slot_ == kPages; ++slot) {
    std::uintptr_t empty = 0;
    if (g_pages[slot].compare_exchange_strong(empty, address)) slot_ = slot;
  }
}

BusGuard::~BusGuard() {
  if (slot_ < kPages) g_pages[slot_].store(0);
}

}  // namespace camprobe::shm
