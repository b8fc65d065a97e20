// exporters/slice.cc: see slice.h.
#include "exporters/slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

namespace {

struct WhatRow {
  What what;
  std::string_view name;
  Unit unit;
  std::string_view absent;  // why there may be none
};
constexpr std::array<WhatRow, 9> kWhats{{
    {What::kCpu, "cpu", Unit::kNanoseconds,
     "no CPU sample was taken: the target was idle, or ran with CAMPROBE_CPU_HZ=0"},
    {What::kAlloc, "alloc", Unit::kBytes,
     "no allocation was sampled: the target allocated little, or ran with CAMPROBE_HEAP_INTERVAL=0"},
    {What::kLive, "live", Unit::kBytes, "no sampled object that lived a second was alive then"},
    {What::kGrowth, "growth", Unit::kBytes, "no stack held more at the end than at the beginning"},
    {What::kRetained, "retained", Unit::kBytes, "nothing sampled that was allocated then was still alive at the end"},
    {What::kTemporary, "temporary", Unit::kObjects, "no sampled object was freed before its thread's next allocation"},
    {What::kWait, "wait", Unit::kNanoseconds, "no wait was recorded"},
    {What::kIo, "io", Unit::kBytes, "no descriptor opened then moved a byte"},
    {What::kSpans, "spans", Unit::kNanoseconds, "the program began no span; camprobe.h shows how to mark one"},
}};

const WhatRow& row_of(What what) {
  return *std::find_if(kWhats.begin(), kWhats.end(), [&](const WhatRow& row) { return row.what == what; });
}

std::string seconds_text(std::int64_t ns) {
  return fmt::format("{:g} s", static_cast<double>(ns) / 1e9);
}

// Adds weights up by path; the process stands at the root only where several are in the slice.
class Gatherer {
 public:
  Gatherer(run::Reader& run, std::optional<std::int64_t> pid) : stacks_(run) {
    for (const run::Process& process : run.processes()) {
      if (!pid || process.pid == *pid) labels_.emplace(process.id, process_label(process));
    }
    if (pid && labels_.empty()) {
      throw SliceError(fmt::format("--pid {}: no such process in {}; `camprobe report` lists them", *pid, run.path()));
    }
    only_labelled_ = pid.has_value();
  }

  StackTable& stacks() { return stacks_; }

  void add(run::ProcessId process, std::vector<FrameIndex> path, double weight) {
    if (!std::isfinite(weight) || weight == 0 || (only_labelled_ && !labels_.contains(process))) return;
    weights_[process][std::move(path)] += weight;
  }
  void add(const std::vector<run::StackWeight>& rows, double run::StackWeight::*weight, double sign = 1) {
    for (const run::StackWeight& row : rows) add(row.process, stacks_.root_first(row.stack), sign * (row.*weight));
  }

  Slice finish(What what, TimeRange range) {
    for (auto& [process, paths] : weights_) {
      std::erase_if(paths, [](const auto& entry) { return !(entry.second > 0); });
    }
    std::erase_if(weights_, [](const auto& entry) { return entry.second.empty(); });
    Slice slice;
    slice.what = what;
    slice.range = range;
    for (auto& [process, paths] : weights_) {
      for (auto& [path, weight] : paths) {
        WeightedStack stack{path, weight};
        if (weights_.size() > 1) {
          const auto label = labels_.find(process);
          const std::string root =
              label != labels_.end() ? label->second : fmt::format("process {}", run::number(process));
          stack.root_first.insert(stack.root_first.begin(), stacks_.made_up(root));
        }
        slice.total += weight;
        slice.stacks.push_back(std::move(stack));
      }
    }
    std::stable_sort(slice.stacks.begin(), slice.stacks.end(),
                     [](const WeightedStack& a, const WeightedStack& b) { return a.weight > b.weight; });
    slice.frames = stacks_.frames();
    return slice;
  }

