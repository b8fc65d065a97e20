// exporters/samples.cc: see samples.h.
#include "exporters/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "exporters/safe_text.h"
#include "exporters/span_samples.h"

namespace camprobe::exporters {

namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

struct WhatRow {
  What what;
  std::string_view name;
  Unit unit;
  bool has_thread;          // whether rows know their thread
  bool has_span;            // and their span
  std::string_view absent;  // why there may be none
};
constexpr std::array<WhatRow, 9> kWhats{{
    {What::kCpu, "cpu", Unit::kNanoseconds, true, true,
     "no CPU sample was taken: the target was idle, or ran with CAMPROBE_CPU_HZ=0"},
    {What::kAlloc, "alloc", Unit::kBytes, false, true,
     "no allocation was sampled: the target allocated little, or ran with CAMPROBE_HEAP_INTERVAL=0"},
    {What::kLive, "live", Unit::kBytes, true, true, "no sampled object that lived a second was alive then"},
    {What::kGrowth, "growth", Unit::kBytes, true, true, "no stack held more at the end than at the beginning"},
    {What::kRetained, "retained", Unit::kBytes, true, true,
     "nothing sampled that was allocated then was still alive at the end"},
    {What::kTemporary, "temporary", Unit::kObjects, false, true,
     "no sampled object was freed before its thread's next allocation"},
    {What::kWait, "wait", Unit::kNanoseconds, true, false, "no wait was recorded"},
    {What::kIo, "io", Unit::kBytes, false, false, "no descriptor opened then moved a byte"},
    {What::kSpans, "spans", Unit::kNanoseconds, true, true,
     "the program began no span; camprobe.h shows how to mark one"},
}};

const WhatRow& row_of(What what) {
  return *std::find_if(kWhats.begin(), kWhats.end(), [&](const WhatRow& row) { return row.what == what; });
}

std::vector<Column> columns_of(What what, bool by_thread) {
  switch (what) {
    case What::kCpu:
      return {{"cpu", Unit::kNanoseconds}, {"samples", Unit::kCount}};
    case What::kWait:
      return {{"wait", Unit::kNanoseconds}, {"samples", Unit::kCount}};
    case What::kAlloc:
      return {{"alloc_space", Unit::kBytes},
              {"alloc_objects", Unit::kCount},
              {"inuse_objects", Unit::kCount},
              {"inuse_space", Unit::kBytes}};
    case What::kLive:
      // Allocations are not recorded by thread.
      if (by_thread) return {{"inuse_space", Unit::kBytes}, {"inuse_objects", Unit::kCount}};
      return {{"inuse_space", Unit::kBytes},
              {"inuse_objects", Unit::kCount},
              {"alloc_objects", Unit::kCount},
              {"alloc_space", Unit::kBytes}};
    case What::kGrowth:
      return {{"growth_space", Unit::kBytes}, {"growth_objects", Unit::kCount}};
    case What::kRetained:
      return {{"retained_space", Unit::kBytes}, {"retained_objects", Unit::kCount}};
    case What::kTemporary:
      return {{"temporary_objects", Unit::kObjects}};
    case What::kIo:
      return {{"io", Unit::kBytes}, {"operations", Unit::kCount}};
    case What::kSpans:
      return {{"span", Unit::kNanoseconds}, {"spans", Unit::kCount}};
  }
  return {};
}

// Adds rows up under what the caller wants to keep apart.
class Gatherer {
 public:
  Gatherer(run::Reader& run, Samples& samples, const Detail& detail) : samples_(samples), detail_(detail) {
    for (const run::LoadWindow& window : run.load_windows()) windows_.push_back(window);
    samples_.added.emplace_back();
    samples_.labels.emplace_back();
    samples_.windows.emplace_back();
  }

  // `at_ns`: when it happened, for the time step and the load window. Samples of spans have been asked for by name
  // already.
  void add(Sample sample, std::int64_t at_ns, const Values& values) {
    const Filter& filter = samples_.filter;
    if (!filter.has(sample.process) || !filter.has(sample.thread)) return;
    if (samples_.what != What::kSpans && !filter.has(sample.span)) return;
    if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) return;
    if (!detail_.threads) sample.thread = run::kNoThread;
    if (!detail_.spans) sample.span = run::kNoName;
    if (!detail_.labels) sample.labels = 0;
    sample.window = detail_.windows ? window_at(at_ns) : 0;
    sample.step = detail_.step_s > 0 ? std::max<std::int64_t>(0, at_ns) / (detail_.step_s * kSecondNs) : 0;
    Values& sum = sums_[{sample.process, sample.step, sample.thread, sample.span, sample.window, sample.stack,
                         sample.added, sample.labels}];
    for (std::size_t i = 0; i < samples_.columns.size(); ++i) sum[i] += values[i];
  }

