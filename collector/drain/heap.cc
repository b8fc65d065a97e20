#include "collector/drain/heap.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "collector/metrics.h"

namespace camprobe::drain {

SampleWeight weigh(std::uint64_t size, std::uint64_t interval) {
  if (interval == 0) return {1, static_cast<double>(size)};
  const double n = static_cast<double>(std::max<std::uint64_t>(size, 1));
  const double probability = -std::expm1(-n / static_cast<double>(interval));
  return {1 / probability, n / probability};
}

std::int64_t age_octave(std::uint64_t age_ns) {
  const std::uint64_t microseconds = age_ns / 1000;
  return microseconds == 0 ? 0 : std::bit_width(microseconds) - 1;
}

void HeapDrain::allocated(const shm::ReadRecord& record, run::ThreadId thread, run::NameId span_name) {
  const shm::AllocPayload& alloc = record.alloc;
  Object object;
  object.stack = context_.stack(record.stack, record.time_ns);
  object.thread = thread;
  object.span_name = span_name;
  object.size = alloc.size;
  object.interval = alloc.interval;
  object.born_ns = record.time_ns;

  const std::int64_t second = context_.clock.second(record.time_ns);
  if (second >= 0) {
    const SampleWeight weight = weigh(alloc.size, alloc.interval);
    context_.writer.count(
        run::AllocRow{context_.process, second, object.stack, span_name, 1, weight.objects, weight.bytes, 0});
  }
  if (alloc.sample == 0) return;  // not what the probe writes
  if (!late_frees_.empty()) {
    const auto late = late_frees_.find(alloc.sample);
    if (late != late_frees_.end()) {
      const shm::ReadRecord free = late->second.record;
      late_frees_.erase(late);
      die(alloc.sample, object, free.time_ns, (free.flags & shm::kFlagTemporary) != 0);
      return;
    }
  }
  if (live_.find(alloc.sample) == nullptr) young_.emplace_back(alloc.sample, object.born_ns);
  keep(alloc.sample, object);
}

void HeapDrain::keep(std::uint64_t sample, const Object& object) {
  const auto [at, is_new] = live_.at(sample);
  if (!is_new) {  // a sample number twice: not what the probe writes
    const SampleWeight before = weigh(at->size, at->interval);
    sum_.objects -= before.objects;
    sum_.bytes -= before.bytes;
  }
  *at = object;
  const SampleWeight weight = weigh(object.size, object.interval);
  sum_.objects += weight.objects;
  sum_.bytes += weight.bytes;
}

void HeapDrain::freed(const shm::ReadRecord& record) {
  const Object* found = live_.find(record.free.sample);
  if (found == nullptr) {
    late_frees_.try_emplace(record.free.sample, LateFree{record, 0});
    return;
  }
  const Object object = *found;
  const SampleWeight weight = weigh(object.size, object.interval);
  sum_.objects -= weight.objects;
  sum_.bytes -= weight.bytes;
  live_.erase(record.free.sample);
  die(record.free.sample, object, record.time_ns, (record.flags & shm::kFlagTemporary) != 0);
}

void HeapDrain::end_round(std::uint64_t live_in_table, bool has_lost_records) {
  // The count is from before the rings were read, so it is seldom exact while the program allocates; but ten times a
  // second without agreement means that something is missing.
  agreed_ |= live_.size() + mappings_.size() == live_in_table;
  if (has_lost_records) compares_due_ = 3;
  constexpr int kPatience = 2;
  for (auto at = late_frees_.begin(); at != late_frees_.end();) {
    if (at->second.rounds++ < kPatience) {
      ++at;
      continue;
    }
    // Its allocation was lost, or was before our time: the free says all but the thread.
    const shm::ReadRecord& record = at->second.record;
    Object object;
    object.born_ns = std::min(record.free.born_ns, record.time_ns);
    object.stack = context_.stack(record.stack, object.born_ns);
    object.size = record.free.size;
    object.interval = record.free.interval;
    die(at->first, object, record.time_ns, (record.flags & shm::kFlagTemporary) != 0);
    at = late_frees_.erase(at);
  }
}

void HeapDrain::store(std::uint64_t sample, const Object& object, std::uint64_t died_ns) {
  const SampleWeight weight = weigh(object.size, object.interval);
  run::HeapObject row;
  row.process = context_.process;
  row.sample = to_integer(sample);
  row.stack = object.stack;
  row.thread = object.thread;
  row.span_name = object.span_name;
  row.size = to_integer(object.size);
  row.interval = to_integer(object.interval);
  row.bytes = weight.bytes;
  row.objects = weight.objects;
  row.born_ns = context_.clock.run_ns(object.born_ns);
  if (died_ns != 0) row.died_ns = std::max(row.born_ns, context_.clock.run_ns(died_ns));
  context_.writer.put(row);
}

void HeapDrain::die(std::uint64_t sample, const Object& object, std::uint64_t died_ns, bool is_temporary) {
  const std::uint64_t age = died_ns > object.born_ns ? died_ns - object.born_ns : 0;
  const SampleWeight weight = weigh(object.size, object.interval);
  const std::int64_t second = context_.clock.second(died_ns);
  if (second >= 0) {
    context_.writer.count(run::Lifetime{context_.process, second, age_octave(age), 1, weight.objects, weight.bytes});
  }
  const std::int64_t born_second = context_.clock.second(object.born_ns);
  if (is_temporary && born_second >= 0) {
    context_.writer.count(
        run::AllocRow{context_.process, born_second, object.stack, object.span_name, 0, 0, 0, weight.objects});
  }
  if (object.is_stored || (age >= kMinAgeNs && second >= 0)) store(sample, object, died_ns);
}

void HeapDrain::mapped(const shm::ReadRecord& record) {
  run::Mapping row;
  row.process = context_.process;
  row.address = to_integer(record.map.address);
  row.bytes = to_integer(record.map.size);
  row.stack = context_.stack(record.stack, record.time_ns);
  row.mapped_ns = context_.clock.run_ns(record.time_ns);
  const auto [at, is_new] = mappings_.try_emplace(record.map.sample, row);
  if (!is_new) return;
  at->second.id = context_.writer.add(row);
  sum_.mapped_bytes += static_cast<double>(record.map.size);
}

void HeapDrain::unmapped(const shm::ReadRecord& record) {
  const auto found = mappings_.find(record.map.sample);
  if (found == mappings_.end()) return;
  found->second.unmapped_ns = std::max(found->second.mapped_ns, context_.clock.run_ns(record.time_ns));
  context_.writer.update(found->second);
  sum_.mapped_bytes -= static_cast<double>(found->second.bytes);
  mappings_.erase(found);
}

void HeapDrain::save(DrainState& state) const {
  for (const auto& [sample, row] : mappings_) state.mappings.push_back({sample, row.id});
}

void HeapDrain::restore(const DrainState& state, run::Reader& run) {
  const std::uint64_t began = context_.clock.started_monotonic_ns;
  run.each_heap_object(context_.process, [&](const run::HeapObject& row) {
    if (row.died_ns) return;
    Object object;
    object.stack = row.stack;
    object.thread = row.thread;
    object.span_name = row.span_name;
    object.size = static_cast<std::uint64_t>(row.size);
    object.interval = static_cast<std::uint64_t>(row.interval);
    object.born_ns = static_cast<std::uint64_t>(row.born_ns) + began;
    object.is_stored = true;
    keep(static_cast<std::uint64_t>(row.sample), object);
  });
  std::unordered_map<std::int64_t, run::Mapping> rows;
  for (const run::Mapping& row : run.mappings(context_.process)) {
    if (!row.unmapped_ns) rows.emplace(row.id, row);
  }
  for (const auto& [sample, id] : state.mappings) {
    const auto row = rows.find(id);
    if (row == rows.end()) continue;
    sum_.mapped_bytes += static_cast<double>(row->second.bytes);
    mappings_.emplace(sample, row->second);
  }
  compares_due_ = 3;
}

void HeapDrain::end_second(std::uint64_t now_ns, std::int64_t second, bool is_last) {
  constexpr int kCompareEvery = 10;
  ++since_compared_;
  // A target that writes allocations without end must not make us keep more than a table holds.
  const bool is_too_much = live_.size() > shm::kLiveSamples;
  const bool is_due = is_last || !agreed_ || compares_due_ > 0 || since_compared_ >= kCompareEvery || is_too_much;
  const LiveHeap live = is_due ? compare(now_ns) : sum_;
  come_of_age(now_ns);
  agreed_ = false;
  context_.writer.point(metrics::kHeapLiveBytes, context_.process, second, live.bytes);
  context_.writer.point(metrics::kHeapLiveObjects, context_.process, second, live.objects);
  context_.writer.point(metrics::kMappedBytes, context_.process, second, live.mapped_bytes);
}

// Gives what the table holds.
HeapDrain::LiveHeap HeapDrain::compare(std::uint64_t now_ns) {
  compares_due_ = std::max(0, compares_due_ - 1);
  since_compared_ = 0;
  LiveHeap total;
  FlatMap<bool> seen;
  for (const shm::ReadLiveSample& entry : context_.region.live_samples()) {
    const shm::LiveSample& sample = entry.sample;
    if (sample.sample == 0 || sample.born_ns > now_ns) continue;  // not what the probe writes
    if (!seen.at(sample.sample).second) continue;
    if (entry.is_mapping) {
      total.mapped_bytes += static_cast<double>(sample.size);
      if (mappings_.count(sample.sample) != 0) continue;
      run::Mapping row;
      row.process = context_.process;
      row.address = to_integer(entry.address);
      row.bytes = to_integer(sample.size);
      row.stack = context_.stack(sample.stack, sample.born_ns);
      row.mapped_ns = context_.clock.run_ns(sample.born_ns);
      row.id = context_.writer.add(row);
      mappings_.emplace(sample.sample, row);
      continue;
    }
    const SampleWeight weight = weigh(sample.size, sample.interval);
    total.objects += weight.objects;
    total.bytes += weight.bytes;
    if (Object* known = live_.find(sample.sample)) {
      known->missed = 0;
      continue;
    }
    if (now_ns - sample.born_ns < min_age_ns_ || late_frees_.count(sample.sample) != 0)
      continue;  // its record will come
    Object object;
    object.stack = context_.stack(sample.stack, sample.born_ns);
    object.thread = context_.thread_with_tid(sample.tid);
    object.size = sample.size;
    object.interval = sample.interval;
    object.born_ns = sample.born_ns;
    object.is_stored = true;
    keep(sample.sample, object);
    store(sample.sample, object, 0);
  }
  come_of_age(now_ns);

  // Gone without a word: twice not in the table, to leave its record time to come.
  live_.erase_if([&](std::uint64_t sample, Object& object) {
    if (seen.find(sample) != nullptr || now_ns - std::min(now_ns, object.born_ns) < kMinAgeNs || ++object.missed < 2)
      return false;
    die(sample, object, now_ns, false);
    return true;
  });
  for (auto at = mappings_.begin(); at != mappings_.end();) {
    if (seen.find(at->first) != nullptr ||
        at->second.mapped_ns + static_cast<std::int64_t>(kMinAgeNs) > context_.clock.run_ns(now_ns)) {
      ++at;
      continue;
    }
    at->second.unmapped_ns = std::max(at->second.mapped_ns, context_.clock.run_ns(now_ns));
    context_.writer.update(at->second);
    at = mappings_.erase(at);
  }

  // Added up afresh, so that neither rounding nor what was just found adds up over days.
  sum_ = {};
  live_.each([&](std::uint64_t, const Object& object) {
    const SampleWeight weight = weigh(object.size, object.interval);
    sum_.objects += weight.objects;
    sum_.bytes += weight.bytes;
  });
  for (const auto& [sample, row] : mappings_) sum_.mapped_bytes += static_cast<double>(row.bytes);
  return total;
}

void HeapDrain::come_of_age(std::uint64_t now_ns) {
  while (!young_.empty() && young_.front().second + min_age_ns_ <= now_ns) {
    const std::uint64_t sample = young_.front().first;
    Object* found = live_.find(sample);
    young_.pop_front();
    if (found == nullptr || found->is_stored) continue;
    found->is_stored = true;
    store(sample, *found, 0);
  }
}

}  // namespace camprobe::drain