 private:
  StackTable stacks_;
  std::map<run::ProcessId, std::string> labels_;
  bool only_labelled_ = false;
  std::map<run::ProcessId, std::map<std::vector<FrameIndex>, double>> weights_;
};

void gather_wait(run::Reader& run, Gatherer& gatherer, const run::Slice& part) {
  std::map<std::tuple<run::ProcessId, run::StackId, run::NameId>, double> sums;
  run.each_wait(part, [&](const run::WaitRow& row) { sums[{row.process, row.stack, row.call}] += row.weight_ns; });
  for (const auto& [key, weight] : sums) {
    const auto& [process, stack, call_id] = key;
    std::vector<FrameIndex> path = gatherer.stacks().root_first(stack);
    const std::string& call = run.name(call_id);
    if (!call.empty() && gatherer.stacks().frame(path.back()).function != call)
      path.push_back(gatherer.stacks().made_up(call));
    gatherer.add(process, std::move(path), weight);
  }
}

void gather_io(run::Reader& run, Gatherer& gatherer, const run::Slice& part) {
  const auto add = [&](run::ProcessId process, run::StackId stack, const std::string& kind, const std::string& peer,
                       std::int64_t read, std::int64_t written) {
    std::vector<FrameIndex> path = gatherer.stacks().root_first(stack);
    path.push_back(gatherer.stacks().made_up(peer.empty() ? kind : kind + " " + peer));
    for (const auto& [direction, bytes] : {std::pair{"read", read}, std::pair{"write", written}}) {
      std::vector<FrameIndex> leaf = path;
      leaf.push_back(gatherer.stacks().made_up(direction));
      gatherer.add(process, std::move(leaf), static_cast<double>(bytes));
    }
  };
  for (const run::Descriptor& row : run.descriptors()) {
    if (row.opened_ns < part.from_ns || row.opened_ns >= part.to_ns) continue;
    add(row.process, row.stack, row.kind, row.peer, row.read_bytes, row.write_bytes);
  }
  for (const run::DescriptorSum& row : run.descriptor_sums(part)) {
    add(row.process, row.stack, row.kind, row.peer, row.read_bytes, row.write_bytes);
  }
}

// A span's own time is its duration less that of the spans directly inside it (no less than nothing: spans of several
// threads inside one may together last longer than it does).
void gather_spans(run::Reader& run, Gatherer& gatherer, const run::Slice& part, std::vector<std::string>& notes) {
  struct Node {
    std::int64_t parent = 0;
    FrameIndex name = 0;
    std::int64_t ns = 0;
    std::int64_t inside_ns = 0;
    bool in_range = false;
  };
  std::map<std::pair<run::ProcessId, std::int64_t>, Node> spans;
  std::int64_t kept = 0;
  for (const run::Span& row : run.spans({.from_ns = 0, .to_ns = part.to_ns})) {
    if (!row.ended_ns) continue;
    const std::string& name = run.name(row.name);
    const bool in_range = row.began_ns >= part.from_ns;
    kept += in_range ? 1 : 0;
    spans.emplace(std::pair{row.process, row.span},
                  Node{row.parent, gatherer.stacks().made_up(name.empty() ? "[unnamed span]" : name),
                       std::max<std::int64_t>(0, *row.ended_ns - row.began_ns), 0, in_range});
  }
  for (auto& [key, node] : spans) {
    const auto parent = spans.find({key.first, node.parent});
    if (parent != spans.end() && parent->first != key) parent->second.inside_ns += node.ns;
  }
  constexpr int kDeepest = 512;  // and no way to hang on parents that form a ring
  for (const auto& [key, node] : spans) {
    if (!node.in_range) continue;
    std::vector<FrameIndex> path{node.name};
    auto at = spans.find({key.first, node.parent});
    for (int depth = 0; at != spans.end() && at->first != key && depth < kDeepest; ++depth) {
      path.push_back(at->second.name);
      at = spans.find({key.first, at->second.parent});
    }
    std::reverse(path.begin(), path.end());
    gatherer.add(key.first, std::move(path), static_cast<double>(std::max<std::int64_t>(0, node.ns - node.inside_ns)));
  }
  std::int64_t all = 0;
  for (const run::SpanStat& row : run.span_stats(part)) all += row.spans;
  if (all > kept)
    notes.push_back(fmt::format("{} of {} spans were kept one by one; the times are of those", kept, all));
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
  }
  return "";
}