  std::uint32_t added(const std::vector<std::string>& names) { return number_of(names, added_, samples_.added); }
  std::uint32_t labels(const Labels& labels) {
    return detail_.labels ? number_of(labels, labels_, samples_.labels) : 0;
  }

  void finish() {
    for (const auto& [key, values] : sums_) {
      if (std::all_of(values.begin(), values.end(), [](double value) { return value == 0; })) continue;
      Sample sample;
      std::tie(sample.process, sample.step, sample.thread, sample.span, sample.window, sample.stack, sample.added,
               sample.labels) = key;
      sample.values = values;
      samples_.rows.push_back(sample);
    }
  }

 private:
  template <class Value>
  static std::uint32_t number_of(const Value& value, std::map<Value, std::uint32_t>& numbers,
                                 std::vector<Value>& values) {
    if (value.empty()) return 0;
    const auto [found, is_new] = numbers.try_emplace(value, static_cast<std::uint32_t>(values.size()));
    if (is_new) values.push_back(value);
    return found->second;
  }

  // The first window that holds the instant: rows come in order of time, mostly.
  std::uint32_t window_at(std::int64_t at_ns) {
    for (const run::LoadWindow& window : windows_) {
      if (at_ns < window.from_ns || at_ns >= window.to_ns) continue;
      const std::string name = printable_utf8(window.name.empty() ? window.kind : window.name);
      const auto [found, is_new] =
          window_numbers_.try_emplace(name, static_cast<std::uint32_t>(samples_.windows.size()));
      if (is_new) samples_.windows.push_back(name);
      return found->second;
    }
    return 0;
  }

  using Key = std::tuple<run::ProcessId, std::int64_t, run::ThreadId, run::NameId, std::uint32_t,
                         std::optional<run::StackId>, std::uint32_t, std::uint32_t>;
  Samples& samples_;
  const Detail& detail_;
  std::vector<run::LoadWindow> windows_;
  std::map<std::string, std::uint32_t> window_numbers_;
  std::map<std::vector<std::string>, std::uint32_t> added_;
  std::map<Labels, std::uint32_t> labels_;
  std::map<Key, Values> sums_;
};

void gather_cpu(run::Reader& run, Gatherer& gatherer, const TimeRange& range) {
  run.each_cpu({.from_ns = range.from_ns, .to_ns = range.to_ns}, [&](const run::CpuRow& row) {
    gatherer.add({.process = row.process, .thread = row.thread, .span = row.span_name, .stack = row.stack},
                 ns_of_second(row.second), {row.weight_ns, static_cast<double>(row.samples)});
  });
}

void gather_wait(run::Reader& run, Gatherer& gatherer, const TimeRange& range) {
  std::map<std::pair<run::StackId, run::NameId>, std::uint32_t> leaves;
  run.each_wait({.from_ns = range.from_ns, .to_ns = range.to_ns}, [&](const run::WaitRow& row) {
    const auto [leaf, is_new] = leaves.try_emplace({row.stack, row.call}, 0);
    if (is_new) {
      const std::string& call = run.name(row.call);
      const run::Stack& stack = run.stack(row.stack);
      const bool ends_in_it = !stack.frames.empty() && run.frame(stack.frames.front()).function == call;
      if (!call.empty() && !ends_in_it) leaf->second = gatherer.added({call});
    }
    gatherer.add({.process = row.process, .thread = row.thread, .stack = row.stack, .added = leaf->second},
                 ns_of_second(row.second), {row.weight_ns, static_cast<double>(row.samples)});
  });
}

// `bytes` and `objects`: which columns of the samples they go to.
void gather_alloc(run::Reader& run, Gatherer& gatherer, const TimeRange& range, std::size_t bytes,
                  std::size_t objects) {
  run.each_alloc({.from_ns = range.from_ns, .to_ns = range.to_ns}, [&](const run::AllocRow& row) {
    Values values{};
    values[bytes] = row.bytes;
    values[objects] = row.objects;
    gatherer.add({.process = row.process, .span = row.span_name, .stack = row.stack}, ns_of_second(row.second), values);
  });
}

