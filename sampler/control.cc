// sampler/control.cc: see sampler/control.h.
#include "sampler/control.h"

#include <time.h>

#include "sampler/allocator_watch.h"
#include "sampler/cpu_sampler.h"
#include "sampler/heap_budget.h"
#include "sampler/heap_sampler.h"
#include "shm/placement.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

CAMPROBE_HOT_DATA constinit std::atomic<std::uint32_t> g_families{0};
constinit std::atomic<std::uint64_t> g_heap_interval{0};
CAMPROBE_HOT_DATA constinit std::atomic<std::uint32_t> g_heap_draw{0};
CAMPROBE_HOT_DATA constinit std::atomic<std::uint32_t> g_control_seen{0};

namespace {

constexpr std::uint64_t kStepNs = 100'000'000;
// What is weighed must be more than noise: so much time, or so much sampling that it cannot wait.
constexpr std::uint64_t kEnoughWallNs = 500'000'000;
constexpr std::uint64_t kMuchSamplingNs = 2'000'000;
// A sample that took longer was interrupted: what somebody else did meanwhile is not its cost.
constexpr std::uint64_t kLongestSampleNs = 20'000;

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
constinit std::uint64_t g_wanted_hz = 0;
constinit std::uint64_t g_wanted_wait = 0;
constinit std::uint32_t g_wanted_families = 0;
constinit std::uint32_t g_budget_ppm = 0;
constinit std::uint64_t g_probe_ns_before = 0;
constinit std::uint64_t g_cpu_ns_before = 0;
constinit std::atomic<std::uint64_t> g_heap_ns_before{0};
constinit std::uint64_t g_wall_ns_before = 0;
constinit std::uint64_t g_samples_before = 0;

std::uint64_t process_cpu_ns() {
  timespec time = {};
  shm::raw_syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, reinterpret_cast<long>(&time));
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

// One change of the control block may be of several settings: all of its records have the same time.
class SettingRecorder {
 public:
  SettingRecorder(ThreadLane& thread, bool is_in_handler, std::uint16_t flags)
      : ring_(is_in_handler ? thread.signal_ring : thread.ring), flags_(flags), now_(now_ns()) {}
  void operator()(shm::Setting setting, std::uint64_t before, std::uint64_t value) {
    shm::SettingPayload payload = {};
    payload.setting = setting;
    payload.is_auto = setting == shm::Setting::kHeapInterval && g_is_auto ? 1 : 0;
    payload.value = value;
    payload.before = before;
    ring_.write(now_, shm::RecordKind::kSetting, flags_, 0, 0, payload);
  }

