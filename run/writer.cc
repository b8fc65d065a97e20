// run/writer.cc
//
// Gathering rows: ids are given and buckets added up here; run/writer_rows.cc writes them.
#include "run/writer.h"

#include <algorithm>
#include <utility>

#include "run/text.h"
#include "run/writer_state.h"

namespace camprobe::run {
NameId Writer::name(std::string_view raw) {
  if (raw.empty()) return kNoName;
  std::string text = valid_utf8(raw);
  const auto [found, is_new] = state_->names.try_emplace(text, NameId{});
  if (is_new) {
    found->second = NameId{static_cast<std::int64_t>(state_->names.size())};
    state_->pending.names.emplace_back(found->second, std::move(text));
  }
  return found->second;
}

ProcessId Writer::add(Process row) {
  row.id = ProcessId{++state_->processes};
  update(row);
  return row.id;
}
ThreadId Writer::add(Thread row) {
  row.id = ThreadId{++state_->threads};
  update(row);
  return row.id;
}
std::int64_t Writer::add(Module row) {
  row.id = ++state_->modules;
  update(row);
  return row.id;
}
std::int64_t Writer::add(Mapping row) {
  row.id = ++state_->mappings;
  update(row);
  return row.id;
}
std::int64_t Writer::add(Descriptor row) {
  row.id = ++state_->descriptors;
  update(row);
  return row.id;
}
SourceId Writer::add(LoadSource row) {
  row.id = SourceId{++state_->sources};
  state_->pending.load_sources.push_back(std::move(row));
  return SourceId{state_->sources};
}
void Writer::update(const Process& row) {
  state_->pending.processes[number(row.id)] = row;
}
void Writer::update(const Thread& row) {
  state_->pending.threads[number(row.id)] = row;
}
void Writer::update(const Module& row) {
  state_->pending.modules[row.id] = row;
}
void Writer::update(const Mapping& row) {
  state_->pending.mappings[row.id] = row;
}
void Writer::update(const Descriptor& row) {
  state_->pending.descriptors[row.id] = row;
}

StackId Writer::add_stack(ProcessId process, bool truncated, std::optional<RegionStack> in_region) {
  const StackId id{++state_->stacks};
  state_->pending.stacks.push_back({id, process, truncated, {}, in_region});
  return id;
}

FrameId Writer::frame(Frame frame) {
  frame.function = valid_utf8(frame.function);
  frame.file = valid_utf8(frame.file);
  frame.module = valid_utf8(frame.module);
  const auto [found, is_new] = state_->frames.try_emplace(key_of(frame), FrameId{});
  if (is_new) {
    found->second = FrameId{static_cast<std::int64_t>(state_->frames.size())};
    frame.id = found->second;
    state_->pending.frames.push_back(std::move(frame));
  }
  return found->second;
}

void Writer::set_frames(StackId stack, const std::vector<Frame>& leaf_first) {
  Stack row;
  row.id = stack;
  row.frames.reserve(leaf_first.size());
  for (const Frame& one : leaf_first) row.frames.push_back(frame(one));
  state_->pending.stack_frames.push_back(std::move(row));
}

void Writer::point(const Metric& metric, ProcessId process, std::int64_t second, double value) {
  auto found = state_->metrics.find(metric.name);
  if (found == state_->metrics.end()) {
    found = state_->metrics.emplace(metric.name, static_cast<std::int64_t>(state_->metrics.size()) + 1).first;
    state_->pending.metrics.push_back({found->second, metric.name, metric.unit, metric.kind});
  }
  state_->present = std::max(state_->present, second);
  state_->pending.points[{found->second, process, state_->folder->bucket_of(second)}] = value;
}

void Writer::count(const CpuRow& counted) {
  const CpuRow row = state_->in_its_bucket(counted);
  const auto [at, is_new] = state_->pending.cpu.try_emplace(
      {number(row.process), row.second, number(row.thread), number(row.stack), number(row.span_name)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->weight_ns += row.weight_ns;
}

void Writer::count(const WaitRow& counted) {
  const WaitRow row = state_->in_its_bucket(counted);
  const auto [at, is_new] = state_->pending.wait.try_emplace(
      {number(row.process), row.second, number(row.thread), number(row.stack), number(row.call)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->weight_ns += row.weight_ns;
}

void Writer::count(const AllocRow& counted) {
  const AllocRow row = state_->in_its_bucket(counted);
  const auto [at, is_new] = state_->pending.alloc.try_emplace(
      {number(row.process), row.second, number(row.stack), number(row.span_name)}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->objects += row.objects;
  at->bytes += row.bytes;
  at->temporary_objects += row.temporary_objects;
}

void Writer::count(const Lifetime& counted) {
  const Lifetime row = state_->in_its_bucket(counted);
  const auto [at, is_new] = state_->pending.lifetimes.try_emplace({number(row.process), row.second, row.octave}, row);
  if (is_new) return;
  at->samples += row.samples;
  at->objects += row.objects;
  at->bytes += row.bytes;
}

void Writer::count(const DescriptorSum& counted) {
  const DescriptorSum row = state_->in_its_bucket(counted);
  auto [at, is_new] =
      state_->pending.descriptor_sums.try_emplace({row.process, row.second, row.kind, row.peer, row.stack}, row);
  if (is_new) return;
  DescriptorSum& sum = at->second;
  sum.opened += row.opened;
  sum.closed += row.closed;
  sum.read_ops += row.read_ops;
  sum.read_bytes += row.read_bytes;
  sum.write_ops += row.write_ops;
  sum.write_bytes += row.write_bytes;
}

void Writer::count(const IoRow& counted) {
  const IoRow row = state_->in_its_bucket(counted);
  auto [at, is_new] = state_->pending.io.try_emplace({row.process, row.second, row.kind}, row);
  if (is_new) return;
  at->second.ops += row.ops;
  at->second.bytes += row.bytes;
  at->second.errors += row.errors;
  at->second.ns += row.ns;
}

void Writer::count(const SpanAttribute& counted) {
  const SpanAttribute row = state_->in_its_bucket(counted);
  auto [at, is_new] =
      state_->pending.span_attributes.try_emplace({row.process, row.second, row.name, row.key, row.text}, row);
  if (is_new) return;
  at->second.spans += row.spans;
  at->second.sum += row.sum;
  at->second.changes += row.changes;
}

void Writer::count(const Lost& counted) {
  const Lost row = state_->in_its_bucket(counted);
  auto [at, is_new] = state_->pending.lost.try_emplace({row.process, row.second, row.kind}, row);
  if (!is_new) at->second.records += row.records;
}

void Writer::count(const SpanEnd& ended) {
  const SpanEnd span = state_->in_its_bucket(ended);
  auto& [stat, histogram] = state_->pending.span_stats[{span.process, span.second, span.name}];
  const std::int64_t duration = std::max<std::int64_t>(span.duration_ns, 0);
  stat.process = span.process;
  stat.second = span.second;
  stat.name = span.name;
  ++stat.spans;
  stat.total_ns = sum_of(stat.total_ns, duration);
  stat.max_ns = std::max(stat.max_ns, duration);
  histogram.record(static_cast<std::uint64_t>(duration));
}

void Writer::count(const SpanStat& counted, const Histogram& durations) {
  const SpanStat row = state_->in_its_bucket(counted);
  auto& [stat, histogram] = state_->pending.span_stats[{row.process, row.second, row.name}];
  stat.process = row.process;
  stat.second = row.second;
  stat.name = row.name;
  stat.spans += row.spans;
  stat.total_ns += row.total_ns;
  stat.max_ns = std::max(stat.max_ns, row.max_ns);
  histogram.merge(durations);
}

void Writer::put(const UnnamedStack& row) {
  state_->pending.unnamed_stacks.push_back(row);
}
void Writer::put(const HeapObject& row) {
  state_->pending.heap_objects.insert_or_assign({number(row.process), row.sample}, row);
}
void Writer::put(const Span& row) {
  state_->pending.spans[{row.process, row.span}] = row;
}
void Writer::put(const LoadBucket& row) {
  // The load tool's results come when all is over: of a long run, most of it is folded by then. Quantiles cannot be put
  // together, so what has only those stays as it is.
  const std::int64_t width = state_->folder->width_at(row.second);
  if (width <= row.width || row.p50_ms || row.p95_ms || row.p99_ms) {
    state_->pending.load_buckets.push_back(row);
    return;
  }
  const std::int64_t second = state_->folder->bucket_of(row.second);
  auto [at, is_new] = state_->pending.folded_load.try_emplace({row.source, second, row.endpoint});
  auto& [sum, latency] = at->second;
  if (is_new) {
    sum = row;
    sum.second = second;
    sum.width = width;
    sum.latency.reset();
  } else {
    sum.requests += row.requests;
    sum.errors += row.errors;
    if (row.max_ms) sum.max_ms = std::max(*row.max_ms, sum.max_ms.value_or(0));
    if (row.users) sum.users = row.users;
  }
  if (!row.latency) return;
  if (const auto own = Histogram::from_json(*row.latency)) latency.merge(*own);
}
void Writer::put(const SpanStat& row) {
  state_->pending.whole_span_stats.push_back(row);
}
void Writer::put(const LoadWindow& row) {
  state_->pending.load_windows.push_back(row);
}
void Writer::put(const Mark& row) {
  state_->pending.marks.push_back(row);
}
void Writer::put(const Setting& row) {
  state_->pending.settings.push_back(row);
}
void Writer::put_drain_state(ProcessId process, std::string state) {
  state_->pending.drain_states[process] = std::move(state);
}
void Writer::set_meta(std::string_view key, std::string_view value) {
  state_->pending.meta[std::string(key)] = valid_utf8(value);
}

}  // namespace camprobe::run