std::int64_t instant_of(std::string_view text, std::int64_t duration_ns, std::string_view option) {
  const auto wrong = [&](std::string_view why) {
    return SliceError(
        fmt::format("{} {}: {}; write seconds since the start (90, 90s, 1m30s, 2h) or a share of the run (50%)", option,
                    shortened(printable_utf8(text), 40), why));
  };
  static constexpr std::array<std::pair<std::string_view, double>, 5> kScales{
      {{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
  std::string_view rest = text;
  double ns = 0;
  if (rest.empty()) throw wrong("not a time");
  while (!rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !std::isfinite(number)) throw wrong("not a time");
    if (number < 0) throw wrong("before the run began");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const std::size_t digit = rest.find_first_of("0123456789.");
    const std::string_view unit = rest.substr(0, digit);
    rest.remove_prefix(unit.size());
    const bool alone = rest.empty() && ns == 0;
    if (unit == "%" && alone) {
      if (number > 100) throw wrong("beyond the end of the run");
      return static_cast<std::int64_t>(std::llround(static_cast<double>(duration_ns) * number / 100));
    }
    if (unit.empty() && alone) {
      ns = number * 1e9;
      break;
    }
    const auto scale = std::find_if(kScales.begin(), kScales.end(), [&](const auto& s) { return s.first == unit; });
    if (scale == kScales.end()) throw wrong("not a time");
    ns += number * scale->second;
  }
  if (ns > static_cast<double>(duration_ns) + 1e9) {
    throw wrong(fmt::format("beyond the end of the run, which lasted {}", seconds_text(duration_ns)));
  }
  return std::min(static_cast<std::int64_t>(std::llround(ns)), duration_ns);
}

TimeRange range_of(const std::optional<std::string>& from, const std::optional<std::string>& to,
                   std::int64_t duration_ns) {
  TimeRange range{0, duration_ns};
  if (from) range.from_ns = instant_of(*from, duration_ns, "--from");
  if (to) range.to_ns = instant_of(*to, duration_ns, "--to");
  if (range.from_ns > range.to_ns) {
    throw SliceError(
        fmt::format("--from {} comes after --to {}; swap them", from.value_or("0"), to.value_or("the end of the run")));
  }
  return range;
}

Slice read_slice(run::Reader& run, What what, TimeRange range, std::optional<std::int64_t> pid) {
  Gatherer gatherer(run, pid);
  const run::Slice part{.from_ns = range.from_ns, .to_ns = range.to_ns};
  std::vector<std::string> notes;
  switch (what) {
    case What::kCpu:
      gatherer.add(run.cpu(part), &run::StackWeight::weight);
      break;
    case What::kAlloc:
      gatherer.add(run.alloc(part), &run::StackWeight::weight);
      break;
    case What::kTemporary:
      gatherer.add(run.alloc(part), &run::StackWeight::temporary_objects);
      break;
    case What::kLive:
      gatherer.add(run.live(range.to_ns), &run::StackWeight::weight);
      break;
    case What::kGrowth:
      gatherer.add(run.live(range.to_ns), &run::StackWeight::weight);
      gatherer.add(run.live(range.from_ns), &run::StackWeight::weight, -1);
      break;
    case What::kRetained:
      gatherer.add(run.retained(part), &run::StackWeight::weight);
      break;
    case What::kWait:
      gather_wait(run, gatherer, part);
      break;
    case What::kIo:
      gather_io(run, gatherer, part);
      break;
    case What::kSpans:
      gather_spans(run, gatherer, part, notes);
      break;
  }
  if (run.error()) throw SliceError(run.error()->sentence);
  Slice slice = gatherer.finish(what, range);
  slice.notes = std::move(notes);
  if (slice.stacks.empty()) {
    throw SliceError(fmt::format("{}: nothing to export for {} between {} and {} of the run: {}", run.path(),
                                 name_of(what), seconds_text(range.from_ns), seconds_text(range.to_ns),
                                 row_of(what).absent));
  }
  return slice;
}

}  // namespace camprobe::exporters
