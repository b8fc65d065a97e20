#include "collector/drain/heap.h"

#include <bit>
#include <cmath>
#include <unordered_set>

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
  object.stack = context_.stack(record.stack, false, record.time_ns);
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
  const auto late = late_frees_.find(alloc.sample);
  if (late != late_frees_.end()) {
    const shm::ReadRecord free = late->second.record;
    late_frees_.erase(late);
    die(alloc.sample, object, free.time_ns, (free.flags & shm::kFlagTemporary) != 0);
    return;
  }
  const auto [at, is_new] = live_.insert_or_assign(alloc.sample, object);
  if (is_new) young_.emplace_back(alloc.sample, object.born_ns);
}

void HeapDrain::freed(const shm::ReadRecord& record) {
  const auto found = live_.find(record.free.sample);
  if (found == live_.end()) {
    late_frees_.try_emplace(record.free.sample, LateFree{record, 0});
    return;
  }
  const Object object = found->second;
  live_.erase(found);
  die(record.free.sample, object, record.time_ns, (record.flags & shm::kFlagTemporary) != 0);
}

void HeapDrain::end_round() {
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
    object.stack = context_.stack(record.stack, false, object.born_ns);
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
  row.stack = context_.stack(record.stack, false, record.time_ns);
  row.mapped_ns = context_.clock.run_ns(record.time_ns);
  const auto [at, is_new] = mappings_.try_emplace(record.map.sample, row);
  if (is_new) at->second.id = context_.writer.add(row);
}

void HeapDrain::unmapped(const shm::ReadRecord& record) {
  const auto found = mappings_.find(record.map.sample);
  if (found == mappings_.end()) return;
  found->second.unmapped_ns = std::max(found->second.mapped_ns, context_.clock.run_ns(record.time_ns));
  context_.writer.update(found->second);
  mappings_.erase(found);
}

void HeapDrain::compare(const std::vector<shm::ReadLiveSample>& live, std::uint64_t now_ns, std::int64_t second) {
  SampleWeight total;
  double mapped = 0;
  std::unordered_set<std::uint64_t> seen;
  seen.reserve(live.size());
  for (const shm::ReadLiveSample& entry : live) {
    const shm::LiveSample& sample = entry.sample;
    if (sample.sample == 0 || sample.born_ns > now_ns) continue;  // not what the probe writes
    if (!seen.insert(sample.sample).second) continue;
    if (entry.is_mapping) {
      mapped += static_cast<double>(sample.size);
      if (mappings_.count(sample.sample) != 0) continue;
      run::Mapping row;
      row.process = context_.process;
      row.address = to_integer(entry.address);
      row.bytes = to_integer(sample.size);
      row.stack = context_.stack(sample.stack, false, sample.born_ns);
      row.mapped_ns = context_.clock.run_ns(sample.born_ns);
      row.id = context_.writer.add(row);
      mappings_.emplace(sample.sample, row);
      continue;
    }
    const SampleWeight weight = weigh(sample.size, sample.interval);
    total.objects += weight.objects;
    total.bytes += weight.bytes;
    const auto known = live_.find(sample.sample);
    if (known != live_.end()) {
      known->second.missed = 0;
      continue;
    }
    if (now_ns - sample.born_ns < min_age_ns_ || late_frees_.count(sample.sample) != 0)
      continue;  // its record will come
    Object object;
    object.stack = context_.stack(sample.stack, false, sample.born_ns);
    object.thread = context_.thread_with_tid(sample.tid);
    object.size = sample.size;
    object.interval = sample.interval;
    object.born_ns = sample.born_ns;
    object.is_stored = true;
    live_.emplace(sample.sample, object);
    store(sample.sample, object, 0);
  }

  // Of age now.
  while (!young_.empty() && young_.front().second + min_age_ns_ <= now_ns) {
    const auto found = live_.find(young_.front().first);
    young_.pop_front();
    if (found == live_.end() || found->second.is_stored) continue;
    found->second.is_stored = true;
    store(found->first, found->second, 0);
  }

  // Gone without a word: twice not in the table, to leave its record time to come.
  for (auto at = live_.begin(); at != live_.end();) {
    Object& object = at->second;
    if (seen.count(at->first) != 0 || now_ns - std::min(now_ns, object.born_ns) < kMinAgeNs || ++object.missed < 2) {
      ++at;
      continue;
    }
    die(at->first, object, now_ns, false);
    at = live_.erase(at);
  }
  for (auto at = mappings_.begin(); at != mappings_.end();) {
    if (seen.count(at->first) != 0 ||
        at->second.mapped_ns + static_cast<std::int64_t>(kMinAgeNs) > context_.clock.run_ns(now_ns)) {
      ++at;
      continue;
    }
    at->second.unmapped_ns = std::max(at->second.mapped_ns, context_.clock.run_ns(now_ns));
    context_.writer.update(at->second);
    at = mappings_.erase(at);
  }

  context_.writer.point(metrics::kHeapLiveBytes, context_.process, second, total.bytes);
  context_.writer.point(metrics::kHeapLiveObjects, context_.process, second, total.objects);
  context_.writer.point(metrics::kMappedBytes, context_.process, second, mapped);
}

}  // namespace camprobe::drain
