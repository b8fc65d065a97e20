// sampler/control.cc: see sampler/control.h.
#include "sampler/control.h"

#include <time.h>

#include "sampler/cpu_sampler.h"
#include "sampler/heap_budget.h"
#include "sampler/heap_sampler.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

constinit std::atomic<std::uint32_t> g_families{0};
constinit std::atomic<std::uint64_t> g_heap_interval{0};
constinit std::atomic<std::uint32_t> g_heap_draw{0};

namespace {

constexpr std::uint64_t kStepNs = 100'000'000;
// What is weighed must be more than noise: so much time, or so much sampling that it cannot wait.
constexpr std::uint64_t kEnoughWallNs = 500'000'000;
constexpr std::uint64_t kMuchSamplingNs = 2'000'000;
// A sample that took longer was interrupted: what somebody else did meanwhile is not its cost.
constexpr std::uint64_t kLongestSampleNs = 20'000;
constexpr std::uint64_t kAuto = ~std::uint64_t{0};

// Families that may be on at all.
constinit std::atomic<std::uint32_t> g_reach{shm::kAllFamilies};
constinit std::uint32_t g_families_before = 0;

constinit std::atomic<std::uint64_t> g_next_step{0};
constinit std::atomic<std::uint32_t> g_stepping{0};  // the thread that steps now
constinit std::atomic<std::uint64_t> g_heap_ns{0};

// Written only while g_stepping is held.
constinit HeapBudget g_budget;
constinit bool g_is_auto = false;
constinit std::uint64_t g_wanted_interval = 0;  // what holds while the heap family is on
constinit std::uint32_t g_target_ppm = 0;
constinit std::uint64_t g_cpu_ns_before = 0;
constinit std::atomic<std::uint64_t> g_heap_ns_before{0};
constinit std::uint64_t g_wall_ns_before = 0;
constinit std::uint64_t g_samples_before = 0;

std::uint64_t process_cpu_ns() {
  timespec time = {};
  shm::raw_syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, reinterpret_cast<long>(&time));
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

void record_setting(ThreadLane& thread, bool is_in_handler, shm::Setting setting, std::uint64_t value) {
  shm::SettingPayload payload = {};
  payload.setting = setting;
  payload.value = value;
  shm::RingWriter& ring = is_in_handler ? thread.signal_ring : thread.ring;
  ring.write(now_ns(), shm::RecordKind::kSetting, 0, 0, 0, payload);
}

void put_heap_interval(std::uint64_t interval) {
  if (!enabled(Family::kHeap)) interval = 0;
  g_heap_interval.store(interval, std::memory_order_relaxed);
  g_heap_draw.fetch_add(1, std::memory_order_release);
  g_region.header()->heap_interval.store(interval, std::memory_order_relaxed);
}

void act_on_control_block(ThreadLane& thread, bool is_in_handler, std::uint32_t version) {
  shm::ControlBlock& control = *g_region.control();
  shm::RegionHeader& head = *g_region.header();
  const std::uint32_t families =
      control.families.load(std::memory_order_relaxed) & g_reach.load(std::memory_order_relaxed);
  const std::uint64_t heap = control.heap_interval.load(std::memory_order_relaxed);
  const std::uint64_t hz = control.cpu_hz.load(std::memory_order_relaxed);
  const std::uint64_t wait = control.wait_interval_ns.load(std::memory_order_relaxed);

  const bool families_change = families != head.families.load(std::memory_order_relaxed);
  if (families_change) {
    g_families.store(families, std::memory_order_relaxed);
    head.families.store(families, std::memory_order_relaxed);
    record_setting(thread, is_in_handler, shm::Setting::kFamilies, families);
  }
  // Nobody but us bounds what a collector asks for.
  const bool wants_auto = heap == kAuto;
  std::uint64_t interval = wants_auto ? (g_is_auto ? g_wanted_interval : default_settings().heap_interval) : heap;
  if (interval != 0 && interval < kSmallestInterval.bytes) interval = kSmallestInterval.bytes;
  if (interval > kLargestInterval.bytes) interval = kLargestInterval.bytes;
  if (families_change || interval != g_wanted_interval || wants_auto != g_is_auto) {
    g_is_auto = wants_auto;
    g_wanted_interval = interval;
    put_heap_interval(interval);
    record_setting(thread, is_in_handler, shm::Setting::kHeapInterval, g_heap_interval.load(std::memory_order_relaxed));
  }
  if (hz != head.cpu_hz.load(std::memory_order_relaxed) || families_change) {
    set_cpu_rate(enabled(Family::kCpu) ? hz : 0);
    head.cpu_hz.store(hz, std::memory_order_relaxed);
    record_setting(thread, is_in_handler, shm::Setting::kCpuHz, hz);
  }
  if (wait != head.wait_interval_ns.load(std::memory_order_relaxed)) {
    head.wait_interval_ns.store(wait, std::memory_order_relaxed);
    record_setting(thread, is_in_handler, shm::Setting::kWaitInterval, wait);
  }
  head.control_seen.store(version, std::memory_order_release);
}

void move_heap_interval(ThreadLane& thread, bool is_in_handler) {
  if (!g_is_auto || !enabled(Family::kHeap)) {
    g_heap_ns_before.store(g_heap_ns.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return;
  }
  const std::uint64_t heap = g_heap_ns.load(std::memory_order_relaxed);
  const std::uint64_t heap_before = g_heap_ns_before.load(std::memory_order_relaxed);
  const std::uint64_t wall = now_ns();
  const bool is_filling = g_region.live().load_per_1024() >= 768;
  if (wall - g_wall_ns_before < kEnoughWallNs && heap - heap_before < kMuchSamplingNs && !is_filling) return;
  const std::uint64_t cpu = process_cpu_ns();
  const std::uint64_t samples = g_region.header()->samples_taken.load(std::memory_order_relaxed);
  const HeapMeasurement measured = {cpu - g_cpu_ns_before,
                                    wall - g_wall_ns_before,
                                    heap - heap_before,
                                    samples - g_samples_before,
                                    g_region.header()->live_samples.load(std::memory_order_relaxed),
                                    shm::kLiveSamples};
  g_cpu_ns_before = cpu;
  g_wall_ns_before = wall;
  g_heap_ns_before.store(heap, std::memory_order_relaxed);
  g_samples_before = samples;
  const std::uint64_t next = g_budget.next(g_wanted_interval, g_target_ppm, measured);
  if (next == g_wanted_interval) return;
  g_wanted_interval = next;
  put_heap_interval(next);
  record_setting(thread, is_in_handler, shm::Setting::kHeapInterval, next);
}

void put_families(std::uint32_t families) {
  g_families.store(families, std::memory_order_relaxed);
  g_region.header()->families.store(families, std::memory_order_relaxed);
  put_heap_interval(g_wanted_interval);
}

}  // namespace

void put_families_out_of_reach() {
  g_reach.store(0, std::memory_order_relaxed);
  g_families_before = g_families.load(std::memory_order_relaxed);
  put_families(0);
}
void put_families_back() {
  g_reach.store(shm::kAllFamilies, std::memory_order_relaxed);
  put_families(g_families_before);
}

void begin_control(const Settings& settings) {
  g_stepping.store(0, std::memory_order_relaxed);
  shm::RegionHeader& head = *g_region.header();
  shm::ControlBlock& control = *g_region.control();
  g_families.store(settings.families, std::memory_order_relaxed);
  head.families.store(settings.families, std::memory_order_relaxed);
  head.cpu_hz.store(settings.cpu_hz, std::memory_order_relaxed);
  head.wait_interval_ns.store(settings.wait_interval_ns, std::memory_order_relaxed);
  // The control block starts with what holds, so that a collector changes one thing at a time.
  control.families.store(settings.families, std::memory_order_relaxed);
  control.heap_interval.store(settings.heap_interval_is_auto ? kAuto : settings.heap_interval,
                              std::memory_order_relaxed);
  control.cpu_hz.store(settings.cpu_hz, std::memory_order_relaxed);
  control.wait_interval_ns.store(settings.wait_interval_ns, std::memory_order_relaxed);
  g_budget = HeapBudget();
  g_is_auto = settings.heap_interval_is_auto;
  g_wanted_interval = settings.heap_interval;
  // Half of the budget. The CPU timer at 99 Hz takes some 0.05 % of CPU time, the exact counters the rest.
  g_target_ppm = settings.budget_ppm / 2;
  g_cpu_ns_before = process_cpu_ns();
  g_wall_ns_before = now_ns();
  g_samples_before = g_region.header()->samples_taken.load(std::memory_order_relaxed);
  g_heap_ns_before.store(g_heap_ns.load(std::memory_order_relaxed), std::memory_order_relaxed);
  g_next_step.store(now_ns() + kStepNs, std::memory_order_relaxed);
  put_heap_interval(settings.heap_interval);
}

void control_step(ThreadLane& thread, std::uint64_t now, bool is_in_handler) {
  const std::uint32_t asked = g_region.control()->version.load(std::memory_order_acquire);
  const bool has_news = asked != g_region.header()->control_seen.load(std::memory_order_relaxed);
  // A storm of samples does not wait for the next step: while a program starts, each of its stacks is walked for the
  // first time, which costs many times what it costs later.
  const bool is_due =
      now >= g_next_step.load(std::memory_order_relaxed) ||
      g_heap_ns.load(std::memory_order_relaxed) - g_heap_ns_before.load(std::memory_order_relaxed) > kMuchSamplingNs;
  if (!has_news && !is_due) return;
  // A thread that finds itself stepping, outside any handler, was torn out of its last step by siglongjmp().
  std::uint32_t stepping = 0;
  if (!g_stepping.compare_exchange_strong(stepping, thread.tid, std::memory_order_acquire) &&
      (stepping != thread.tid || is_in_handler))
    return;
  if (has_news) act_on_control_block(thread, is_in_handler, asked);
  if (is_due) {
    move_heap_interval(thread, is_in_handler);
    g_next_step.store(now + kStepNs, std::memory_order_relaxed);
  }
  g_stepping.store(0, std::memory_order_release);
}

void note_probe_time(std::uint64_t begin, std::uint64_t end) {
  if (end <= begin) return;
  const std::uint64_t took = end - begin < kLongestSampleNs ? end - begin : kLongestSampleNs;
  g_region.header()->probe_ns.fetch_add(took, std::memory_order_relaxed);
}

void note_heap_time(std::uint64_t begin, std::uint64_t end) {
  note_probe_time(begin, end);
  if (end <= begin) return;
  g_heap_ns.fetch_add(end - begin < kLongestSampleNs ? end - begin : kLongestSampleNs, std::memory_order_relaxed);
}

}  // namespace camprobe::sampler