 private:
  shm::RingWriter& ring_;
  std::uint16_t flags_;
  std::uint64_t now_;
};

void put_heap_interval(std::uint64_t interval) {
  if (!enabled(Family::kHeap)) interval = 0;
  g_heap_interval.store(interval, std::memory_order_relaxed);
  g_heap_draw.fetch_add(1, std::memory_order_release);
  g_region.header()->heap_interval.store(interval, std::memory_order_relaxed);
}

void put_cpu_rate() {
  const std::uint64_t hz = set_cpu_rate(enabled(Family::kCpu) ? g_wanted_hz : 0);
  g_region.header()->cpu_hz.store(hz, std::memory_order_relaxed);
}

void put_wait_interval() {
  g_region.header()->wait_interval_ns.store(enabled(Family::kWait) ? g_wanted_wait : 0, std::memory_order_relaxed);
}

// Nobody but us bounds what a collector asks for.
std::uint64_t at_most(std::uint64_t value, std::uint64_t most) {
  return value < most ? value : most;
}

// From here on the next step measures.
void measure_from(std::uint64_t cpu, std::uint64_t wall, std::uint64_t heap, std::uint64_t probe,
                  std::uint64_t samples) {
  g_cpu_ns_before = cpu;
  g_wall_ns_before = wall;
  g_heap_ns_before.store(heap, std::memory_order_relaxed);
  g_probe_ns_before = probe;
  g_samples_before = samples;
}

void measure_from_now() {
  const shm::RegionHeader& head = *g_region.header();
  measure_from(process_cpu_ns(), now_ns(), g_heap_ns.load(std::memory_order_relaxed),
               head.probe_ns.load(std::memory_order_relaxed), head.samples_taken.load(std::memory_order_relaxed));
}

void act_on_control_block(ThreadLane& thread, bool is_in_handler, std::uint32_t version) {
  shm::ControlBlock& control = *g_region.control();
  shm::RegionHeader& head = *g_region.header();
  const std::uint32_t families =
      control.families.load(std::memory_order_relaxed) & g_reach.load(std::memory_order_relaxed);
  const std::uint64_t heap = control.heap_interval.load(std::memory_order_relaxed);
  const std::uint64_t hz = at_most(control.cpu_hz.load(std::memory_order_relaxed), shm::kMostCpuHz);
  const std::uint64_t wait =
      at_most(control.wait_interval_ns.load(std::memory_order_relaxed), shm::kLongestWaitInterval);
  const auto budget =
      static_cast<std::uint32_t>(at_most(control.budget_ppm.load(std::memory_order_relaxed), 1'000'000));
  SettingRecorder record(thread, is_in_handler, shm::kFlagAsked);

  const bool families_change = families != g_wanted_families;
  if (families_change) {
    record(shm::Setting::kFamilies, g_wanted_families, families);
    g_wanted_families = families;
    g_families.store(families, std::memory_order_relaxed);
    head.families.store(families, std::memory_order_relaxed);
  }
  const bool wants_auto = heap == shm::kAutoHeapInterval;
  std::uint64_t interval = wants_auto ? (g_is_auto ? g_wanted_interval : default_settings().heap_interval) : heap;
  if (interval != 0 && interval < kSmallestInterval.bytes) interval = kSmallestInterval.bytes;
  interval = at_most(interval, kLargestInterval.bytes);
  if (families_change || interval != g_wanted_interval || wants_auto != g_is_auto) {
    const std::uint64_t held = g_heap_interval.load(std::memory_order_relaxed);
    const bool mode_changes = wants_auto != g_is_auto;
    g_is_auto = wants_auto;
    g_wanted_interval = interval;
    put_heap_interval(interval);
    // What was measured so far was at another interval, or while nothing was sampled.
    g_budget = HeapBudget();
    measure_from_now();
    if (mode_changes || held != g_heap_interval.load(std::memory_order_relaxed))
      record(shm::Setting::kHeapInterval, held, g_heap_interval.load(std::memory_order_relaxed));
  }
  if (hz != g_wanted_hz || families_change) {
    const std::uint64_t held = head.cpu_hz.load(std::memory_order_relaxed);
    g_wanted_hz = hz;
    put_cpu_rate();
    if (held != head.cpu_hz.load(std::memory_order_relaxed))
      record(shm::Setting::kCpuHz, held, head.cpu_hz.load(std::memory_order_relaxed));
  }
  if (wait != g_wanted_wait || families_change) {
    const std::uint64_t held = head.wait_interval_ns.load(std::memory_order_relaxed);
    g_wanted_wait = wait;
    put_wait_interval();
    if (held != head.wait_interval_ns.load(std::memory_order_relaxed))
      record(shm::Setting::kWaitInterval, held, head.wait_interval_ns.load(std::memory_order_relaxed));
  }
  if (budget != g_budget_ppm && budget != 0) {
    record(shm::Setting::kBudget, g_budget_ppm, budget);
    g_budget_ppm = budget;
  }
  g_control_seen.store(version, std::memory_order_relaxed);
  head.control_seen.store(version, std::memory_order_release);
}

// A thread that allocates little would notice a new interval late. Not while its countdown is being changed, nor when
// it is spent: then the next allocation is a sample, or was, and is about to be taken.
void draw_again_if_due(ThreadLane& thread) {
  if (thread.heap_draw_seen != g_heap_draw.load(std::memory_order_relaxed) &&
      (thread.lane->heap_version.load(std::memory_order_relaxed) & 1) == 0 && thread.lane->heap_countdown >= 0)
    draw_countdown(thread);
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
  const std::uint64_t probe = g_region.header()->probe_ns.load(std::memory_order_relaxed);
  const std::uint64_t sampling = heap - heap_before, all = probe - g_probe_ns_before;
  const HeapMeasurement measured = {cpu - g_cpu_ns_before,
                                    wall - g_wall_ns_before,
                                    sampling,
                                    all > sampling ? all - sampling : 0,
                                    samples - g_samples_before,
                                    g_region.header()->live_samples.load(std::memory_order_relaxed),
                                    shm::kLiveSamples};
  measure_from(cpu, wall, heap, probe, samples);
  const std::uint64_t next = g_budget.next(g_wanted_interval, g_budget_ppm, measured);
  if (next == g_wanted_interval) return;
  SettingRecorder(thread, is_in_handler, 0)(shm::Setting::kHeapInterval, g_wanted_interval, next);
  g_wanted_interval = next;
  put_heap_interval(next);
}

void put_families(std::uint32_t families) {
  g_wanted_families = families;
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
  g_control_seen.store(0, std::memory_order_relaxed);  // of a new region
  shm::RegionHeader& head = *g_region.header();
  shm::ControlBlock& control = *g_region.control();
  g_families.store(settings.families, std::memory_order_relaxed);
  head.families.store(settings.families, std::memory_order_relaxed);
  // The control block starts with what holds, so that a collector changes one thing at a time.
  control.families.store(settings.families, std::memory_order_relaxed);
  control.heap_interval.store(settings.heap_interval_is_auto ? shm::kAutoHeapInterval : settings.heap_interval,
                              std::memory_order_relaxed);
  control.cpu_hz.store(settings.cpu_hz, std::memory_order_relaxed);
  control.wait_interval_ns.store(settings.wait_interval_ns, std::memory_order_relaxed);
  control.budget_ppm.store(settings.budget_ppm, std::memory_order_relaxed);
  g_budget = HeapBudget();
  g_is_auto = settings.heap_interval_is_auto;
  g_wanted_families = settings.families;
  g_wanted_interval = settings.heap_interval;
  g_wanted_hz = settings.cpu_hz;
  g_wanted_wait = settings.wait_interval_ns;
  g_budget_ppm = settings.budget_ppm;
  measure_from_now();
  g_next_step.store(now_ns() + kStepNs, std::memory_order_relaxed);
  put_heap_interval(settings.heap_interval);
  put_cpu_rate();
  put_wait_interval();
}

void keep_what_holds(Settings* settings) {
  settings->families = g_wanted_families;
  settings->heap_interval_is_auto = g_is_auto;
  settings->heap_interval = g_wanted_interval;
  settings->cpu_hz = g_wanted_hz;
  settings->wait_interval_ns = g_wanted_wait;
  settings->budget_ppm = g_budget_ppm;
}

void act_on_news(ThreadLane& thread, bool is_in_handler) {
  control_step(thread, now_ns(), is_in_handler);
  draw_again_if_due(thread);
}

void look_at_news() {
  // The door does it as it opens.
  const ProbeScope scope;
}

void control_step(ThreadLane& thread, std::uint64_t now, bool is_in_handler) {
  if (!is_in_handler) ask_allocator_if_due(thread, now);
  const std::uint32_t asked = g_region.control()->version.load(std::memory_order_acquire);
  const bool is_asked = asked != g_control_seen.load(std::memory_order_relaxed);
  // A storm of samples does not wait for the next step: while a program starts, each of its stacks is walked for the
  // first time, which costs many times what it costs later.
  const bool is_due =
      now >= g_next_step.load(std::memory_order_relaxed) ||
      g_heap_ns.load(std::memory_order_relaxed) - g_heap_ns_before.load(std::memory_order_relaxed) > kMuchSamplingNs;
  if (!is_asked && !is_due) return;
  // A thread that finds itself stepping, outside any handler, was torn out of its last step by siglongjmp().
  std::uint32_t stepping = 0;
  if (!g_stepping.compare_exchange_strong(stepping, thread.tid, std::memory_order_acquire) &&
      (stepping != thread.tid || is_in_handler))
    return;
  if (is_asked) act_on_control_block(thread, is_in_handler, asked);
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
