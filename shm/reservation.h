// shm/reservation.h
//
// Which pieces of the region's sparse file have pages behind them. Every writer asks `ensure` before its first store to
// a piece: a store to a hole of a full tmpfs is SIGBUS, a reservation that fails is only a number.
//
// Pages are asked for through the mapping (MADV_POPULATE_WRITE, Linux 5.14), so no descriptor has to stay open in the
// target: a daemon that closes "all" its descriptors would close ours and then reuse its number for a file of its own.
// On older kernels the whole region is reserved with fallocate when it is created, and `everything_reserved` is called.
//
// What fills up from its beginning is reserved by 16 KiB, to spare system calls. By the page: the live table, over
// which a few samples scatter, and the lanes, because of most threads' only a page or two is ever used.
//
// Async-signal-safe, lock-free: two threads may reserve the same piece at once, which is harmless.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/layout.h"
#include "shm/raw_syscall.h"

namespace camprobe::shm {

class Reservation {
 public:
  static constexpr std::uint64_t kPiece = 16u << 10;
  static_assert(kRegionBytes % kPage == 0);

  // Starts over for a new mapping; nothing is reserved.
  void begin(char* base) {
    base_ = base;
    reserved_bytes_ = nullptr;
    for (auto& word : map_) word.store(0, std::memory_order_relaxed);
  }

  // Where to keep the sum, once the header itself is reserved.
  void count_into(std::atomic<std::uint64_t>* reserved_bytes) { reserved_bytes_ = reserved_bytes; }

  void everything_reserved() {
    for (auto& word : map_) word.store(~std::uint64_t{0}, std::memory_order_release);
  }

  // True when [offset, offset + bytes) may be read and written. False: no room, or beyond the file.
  bool ensure(std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t last = (offset + bytes - 1) / kPage;
    if (last >= kPages) return false;
    for (std::uint64_t page = offset / kPage; page <= last; ++page) {
      if (!is_page_reserved(page) && !reserve(page)) return false;
    }
    return true;
  }

  // Whether the page that holds this offset was reserved before. Reading an unreserved page through the mapping would
  // allocate it, and a full tmpfs answers that with SIGBUS too.
  bool is_reserved(std::uint64_t offset) const { return offset < kRegionBytes && is_page_reserved(offset / kPage); }

 private:
  static constexpr std::uint64_t kPages = kRegionBytes / kPage;

  bool is_page_reserved(std::uint64_t page) const {
    return ((map_[page / 64].load(std::memory_order_acquire) >> (page % 64)) & 1) != 0;
  }

  // The page, and the others of its piece.
  [[gnu::noinline, gnu::cold]] bool reserve(std::uint64_t page) {
    constexpr long kPopulateWrite = 23;  // MADV_POPULATE_WRITE
    constexpr long kAgain = -11, kInterrupted = -4;
    const std::uint64_t at = page * kPage;
    const bool is_scattered = (at >= kLiveKeysOffset && at < kDescriptorsOffset) || at >= kLanesOffset;
    const std::uint64_t size = is_scattered ? kPage : kPiece;
    const std::uint64_t from = at / size * size;
    long result;
    int tries = 0;
    do {
      result = raw_syscall(SYS_madvise, reinterpret_cast<long>(base_ + from), static_cast<long>(size), kPopulateWrite);
    } while ((result == kInterrupted || result == kAgain) && ++tries < 100);
    if (is_error(result)) return false;
    // A piece's pages share a word.
    const std::uint64_t first = from / kPage;
    const std::uint64_t bits = ((std::uint64_t{1} << (size / kPage)) - 1) << (first % 64);
    const std::uint64_t before = map_[first / 64].fetch_or(bits, std::memory_order_acq_rel);
    const std::uint64_t gained = static_cast<std::uint64_t>(__builtin_popcountll(bits & ~before)) * kPage;
    if (reserved_bytes_ != nullptr) reserved_bytes_->fetch_add(gained, std::memory_order_relaxed);
    return true;
  }

  char* base_ = nullptr;
  std::atomic<std::uint64_t>* reserved_bytes_ = nullptr;
  std::atomic<std::uint64_t> map_[(kPages + 63) / 64] = {};
};

}  // namespace camprobe::shm