void gather_temporary(run::Reader& run, Gatherer& gatherer, const TimeRange& range) {
  run.each_alloc({.from_ns = range.from_ns, .to_ns = range.to_ns}, [&](const run::AllocRow& row) {
    gatherer.add({.process = row.process, .span = row.span_name, .stack = row.stack}, ns_of_second(row.second),
                 {row.temporary_objects});
  });
}

// Objects that `sign` says count for a range: +1, -1 or 0.
template <class Sign>
void gather_objects(run::Reader& run, Gatherer& gatherer, const std::vector<TimeRange>& ranges, std::size_t bytes,
                    std::size_t objects, const Sign& sign) {
  run.each_heap_object({}, [&](const run::HeapObject& row) {
    for (const TimeRange& range : ranges) {
      const double counts = sign(row, range);
      if (counts == 0) continue;
      Values values{};
      values[bytes] = counts * row.bytes;
      values[objects] = counts * row.objects;
      gatherer.add({.process = row.process, .thread = row.thread, .span = row.span_name, .stack = row.stack},
                   bounded_ns(row.born_ns), values);
    }
  });
}

bool alive_at(const run::HeapObject& row, std::int64_t at_ns) {
  return row.born_ns <= at_ns && (!row.died_ns || *row.died_ns > at_ns);
}

void gather_live(run::Reader& run, Gatherer& gatherer, const Filter& filter, std::size_t bytes, std::size_t objects) {
  gather_objects(run, gatherer, {filter.ranges.back()}, bytes, objects,
                 [](const run::HeapObject& row, const TimeRange& range) { return alive_at(row, range.to_ns) ? 1 : 0; });
}

void gather_io(run::Reader& run, Gatherer& gatherer, const TimeRange& range) {
  const auto add = [&](const auto& row, std::int64_t at_ns) {
    Labels labels{{"kind", printable_utf8(row.kind)}};
    if (!row.peer.empty()) labels.emplace_back("peer", printable_utf8(row.peer));
    const std::string descriptor = row.peer.empty() ? row.kind : row.kind + " " + row.peer;
    for (const auto& [direction, bytes, operations] :
         {std::tuple{"read", row.read_bytes, row.read_ops}, std::tuple{"write", row.write_bytes, row.write_ops}}) {
      if (bytes == 0) continue;
      gatherer.add({.process = row.process,
                    .stack = row.stack,
                    .added = gatherer.added({descriptor, direction}),
                    .labels = gatherer.labels(labels)},
                   at_ns, {static_cast<double>(bytes), static_cast<double>(operations)});
    }
  };
  for (const run::Descriptor& row : run.descriptors()) {
    if (range.has(row.opened_ns)) add(row, row.opened_ns);
  }
  for (const run::DescriptorSum& row : run.descriptor_sums({.from_ns = range.from_ns, .to_ns = range.to_ns}))
    add(row, ns_of_second(row.second));
}

void gather_spans(run::Reader& run, Gatherer& gatherer, Samples& samples) {
  std::int64_t kept = 0;
  each_span_sample(run, samples.filter, [&](const SpanSample& span) {
    ++kept;
    gatherer.add({.process = span.process,
                  .thread = span.thread,
                  .span = span.name,
                  .added = gatherer.added(span.path),
                  .labels = gatherer.labels(span.labels)},
                 span.began_ns, {span.own_ns, 1});
  });
  std::int64_t all = 0;
  for (const TimeRange& range : samples.filter.ranges) {
    for (const run::SpanStat& row : run.span_stats({.from_ns = range.from_ns, .to_ns = range.to_ns})) {
      if (samples.filter.has(row.process) && samples.filter.has(row.name)) all += row.spans;
    }
  }
  if (all > kept && !samples.filter.threads)
    samples.notes.push_back(fmt::format("{} of {} spans were kept one by one; the times are of those", kept, all));
}

// A stack that shrank is no growth, however many lines of it were sampled.
void keep_what_grew(run::Reader& run, Samples& samples) {
  StackTable stacks(run);
  std::map<std::pair<run::ProcessId, std::vector<FrameIndex>>, double> sums;
  const auto sum_of = [&](const Sample& row) -> double& { return sums[{row.process, path_of(stacks, samples, row)}]; };
  for (const Sample& row : samples.rows) sum_of(row) += row.values[samples.main];
  std::erase_if(samples.rows, [&](const Sample& row) { return !(sum_of(row) > 0); });
}

