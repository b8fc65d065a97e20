// sampler/clock.cc: see sampler/clock.h.
#include "sampler/clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "shm/placement.h"

namespace camprobe::sampler {

constinit thread_local ClockAnchor t_clock_anchor = {0, 0, 0, false};
CAMPROBE_HOT_DATA alignas(shm::kPage) constinit std::atomic<std::uint64_t> g_ns_per_cycle{0};

#if defined(__x86_64__)

namespace {

constexpr std::uint64_t kAnchorNs = 1'000'000;
// The rate is measured over so much, and again whenever that much has gone by.
constexpr std::uint64_t kFirstRateNs = 50'000'000;
constexpr std::uint64_t kNextRateNs = 1'000'000'000;
// Between two readings of the counter around one of the clock: more, and something came in between.
constexpr std::uint64_t kAtOnce = 1'000;
// An anchor is compared with its successor if it is no older than that; a wrong rate shows in milliseconds.
constexpr std::uint64_t kComparableNs = 10'000'000;
constexpr std::int64_t kWrongByNs = 10'000;
constexpr double kFixedPoint = 4294967296.0;

enum class Counter : std::uint8_t { kNone, kUsable, kWrong };
constinit std::atomic<Counter> g_counter{Counter::kNone};
// Where the measurement of the rate began. Written by whoever raised `g_measuring`.
constinit std::atomic<bool> g_is_measuring{false};
constinit std::atomic<std::uint64_t> g_rate_from_ns{0};
constinit std::atomic<std::uint64_t> g_rate_from_cycles{0};

void stop_using_the_counter() {
  g_counter.store(Counter::kWrong, std::memory_order_relaxed);
  g_ns_per_cycle.store(0, std::memory_order_relaxed);
}

void measure_rate(std::uint64_t ns, std::uint64_t cycles) {
  bool nobody = false;
  if (!g_is_measuring.compare_exchange_strong(nobody, true, std::memory_order_acquire)) return;
  const std::uint64_t from_ns = g_rate_from_ns.load(std::memory_order_relaxed);
  const std::uint64_t from_cycles = g_rate_from_cycles.load(std::memory_order_relaxed);
  const std::uint64_t before = g_ns_per_cycle.load(std::memory_order_relaxed);
  const bool is_usable = g_counter.load(std::memory_order_relaxed) == Counter::kUsable;
  const std::uint64_t wanted = before == 0 ? kFirstRateNs : kNextRateNs;
  if (is_usable && (from_ns == 0 || (ns > from_ns && ns - from_ns >= wanted))) {
    g_rate_from_ns.store(ns, std::memory_order_relaxed);
    g_rate_from_cycles.store(cycles, std::memory_order_relaxed);
    if (from_ns != 0) {
      const double ns_per_cycle = static_cast<double>(ns - from_ns) / static_cast<double>(cycles - from_cycles);
      const bool is_believable = cycles > from_cycles && ns_per_cycle > 0.05 && ns_per_cycle < 100;
      if (is_believable)
        g_ns_per_cycle.store(static_cast<std::uint64_t>(ns_per_cycle * kFixedPoint), std::memory_order_relaxed);
      else
        stop_using_the_counter();
    }
  }
  g_is_measuring.store(false, std::memory_order_release);
}

// Without the counter's help, and cheaply: there may be nothing to wait for.
bool must_wait_for_rate(std::uint64_t ns) {
  const std::uint64_t from = g_rate_from_ns.load(std::memory_order_relaxed);
  return g_ns_per_cycle.load(std::memory_order_relaxed) == 0 && from != 0 && ns - from < kFirstRateNs;
}

bool is_where_it_should_be(const ClockAnchor& anchor, std::uint64_t ns, std::uint64_t cycles, std::uint64_t rate) {
  if (anchor.lifetime == 0 || ns < anchor.ns || ns - anchor.ns > kComparableNs) return true;
  const auto gone = static_cast<std::int64_t>(cycles - anchor.cycles);
  const double by_counter = static_cast<double>(gone) * (static_cast<double>(rate) / kFixedPoint);
  const auto error = static_cast<std::int64_t>(by_counter) - static_cast<std::int64_t>(ns - anchor.ns);
  return error < kWrongByNs && error > -kWrongByNs;
}

}  // namespace

void start_clock() {
  unsigned a, b, c, d;
  constexpr unsigned kPowerLeaf = 0x80000007, kInvariantCounter = 1u << 8;
  if (__get_cpuid(kPowerLeaf, &a, &b, &c, &d) != 0 && (d & kInvariantCounter) != 0)
    g_counter.store(Counter::kUsable, std::memory_order_relaxed);
}

namespace {

constinit std::uint64_t g_paused_rate = 0;
constinit bool g_is_paused = false;

}  // namespace

void pause_counter() {
  if (g_counter.load(std::memory_order_relaxed) != Counter::kUsable) return;
  g_is_paused = true;
  g_paused_rate = g_ns_per_cycle.load(std::memory_order_relaxed);
  g_counter.store(Counter::kNone, std::memory_order_relaxed);
  g_ns_per_cycle.store(0, std::memory_order_relaxed);
}

void resume_counter() {
  if (!g_is_paused) return;
  g_is_paused = false;
  g_counter.store(Counter::kUsable, std::memory_order_relaxed);
  g_ns_per_cycle.store(g_paused_rate, std::memory_order_relaxed);
}

std::uint64_t now_ns_anew() {
  ClockAnchor& anchor = t_clock_anchor;
  if (g_counter.load(std::memory_order_relaxed) != Counter::kUsable || anchor.is_being_renewed) {
    if (!anchor.is_being_renewed) anchor.lifetime = 0;
    return shm::monotonic_ns();
  }
  const std::uint64_t before = cycle_count();
  const std::uint64_t ns = shm::monotonic_ns();
  if (must_wait_for_rate(ns)) return ns;
  const std::uint64_t after = cycle_count();
  if (after - before > kAtOnce) return ns;
  const std::uint64_t cycles = before + (after - before) / 2;
  measure_rate(ns, cycles);
  const std::uint64_t rate = g_ns_per_cycle.load(std::memory_order_relaxed);
  if (rate == 0) return ns;
  if (!is_where_it_should_be(anchor, ns, cycles, rate)) stop_using_the_counter();

  anchor.is_being_renewed = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  anchor.lifetime = 0;
  anchor.cycles = cycles;
  anchor.ns = ns;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (g_counter.load(std::memory_order_relaxed) == Counter::kUsable) anchor.lifetime = (kAnchorNs << 32) / rate;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  anchor.is_being_renewed = false;
  return ns;
}

#else

void start_clock() {}
void pause_counter() {}
void resume_counter() {}

std::uint64_t now_ns_anew() {
  return shm::monotonic_ns();
}

#endif

}  // namespace camprobe::sampler
