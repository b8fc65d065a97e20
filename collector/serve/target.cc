#include "collector/serve/target.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "collector/drain/heap.h"
#include "collector/drain/run_clock.h"
#include "collector/proc/process_series.h"
#include "run/text.h"

namespace camprobe::serve {
namespace {

constexpr std::uint64_t kDrainEveryNs = 100'000'000;
constexpr std::uint64_t kWantedNs = 300'000'000'000;  // longer than anybody's scrape interval
// A label is a word, not a story.
constexpr std::size_t kMostLabelBytes = 96;

double ticks_per_second() {
  static const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return ticks;
}

std::string label_text(std::string_view text) {
  std::string safe = run::valid_utf8(text.substr(0, kMostLabelBytes));
  for (char& c : safe)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  return safe;
}

std::string program_of(const proc::ProcessFiles& files) {
  std::string path = files.executable();
  if (path.empty()) {
    const auto stat = files.stat();
    return stat ? label_text(stat->name) : "";
  }
  constexpr std::string_view kDeleted = " (deleted)";  // replaced by a newer version while it runs
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return label_text(std::string_view(path).substr(path.rfind('/') + 1));
}

}  // namespace

Target::Target(shm::RegionReader region, proc::ProcessFiles files)
    : region_(std::move(region)),
      files_(std::move(files)),
      status_(region_.status().value_or(shm::RegionStatus{})),
      program_(program_of(files_)),
      pace_(kDrainEveryNs) {
  wanted_until_ns_ = drain::clock_ns(CLOCK_MONOTONIC) + kWantedNs;
  const double booted = static_cast<double>(drain::clock_ns(CLOCK_REALTIME)) / 1e9 -
                        static_cast<double>(drain::clock_ns(CLOCK_BOOTTIME)) / 1e9;
  started_at_ = booted + static_cast<double>(files_.start_ticks()) / ticks_per_second();
  process_.memory_limit_bytes = proc::memory_limit(files_);
  if (const auto limits = files_.read("limits")) process_.descriptor_limit = proc::parse_descriptor_limit(*limits);
}

bool Target::is_there() const {
  return status_.state != shm::RegionState::kExec && !files_.is_dead();
}

std::string Target::text(shm::NameId id) {
  return label_text(region_.name(id).value_or(""));
}

std::uint64_t Target::drain(std::uint64_t now_ns) {
  if (now_ns < next_drain_ns_) return next_drain_ns_;
  if (const auto status = region_.status()) status_ = *status;
  const SpanTotals::TextOf text_of = [this](shm::NameId id) { return text(id); };
  std::uint64_t implausible = 0;
  sockets_.clear();
  const shm::DrainResult drained =
      region_.drain(status_.lanes_used, [&](const shm::LaneOwner& lane, bool, const shm::ReadRecord& record) {
        // Times come from the target: nothing is from before its region or from the future.
        if (record.time_ns < region_.info().created_ns || record.time_ns > now_ns + drain::kSecondNs ||
            record.kind >= shm::RecordKind::kKinds) {
          ++implausible;
          return;
        }
        records_[static_cast<std::size_t>(record.kind)] += 1;
        if (record.kind == shm::RecordKind::kSpan)
          spans_.ended(lane.index, record, text_of);
        else if (record.kind == shm::RecordKind::kSpanAttributes)
          spans_.attributes(lane.index, record, text_of);
        else
          use(record);
      });
  // A descriptor may be opened by one thread and closed by another, whose ring was read first.
  std::sort(sockets_.begin(), sockets_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [time_ns, record] : sockets_)
    record.kind == shm::RecordKind::kOpen ? peers_.opened(record) : peers_.closed(record);
  peers_.end_round();
  if (now_ns >= next_settle_ns_) {
    spans_.settle(now_ns, text_of);
    next_settle_ns_ = now_ns + drain::kSecondNs;
  }
  lapped_ += static_cast<double>(drained.lapped);
  torn_ += static_cast<double>(drained.torn + implausible);
  next_drain_ns_ = now_ns + pace_.after(drained.fullest_per_1024);
  return next_drain_ns_;
}

void Target::use(const shm::ReadRecord& record) {
  switch (record.kind) {
    case shm::RecordKind::kFree: {
      const drain::SampleWeight weight = drain::weigh(record.free.size, record.free.interval);
      const std::uint64_t born_ns = std::min(record.free.born_ns, record.time_ns);
      lifetimes_.add(static_cast<double>(record.time_ns - born_ns) / 1e9, weight.objects);
      freed_bytes_ += weight.bytes;
      if ((record.flags & shm::kFlagTemporary) != 0) temporary_objects_ += weight.objects;
      break;
    }
    case shm::RecordKind::kOpen:
    case shm::RecordKind::kClose:
      sockets_.emplace_back(record.time_ns, record);
      break;
    default:
      break;
  }
}

void Target::refresh(std::uint64_t now_ns) {
  if (const auto status = region_.status()) status_ = *status;
  read_process();
  read_counters();
  peers_.compare(region_.descriptors());
  wanted_until_ns_ = now_ns + kWantedNs;
}

void Target::read_process() {
  if (const auto stat = files_.stat()) {
    process_.cpu_user_seconds = static_cast<double>(stat->user_ticks) / ticks_per_second();
    process_.cpu_system_seconds = static_cast<double>(stat->system_ticks) / ticks_per_second();
    process_.minor_faults = static_cast<double>(stat->minor_faults);
    process_.major_faults = static_cast<double>(stat->major_faults);
    process_.threads = static_cast<double>(stat->threads);
  }
  const auto status = files_.read("status");
  process_.memory = status ? proc::parse_memory_parts(*status) : std::nullopt;
  const auto io = files_.read("io");
  process_.io = io ? proc::parse_io(*io) : std::nullopt;
  process_.open_descriptors = files_.count_descriptors();
}

void Target::read_counters() {
  CounterFigures now;
  now.allocations = static_cast<double>(status_.stray_allocs);
  now.frees = static_cast<double>(status_.stray_frees);
  now.allocated_bytes = static_cast<double>(status_.stray_bytes);
  for (const shm::ReadLane& lane : region_.lanes()) {
    now.allocations += static_cast<double>(lane.heap_allocs);
    now.frees += static_cast<double>(lane.heap_frees);
    now.allocated_bytes += static_cast<double>(lane.heap_bytes);
    for (std::size_t kind = 0; kind < shm::kIoKinds; ++kind) {
      now.io[kind].ops += lane.io[kind].ops;
      now.io[kind].bytes += lane.io[kind].bytes;
      now.io[kind].errors += lane.io[kind].errors;
      now.io[kind].ns += lane.io[kind].ns;
    }
  }
  // A counter that seems to have gone back was read while it was written; Prometheus would take it for a restart.
  const auto grow = [](auto& held, auto value) { held = std::max(held, value); };
  grow(counters_.allocations, now.allocations);
  grow(counters_.frees, now.frees);
  grow(counters_.allocated_bytes, now.allocated_bytes);
  for (std::size_t kind = 0; kind < shm::kIoKinds; ++kind) {
    grow(counters_.io[kind].ops, now.io[kind].ops);
    grow(counters_.io[kind].bytes, now.io[kind].bytes);
    grow(counters_.io[kind].errors, now.io[kind].errors);
    grow(counters_.io[kind].ns, now.io[kind].ns);
  }
}

void Target::read_heap(std::uint64_t now_ns) {
  const std::uint64_t began_ns = drain::clock_ns(CLOCK_THREAD_CPUTIME_ID);
  HeapFigures now;
  for (const shm::ReadLiveSample& live : region_.live_samples()) {
    const drain::SampleWeight weight = drain::weigh(live.sample.size, live.sample.interval);
    if (live.is_mapping) {
      now.mapped_bytes += weight.bytes;
    } else {
      now.live_objects += weight.objects;
      now.live_bytes += weight.bytes;
    }
  }
  heap_ = now;
  read_process();
  watch_levels(now_ns);
  constexpr std::uint64_t kShare = 1000, kAtLeastNs = 5'000'000'000, kAtMostNs = 60'000'000'000;
  const std::uint64_t took_ns = drain::clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns;
  next_heap_ns_ = now_ns + std::clamp(took_ns * kShare, kAtLeastNs, kAtMostNs);
}

// Judging them all again takes milliseconds, and little is new after half a minute.
void Target::watch_levels(std::uint64_t now_ns) {
  LeakWatch::Levels levels;
  const bool samples_heap = status_.heap_interval != 0;
  if (samples_heap && heap_) {
    levels.heap_bytes = heap_->live_bytes;
    levels.mapping_bytes = heap_->mapped_bytes;
    levels.heap_error = std::sqrt(heap_->live_bytes * static_cast<double>(status_.heap_interval));
  }
  levels.threads = process_.threads;
  if (process_.open_descriptors) levels.descriptors = static_cast<double>(*process_.open_descriptors);
  if (process_.memory)
    levels.resident_bytes =
        static_cast<double>(process_.memory->anonymous + process_.memory->file + process_.memory->shared);
  levels.memory_limit_bytes = static_cast<double>(process_.memory_limit_bytes.value_or(0));
  leaks_.add(static_cast<double>(now_ns) / 1e9, levels);
  constexpr std::uint64_t kJudgeEveryNs = 30'000'000'000;
  if (now_ns < next_judgement_ns_) return;
  next_judgement_ns_ = now_ns + kJudgeEveryNs;
  leaks_.judge();
}

}  // namespace camprobe::serve