void refuse_what_is_not_recorded(const WhatRow& what, const Filter& filter) {
  const auto refuse = [&](std::string_view option, std::string_view by, auto has) {
    std::vector<std::string_view> others;
    for (const WhatRow& row : kWhats) {
      if (row.*has) others.push_back(row.name);
    }
    throw SliceError(fmt::format("{}: {} is not recorded by {}; leave it out, or choose --what {}", option, what.name,
                                 by, fmt::join(others, ", ")));
  };
  if (filter.threads && !what.has_thread) refuse("--thread", "thread", &WhatRow::has_thread);
  if (filter.span && !what.has_span) refuse("--span", "span", &WhatRow::has_span);
}

}  // namespace

std::optional<What> what_named(std::string_view name) {
  for (const WhatRow& row : kWhats) {
    if (row.name == name) return row.what;
  }
  return std::nullopt;
}

std::string_view name_of(What what) {
  return row_of(what).name;
}
Unit unit_of(What what) {
  return row_of(what).unit;
}

std::string_view all_names_of_what() {
  static const std::string names = [] {
    std::vector<std::string_view> list;
    for (const WhatRow& row : kWhats) list.push_back(row.name);
    return fmt::format("{}", fmt::join(list, ", "));
  }();
  return names;
}

std::string_view name_of(Unit unit) {
  switch (unit) {
    case Unit::kNanoseconds:
      return "nanoseconds";
    case Unit::kBytes:
      return "bytes";
    case Unit::kObjects:
      return "objects";
    case Unit::kCount:
      return "count";
  }
  return "";
}

Samples read_samples(run::Reader& run, What what, const Filter& filter, const Detail& detail) {
  refuse_what_is_not_recorded(row_of(what), filter);
  Samples samples;
  samples.what = what;
  samples.filter = filter;
  samples.columns = columns_of(what, filter.threads.has_value());
  if (!detail.all_columns) samples.columns.resize(1);
  Gatherer gatherer(run, samples, detail);
  const bool whole_heap = samples.columns.size() == kMostColumns;
  const auto each_range = [&](auto gather) {
    for (const TimeRange& range : filter.ranges) gather(run, gatherer, range);
  };
  switch (what) {
    case What::kCpu:
      each_range(gather_cpu);
      break;
    case What::kWait:
      each_range(gather_wait);
      break;
    case What::kTemporary:
      each_range(gather_temporary);
      break;
    case What::kIo:
      each_range(gather_io);
      break;
    case What::kAlloc:
      for (const TimeRange& range : filter.ranges) gather_alloc(run, gatherer, range, 0, 1);
      if (whole_heap) gather_live(run, gatherer, filter, 3, 2);
      break;
    case What::kLive:
      gather_live(run, gatherer, filter, 0, 1);
      if (whole_heap) {
        for (const TimeRange& range : filter.ranges) gather_alloc(run, gatherer, range, 3, 2);
      }
      break;
    case What::kGrowth:
      gather_objects(run, gatherer, filter.ranges, 0, 1, [](const run::HeapObject& row, const TimeRange& range) {
        return (alive_at(row, range.to_ns) ? 1 : 0) - (alive_at(row, range.from_ns) ? 1 : 0);
      });
      break;
    case What::kRetained:
      gather_objects(run, gatherer, filter.ranges, 0, 1, [](const run::HeapObject& row, const TimeRange& range) {
        return range.has(row.born_ns) && alive_at(row, range.to_ns) ? 1 : 0;
      });
      break;
    case What::kSpans:
      gather_spans(run, gatherer, samples);
      break;
  }
  gatherer.finish();
  if (what == What::kGrowth) keep_what_grew(run, samples);
  if (run.error()) throw SliceError(run.error()->sentence);
  // A heap profile with allocations but nothing alive holds nothing of what is asked for.
  const bool has_some = std::any_of(samples.rows.begin(), samples.rows.end(),
                                    [&](const Sample& row) { return row.values[samples.main] != 0; });
  if (!has_some) {
    throw SliceError(fmt::format("{}: nothing to export for {} {}: {}", run.path(), name_of(what), filter.words,
                                 row_of(what).absent));
  }
  return samples;
}

std::vector<FrameIndex> path_of(StackTable& stacks, const Samples& samples, const Sample& sample) {
  std::vector<FrameIndex> path;
  if (sample.stack) path = stacks.root_first(*sample.stack);
  for (const std::string& name : samples.added[sample.added]) path.push_back(stacks.made_up(name));
  return path;
}

}  // namespace camprobe::exporters
