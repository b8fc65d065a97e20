// exporters/slice.cc: see slice.h.
#include "exporters/slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct WhatRow {
  What what;
  std::string_view name;
  Unit unit;
  std::string_view absent;  // why there may be none
};
constexpr std::array<WhatRow, 9> kWhats{{
    {What::kCpu, "cpu", Unit::kNanoseconds, "no CPU sample was taken: the target was idle, or ran with CAMPROBE_CPU_HZ=0"},
    {What::kAlloc, "alloc", Unit::kBytes, "no allocation was sampled: the target allocated little, or ran with CAMPROBE_HEAP_INTERVAL=0"},
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

std::string seconds_text(std::int64_t ns) { return fmt::format("{:g} s", static_cast<double>(ns) / 1e9); }

// Adds weights up by path; the process stands at the root only where several are in the slice.
class Gatherer {
 public:
  Gatherer(const RunFile& run, std::optional<std::int64_t> pid) : stacks_(run) {
    Query rows = run.query("SELECT id, pid, executable FROM process");
    while (rows.next()) {
      if (pid && rows.integer(1) != *pid) continue;
      wanted_.emplace(rows.integer(0), process_label(rows.text(2), rows.integer(1)));
    }
    if (pid && wanted_.empty()) {
      throw RunError(fmt::format("--pid {}: no such process in {}; `camprobe report` lists them", *pid, run.path().string()));
    }
    filtered_ = pid.has_value();
  }

  StackTable& stacks() { return stacks_; }

  [[nodiscard]] bool wants(std::int64_t process) const { return !filtered_ || wanted_.contains(process); }

  void add(std::int64_t process, std::vector<FrameIndex> path, double weight) {
    if (!std::isfinite(weight) || weight == 0 || !wants(process)) return;
    weights_[process][std::move(path)] += weight;
  }

  Slice finish(What what, TimeRange range) {
    Slice slice;
    slice.what = what;
    slice.range = range;
    for (auto& [process, paths] : weights_) {
      std::erase_if(paths, [](const auto& entry) { return !(entry.second > 0); });
    }
    std::erase_if(weights_, [](const auto& entry) { return entry.second.empty(); });
    for (auto& [process, paths] : weights_) {
      for (auto& [path, weight] : paths) {
        WeightedStack stack{path, weight};
        if (weights_.size() > 1) {
          const auto named = wanted_.find(process);
          const std::string label = named != wanted_.end() ? named->second : fmt::format("process {}", process);
          stack.root_first.insert(stack.root_first.begin(), stacks_.made_up(label));
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
  std::unordered_map<std::int64_t, std::string> wanted_;
  bool filtered_ = false;
  std::map<std::int64_t, std::map<std::vector<FrameIndex>, double>> weights_;
};

// The whole seconds whose buckets a range touches.
std::int64_t first_second(TimeRange range) { return range.from_ns / kSecond; }
std::int64_t past_second(TimeRange range) { return (range.to_ns + kSecond - 1) / kSecond; }

void gather_by_second(const RunFile& run, Gatherer& gatherer, TimeRange range, std::string_view table, std::string_view column) {
  Query rows = run.query(fmt::format(
      "SELECT process, stack, SUM({}) FROM {} WHERE second >= ? AND second < ? GROUP BY process, stack", column, table));
  rows.bind(1, first_second(range)).bind(2, past_second(range));
  while (rows.next()) gatherer.add(rows.integer(0), gatherer.stacks().root_first(rows.integer(1)), rows.real(2));
}

void gather_wait(const RunFile& run, Gatherer& gatherer, TimeRange range) {
  Query rows = run.query(
      "SELECT process, stack, coalesce(name.text, ''), SUM(weight_ns) FROM wait LEFT JOIN name ON name.id = wait.call "
      "WHERE second >= ? AND second < ? GROUP BY process, stack, call");
  rows.bind(1, first_second(range)).bind(2, past_second(range));
  while (rows.next()) {
    std::vector<FrameIndex> path = gatherer.stacks().root_first(rows.integer(1));
    const std::string call = rows.text(2);
    if (!call.empty() && gatherer.stacks().frame(path.back()).function != call) path.push_back(gatherer.stacks().made_up(call));
    gatherer.add(rows.integer(0), std::move(path), rows.real(3));
  }
}

// Bytes alive at `instant`, times `sign`.
void gather_live(const RunFile& run, Gatherer& gatherer, std::int64_t instant, double sign) {
  Query rows = run.query(
      "SELECT process, stack, SUM(bytes) FROM heap_object WHERE born_ns <= ?1 AND (died_ns IS NULL OR died_ns > ?1) "
      "GROUP BY process, stack");
  rows.bind(1, instant);
  while (rows.next()) gatherer.add(rows.integer(0), gatherer.stacks().root_first(rows.integer(1)), sign * rows.real(2));
}

void gather_retained(const RunFile& run, Gatherer& gatherer, TimeRange range) {
  Query rows = run.query(
      "SELECT process, stack, SUM(bytes) FROM heap_object WHERE born_ns >= ?1 AND born_ns < ?2 "
      "AND (died_ns IS NULL OR died_ns >= ?2) GROUP BY process, stack");
  rows.bind(1, range.from_ns).bind(2, range.to_ns);
  while (rows.next()) gatherer.add(rows.integer(0), gatherer.stacks().root_first(rows.integer(1)), rows.real(2));
}

void gather_io(const RunFile& run, Gatherer& gatherer, TimeRange range) {
  Query rows = run.query(
      "SELECT process, stack, kind, peer, SUM(r), SUM(w) FROM ("
      " SELECT process, stack, kind, coalesce(peer, '') AS peer, read_bytes AS r, write_bytes AS w FROM descriptor"
      "  WHERE opened_ns >= ?1 AND opened_ns < ?2"
      " UNION ALL SELECT process, stack, kind, peer, read_bytes, write_bytes FROM descriptor_sum WHERE second >= ?3 AND second < ?4"
      ") GROUP BY process, stack, kind, peer");
  rows.bind(1, range.from_ns).bind(2, range.to_ns).bind(3, first_second(range)).bind(4, past_second(range));
  while (rows.next()) {
    std::vector<FrameIndex> path = gatherer.stacks().root_first(rows.integer(1));
    const std::string peer = rows.text(3);
    path.push_back(gatherer.stacks().made_up(peer.empty() ? rows.text(2) : rows.text(2) + " " + peer));
    for (const auto& [direction, bytes] : {std::pair{"read", rows.real(4)}, std::pair{"write", rows.real(5)}}) {
      std::vector<FrameIndex> leaf = path;
      leaf.push_back(gatherer.stacks().made_up(direction));
      gatherer.add(rows.integer(0), std::move(leaf), bytes);
    }
  }
}

// A span's own time is its duration less that of the spans directly inside it (no less than nothing: spans of several
// threads inside one may together last longer than it does).
void gather_spans(const RunFile& run, Gatherer& gatherer, TimeRange range) {
  struct Node {
    std::int64_t parent = 0;
    FrameIndex name = 0;
    std::int64_t ns = 0;
    std::int64_t inside_ns = 0;
    bool in_range = false;
  };
  std::map<std::pair<std::int64_t, std::int64_t>, Node> spans;  // by process and span
  Query rows = run.query(
      "SELECT process, span, parent, coalesce(text, ''), began_ns, ended_ns FROM span LEFT JOIN name ON name.id = span.name "
      "WHERE ended_ns IS NOT NULL AND began_ns < ?");
  rows.bind(1, range.to_ns);
  while (rows.next()) {
    const std::string name = rows.text(3);
    spans.emplace(std::pair{rows.integer(0), rows.integer(1)},
                  Node{rows.integer(2), gatherer.stacks().made_up(name.empty() ? "[unnamed span]" : name),
                       std::max<std::int64_t>(0, rows.integer(5) - rows.integer(4)), 0, rows.integer(4) >= range.from_ns});
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
}

void note_spans_left_out(const RunFile& run, TimeRange range, Slice& slice) {
  Query all = run.query("SELECT coalesce(SUM(spans), 0) FROM span_stat WHERE second >= ? AND second < ?");
  all.bind(1, first_second(range)).bind(2, past_second(range));
  Query kept = run.query("SELECT count(*) FROM span WHERE began_ns >= ? AND began_ns < ? AND ended_ns IS NOT NULL");
  kept.bind(1, range.from_ns).bind(2, range.to_ns);
  if (all.next() && kept.next() && all.integer(0) > kept.integer(0)) {
    slice.notes.push_back(fmt::format("{} of {} spans were kept one by one; the times are of those", kept.integer(0), all.integer(0)));
  }
}

}  // namespace

std::optional<What> what_named(std::string_view name) {
  for (const WhatRow& row : kWhats) {
    if (row.name == name) return row.what;
  }
  return std::nullopt;
}

std::string_view name_of(What what) { return row_of(what).name; }
Unit unit_of(What what) { return row_of(what).unit; }

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
    case Unit::kNanoseconds: return "nanoseconds";
    case Unit::kBytes: return "bytes";
    case Unit::kObjects: return "objects";
  }
  return "";
}

std::int64_t instant_of(std::string_view text, std::int64_t duration_ns, std::string_view option) {
  const auto wrong = [&](std::string_view why) {
    return RunError(fmt::format("{} {}: {}; write seconds since the start (90, 90s, 1m30s, 2h) or a share of the run (50%)", option,
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

TimeRange range_of(const std::optional<std::string>& from, const std::optional<std::string>& to, std::int64_t duration_ns) {
  TimeRange range{0, duration_ns};
  if (from) range.from_ns = instant_of(*from, duration_ns, "--from");
  if (to) range.to_ns = instant_of(*to, duration_ns, "--to");
  if (range.from_ns > range.to_ns) {
    throw RunError(fmt::format("--from {} comes after --to {}; swap them", from.value_or("0"), to.value_or("the end of the run")));
  }
  return range;
}

Slice read_slice(const RunFile& run, What what, TimeRange range, std::optional<std::int64_t> pid) {
  Gatherer gatherer(run, pid);
  switch (what) {
    case What::kCpu: gather_by_second(run, gatherer, range, "cpu", "weight_ns"); break;
    case What::kAlloc: gather_by_second(run, gatherer, range, "alloc", "bytes"); break;
    case What::kTemporary: gather_by_second(run, gatherer, range, "alloc", "temporary_objects"); break;
    case What::kLive: gather_live(run, gatherer, range.to_ns, 1); break;
    case What::kGrowth:
      gather_live(run, gatherer, range.to_ns, 1);
      gather_live(run, gatherer, range.from_ns, -1);
      break;
    case What::kRetained: gather_retained(run, gatherer, range); break;
    case What::kWait: gather_wait(run, gatherer, range); break;
    case What::kIo: gather_io(run, gatherer, range); break;
    case What::kSpans: gather_spans(run, gatherer, range); break;
  }
  Slice slice = gatherer.finish(what, range);
  if (what == What::kSpans) note_spans_left_out(run, range, slice);
  if (slice.stacks.empty()) {
    throw RunError(fmt::format("{}: nothing to export for {} between {} and {} of the run: {}", run.path().string(), name_of(what),
                               seconds_text(range.from_ns), seconds_text(range.to_ns), row_of(what).absent));
  }
  return slice;
}

std::string process_label(std::string_view executable, std::int64_t pid) {
  const std::size_t slash = executable.rfind('/');
  const std::string_view base = slash == std::string_view::npos ? executable : executable.substr(slash + 1);
  return fmt::format("{} (pid {})", base.empty() ? "process" : base, pid);
}

}  // namespace camprobe::exporters
