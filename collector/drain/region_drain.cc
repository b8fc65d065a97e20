#include "collector/drain/region_drain.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "collector/metrics.h"

namespace camprobe::drain {

RegionDrain::RegionDrain(shm::RegionReader region, run::Writer& writer, Symbolizer& symbolizer, RunClock clock,
                         run::ProcessId process)
    : region_(std::move(region)),
      status_(region_.status().value_or(shm::RegionStatus{})),
      context_(region_, writer, symbolizer, clock, process,
               symbolizer.add_process(static_cast<pid_t>(region_.info().pid), region_.info().uid)),
      heap_(context_),
      descriptors_(context_),
      spans_(context_),
      threads_(context_),
      counters_(context_, region_.info().created_ns < clock.started_monotonic_ns) {
  note_settings();
}

void RegionDrain::claim(bool is_ours) {
  std::string ignored;  // a region we may not write to is drained all the same; the probe then removes it at exit
  shm::ControlBlock* control = region_.control(&ignored);
  if (control != nullptr) control->reader_pid.store(is_ours ? static_cast<std::uint32_t>(::getpid()) : 0);
}

bool RegionDrain::is_plausible(const shm::ReadRecord& record, std::uint64_t now_ns) const {
  // Times come from the target: nothing may be booked before its region began or in the future.
  return record.time_ns >= region_.info().created_ns && record.time_ns <= now_ns + kSecondNs;
}

shm::DrainResult RegionDrain::drain() {
  if (const auto status = region_.status()) status_ = *status;
  if (status_.modules_used != modules_used_) {
    modules_used_ = status_.modules_used;
    context_.read_modules(modules_used_);
  }
  taken_.swap(waiting_);
  waiting_.clear();
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  std::uint64_t implausible = 0;
  std::uint32_t last_lane = ~0u;
  shm::DrainResult drained =
      region_.drain(status_.lanes_used, [&](const shm::LaneOwner& lane, bool, const shm::ReadRecord& record) {
        if (lane.index != last_lane) threads_.expect(lane);
        last_lane = lane.index;
        if (!is_plausible(record, now_ns))
          ++implausible;
        else if (record.kind == shm::RecordKind::kSpan)
          spans_.ended(lane.index, record);
        else if (record.kind == shm::RecordKind::kSpanAttributes)
          spans_.attributes(lane.index, record);
        else
          taken_.push_back({record, lane.index, 0});
      });
  drained.torn += implausible;
  order_.clear();
  for (std::uint32_t i = 0; i < taken_.size(); ++i) order_.emplace_back(taken_[i].record.time_ns, i);
  std::sort(order_.begin(), order_.end());
  for (const auto& [time_ns, index] : order_) {
    Taken& taken = taken_[index];
    if (wait_for_span(taken)) {
      ++taken.rounds;
      waiting_.push_back(taken);
    } else {
      last_record_ns_ = std::max(last_record_ns_, time_ns);
      use(taken);
    }
  }
  taken_.clear();
  heap_.end_round(status_.live_samples, drained.lapped + drained.before + drained.torn != 0);
  counters_.lost(drained, std::max<std::int64_t>(0, context_.clock.second(now_ns)));
  return drained;
}

bool RegionDrain::wait_for_span(const Taken& taken) {
  const shm::RecordKind kind = taken.record.kind;
  if (kind != shm::RecordKind::kAlloc && kind != shm::RecordKind::kCpu) return false;
  if (spans_.name_of(taken.record.span)) return false;
  return taken.rounds == 0;  // it ended between the two looks: its own record comes with the next round
}

void RegionDrain::use(const Taken& taken) {
  const shm::ReadRecord& record = taken.record;
  const std::int64_t second = context_.clock.second(record.time_ns);
  const auto thread = [&] { return context_.thread_of(taken.lane, record.time_ns); };
  switch (record.kind) {
    case shm::RecordKind::kAlloc:
      heap_.allocated(record, thread(), spans_.name_of(record.span).value_or(run::kNoName));
      break;
    case shm::RecordKind::kFree:
      heap_.freed(record);
      break;
    case shm::RecordKind::kCpu:
      if (second >= 0) {
        context_.writer.count(run::CpuRow{
            context_.process, second, thread(), context_.stack(record.stack, true, record.time_ns),
            spans_.name_of(record.span).value_or(run::kNoName), 1, static_cast<double>(record.cpu.weight_ns)});
      }
      break;
    case shm::RecordKind::kWait:
      if (second >= 0) {
        context_.writer.count(run::WaitRow{
            context_.process, second, thread(), context_.stack(record.stack, false, record.time_ns),
            context_.name(record.wait.call), 1, weigh(record.wait.duration_ns, record.wait.interval_ns).bytes});
      }
      break;
    case shm::RecordKind::kOpen:
      descriptors_.opened(record);
      break;
    case shm::RecordKind::kClose:
      descriptors_.closed(record);
      break;
    case shm::RecordKind::kThreadStart:
      threads_.started(taken.lane, record);
      break;
    case shm::RecordKind::kThreadEnd:
      threads_.ended(taken.lane, record);
      break;
    case shm::RecordKind::kMap:
      heap_.mapped(record);
      break;
    case shm::RecordKind::kUnmap:
      heap_.unmapped(record);
      break;
    case shm::RecordKind::kMark:
      if (second >= 0) {
        context_.writer.put(
            run::Mark{0, context_.clock.run_ns(record.time_ns), context_.text(record.mark.text), "program"});
      }
      break;
    case shm::RecordKind::kSetting:
      switch (record.setting.setting) {
        case shm::Setting::kHeapInterval:
          note_setting(record.time_ns, "heap_interval_bytes", record.setting.value);
          break;
        case shm::Setting::kCpuHz:
          note_setting(record.time_ns, "cpu_hz", record.setting.value);
          break;
        case shm::Setting::kFamilies:
          note_setting(record.time_ns, "families", record.setting.value);
          break;
        case shm::Setting::kWaitInterval:
          note_setting(record.time_ns, "wait_interval_ns", record.setting.value);
          break;
        case shm::Setting::kNone:
          break;
      }
      break;
    default:  // spans were taken first; forks and execs show as processes of their own
      break;
  }
}

void RegionDrain::note_setting(std::uint64_t at_ns, const char* name, std::uint64_t value) {
  const auto [at, is_new] = settings_.try_emplace(name, value);
  if (!is_new && at->second == value) return;
  at->second = value;
  context_.writer.put(run::Setting{context_.process, std::max<std::int64_t>(0, context_.clock.run_ns(at_ns)), name,
                                   static_cast<double>(value)});
}

void RegionDrain::note_settings() {
  const std::uint64_t at = second_count_ == 0 ? region_.info().created_ns : clock_ns(CLOCK_MONOTONIC);
  note_setting(at, "heap_interval_bytes", status_.heap_interval);
  note_setting(at, "cpu_hz", status_.cpu_hz);
  note_setting(at, "wait_interval_ns", status_.wait_interval_ns);
  note_setting(at, "families", status_.families);
}

void RegionDrain::end_second(std::int64_t second) {
  end_second_at(clock_ns(CLOCK_MONOTONIC), second, false);
}

void RegionDrain::end_second_at(std::uint64_t now_ns, std::int64_t second, bool is_last) {
  constexpr std::uint64_t kModulesEvery = 5;  // for those that were closed; new ones are seen at once
  if (second_count_ % kModulesEvery == 0) context_.read_modules(status_.modules_used);
  note_settings();
  ++second_count_;
  const std::vector<shm::ReadLane> lanes = region_.lanes();
  threads_.compare(lanes, now_ns);
  counters_.read(lanes, status_, second);
  heap_.end_second(now_ns, second, is_last);
  descriptors_.compare(region_.descriptors(), now_ns, is_last);
  spans_.end_second(now_ns, second);
  context_.forget_texts();
}

std::uint64_t RegionDrain::finish(std::uint64_t died_ns) {
  // Several rounds: records and frees that waited for others find that nothing more comes.
  for (int round = 0; round < 4; ++round) drain();
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  std::uint64_t end_ns = died_ns != 0 ? died_ns : std::max(last_record_ns_, region_.info().created_ns);
  if (status_.exit_ns >= region_.info().created_ns && status_.exit_ns < end_ns) end_ns = status_.exit_ns;
  end_ns = std::min(end_ns, now_ns);
  end_second_at(end_ns, std::max<std::int64_t>(0, context_.clock.second(end_ns)), true);
  spans_.finish();
  context_.end_symbols();
  return end_ns;
}

}  // namespace camprobe::drain
