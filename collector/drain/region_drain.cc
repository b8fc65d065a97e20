#include "collector/drain/region_drain.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "collector/metrics.h"

namespace camprobe::drain {

RegionDrain::RegionDrain(shm::RegionReader region, run::Writer& writer, Symbolizer& symbolizer, RunClock clock,
                         run::ProcessId process)
    : region_(std::move(region)),
      status_(region_.status().value_or(shm::RegionStatus{})),
      context_(region_, writer, symbolizer, clock, process,
               symbolizer.add_process(process, static_cast<pid_t>(region_.info().pid), region_.info().uid)),
      heap_(context_),
      descriptors_(context_),
      spans_(context_),
      threads_(context_),
      counters_(context_, region_.info().created_ns < clock.started_monotonic_ns),
      settings_(context_) {}

void RegionDrain::claim() {
  std::string ignored;  // a region we may not write to is drained all the same; the probe then removes it at exit
  shm::ControlBlock* control = region_.control(&ignored);
  if (control == nullptr) return;
  const auto own = static_cast<std::uint32_t>(::getpid());
  std::uint32_t held = control->reader_pid.load();
  const auto is_free = [](std::uint32_t pid) {
    return pid == 0 || pid > 0x7fffffff || (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH);
  };
  while (held != own && is_free(held) && !control->reader_pid.compare_exchange_weak(held, own)) {
  }
}

void RegionDrain::release() {
  std::string ignored;
  shm::ControlBlock* control = region_.control(&ignored);
  auto own = static_cast<std::uint32_t>(::getpid());
  if (control != nullptr) control->reader_pid.compare_exchange_strong(own, 0);
}

void RegionDrain::look_once() {
  looks_once_ = true;
  counters_.forgive_history();
  heap_.take_the_young();
  descriptors_.take_the_young();
}

bool RegionDrain::restore(run::Reader& run) {
  const auto text = run.drain_state(context_.process);
  const auto state = text ? drain_state_from(*text) : std::nullopt;
  if (!state) return false;
  region_.go_on_from(state->positions);
  context_.restore(*state, run);
  counters_.restore(*state);
  threads_.restore(*state, run);
  descriptors_.restore(run);
  heap_.restore(*state, run);
  return true;
}

bool RegionDrain::is_plausible(const shm::ReadRecord& record, std::uint64_t now_ns) const {
  // Times come from the target: nothing may be booked before its region began or in the future.
  return record.time_ns >= region_.info().created_ns && record.time_ns <= now_ns + kSecondNs;
}

shm::DrainResult RegionDrain::drain() {
  context_.now_ns = clock_ns(CLOCK_MONOTONIC);
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
  begin_settings();
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
  settings_.end_round();
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
        context_.writer.count(run::CpuRow{context_.process, second, thread(), context_.stack_of_sample(record),
                                          spans_.name_of(record.span).value_or(run::kNoName), 1,
                                          static_cast<double>(record.cpu.weight_ns)});
      }
      break;
    case shm::RecordKind::kWait:
      if (second >= 0) {
        context_.writer.count(run::WaitRow{
            context_.process, second, thread(), context_.stack(record.stack, record.time_ns),
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
      settings_.changed(record);
      break;
    default:  // spans were taken first; forks and execs show as processes of their own
      break;
  }
}

// With the first records in hand, in the order of their times.
void RegionDrain::begin_settings() {
  if (has_begun_settings_) return;
  has_begun_settings_ = true;
  std::vector<shm::ReadRecord> changed;
  for (const auto& [time_ns, index] : order_)
    if (taken_[index].record.kind == shm::RecordKind::kSetting) changed.push_back(taken_[index].record);
  settings_.begin(status_, changed);
}

void RegionDrain::end_second(std::int64_t second) {
  end_second_at(clock_ns(CLOCK_MONOTONIC), second, false);
}

void RegionDrain::end_second_at(std::uint64_t now_ns, std::int64_t second, bool is_last) {
  context_.now_ns = now_ns;
  constexpr std::uint64_t kModulesEvery = 5;  // for those that were closed; new ones are seen at once
  if (second_count_ % kModulesEvery == 0) context_.read_modules(status_.modules_used);
  begin_settings();
  settings_.compare(status_, now_ns);
  ++second_count_;
  const std::vector<shm::ReadLane> lanes = region_.lanes();
  threads_.compare(lanes, now_ns);
  counters_.read(lanes, status_, second);
  heap_.end_second(now_ns, second, is_last);
  descriptors_.compare(region_.descriptors(), now_ns, is_last);
  spans_.end_second(now_ns, second);
  context_.forget_texts();
  DrainState state;
  state.positions = region_.positions();
  context_.save(state);
  counters_.save(state);
  threads_.save(state);
  heap_.save(state);
  context_.writer.put_drain_state(context_.process, to_text(state));
}

std::uint64_t RegionDrain::finish(std::uint64_t died_ns) {
  // Several rounds: records and frees that waited for others find that nothing more comes.
  for (int round = 0; round < 4; ++round) drain();
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  std::uint64_t end_ns = died_ns != 0 ? died_ns : std::max(last_record_ns_, region_.info().created_ns);
  if (status_.exit_ns >= region_.info().created_ns && status_.exit_ns < end_ns) end_ns = status_.exit_ns;
  end_ns = std::min(end_ns, now_ns);
  end_second_at(end_ns, std::max<std::int64_t>(0, context_.clock.second(end_ns)), true);
  if (looks_once_) spans_.write_open();
  spans_.finish();
  context_.end_symbols();
  return end_ns;
}

}  // namespace camprobe::drain
