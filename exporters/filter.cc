// exporters/filter.cc: see filter.h.
#include "exporters/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "exporters/safe_text.h"
#include "run/span_names.h"

namespace camprobe::exporters {

namespace {

std::string seconds_text(std::int64_t ns) {
  return fmt::format("{:g} s", static_cast<double>(ns) / 1e9);
}

std::string between(const TimeRange& range) {
  return fmt::format("between {} and {} of the run", seconds_text(range.from_ns), seconds_text(range.to_ns));
}

std::string readable(std::string_view text) {
  return shortened(printable_utf8(text), 60);
}

// "a, b, c and 4 more", or what to say where there is none.
std::string some_of(const std::set<std::string>& names, std::string_view none) {
  constexpr std::size_t kMost = 6;
  if (names.empty()) return std::string(none);
  std::string text;
  std::size_t said = 0;
  for (const std::string& name : names) {
    if (said == kMost) return text + fmt::format(" and {} more", names.size() - kMost);
    text += (said++ == 0 ? "" : ", ") + readable(name);
  }
  return text;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::set<run::ProcessId> processes_called(run::Reader& run, const std::string& wanted) {
  std::set<run::ProcessId> found;
  std::set<std::string> there;
  const auto pid = whole_number(wanted);
  for (const run::Process& process : run.processes()) {
    if (process.id == run::kMachine) continue;
    const std::string name = process.executable.substr(process.executable.rfind('/') + 1);
    if ((pid && process.pid == *pid) || name == wanted || process.executable == wanted) found.insert(process.id);
    there.insert(fmt::format("{} ({})", process.pid, name));
  }
  if (found.empty())
    throw SliceError(fmt::format("--process {}: no such process in {}; it has {}", readable(wanted), run.path(),
                                 some_of(there, "none")));
  return found;
}

std::set<run::ThreadId> threads_called(run::Reader& run, const std::string& wanted, const Filter& filter) {
  std::set<run::ThreadId> found;
  std::set<std::string> there;
  const auto tid = whole_number(wanted);
  for (const run::Thread& thread : run.threads()) {
    if (!filter.has(thread.process)) continue;
    if ((tid && thread.tid == *tid) || thread.name == wanted) found.insert(thread.id);
    there.insert(fmt::format("{} ({})", thread.tid, thread.name));
  }
  if (found.empty())
    throw SliceError(fmt::format("--thread {}: no such thread in {}; it has {}", readable(wanted), run.path(),
                                 some_of(there, "none")));
  return found;
}

run::NameId span_called(run::Reader& run, const std::string& wanted) {
  std::set<run::NameId> ids;
  for (const run::SpanStat& row : run.span_stats()) ids.insert(row.name);
  for (const auto& [name, is_root] : run::names_of_spans(run)) ids.insert(name);
  std::set<std::string> there;
  for (const run::NameId id : ids) {
    if (run.name(id) == wanted && id != run::kNoName) return id;
    there.insert(run.name(id));
  }
  throw SliceError(fmt::format("--span {}: no such span in {}; it has {}", readable(wanted), run.path(),
                               some_of(there, "none: the program began no span")));
}

std::vector<TimeRange> windows_called(run::Reader& run, const std::string& wanted, std::int64_t duration_ns) {
  std::vector<TimeRange> found;
  std::set<std::string> there;
  for (const run::LoadWindow& window : run.load_windows()) {
    if (window.name == wanted || window.kind == wanted)
      found.push_back({std::max<std::int64_t>(0, window.from_ns), std::min(window.to_ns, duration_ns)});
    there.insert(window.name.empty() ? window.kind : window.name);
  }
  if (found.empty())
    throw SliceError(fmt::format("--window {}: no such load window in {}; it has {}", readable(wanted), run.path(),
                                 some_of(there, "none: record it with --load")));
  return found;
}

// In order and without overlap, cut to `whole`.
std::vector<TimeRange> joined(std::vector<TimeRange> ranges, const TimeRange& whole) {
  std::sort(ranges.begin(), ranges.end(), [](const TimeRange& a, const TimeRange& b) { return a.from_ns < b.from_ns; });
  std::vector<TimeRange> out;
  for (TimeRange range : ranges) {
    range.from_ns = std::max(range.from_ns, whole.from_ns);
    range.to_ns = std::min(range.to_ns, whole.to_ns);
    if (range.from_ns >= range.to_ns) continue;
    if (!out.empty() && range.from_ns <= out.back().to_ns) {
      out.back().to_ns = std::max(out.back().to_ns, range.to_ns);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

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
  if (range.from_ns == range.to_ns && (from || to)) {
    throw SliceError(fmt::format("from {} to {} is an empty range; the run lasted {}", from.value_or("the start"),
                                 to.value_or("the end of the run"), seconds_text(duration_ns)));
  }
  return range;
}

Filter::Filter(TimeRange range) : ranges{range}, words(between(range)) {}

bool Filter::has_time(std::int64_t at_ns) const {
  return std::any_of(ranges.begin(), ranges.end(), [&](const TimeRange& range) { return range.has(at_ns); });
}

Filter filter_of(run::Reader& run, const FilterText& text) {
  const std::int64_t duration_ns = run.duration_ns();
  Filter filter(range_of(text.from, text.to, duration_ns));
  if (text.window) {
    const TimeRange whole = filter.ranges.front();
    filter.ranges = joined(windows_called(run, *text.window, duration_ns), whole);
    if (filter.ranges.empty())
      throw SliceError(fmt::format("--window {}: no part of it lies {}", readable(*text.window), between(whole)));
    filter.words = "in load window " + readable(*text.window);
    if (text.from || text.to) filter.words += " " + between(whole);
  }
  if (text.process) {
    filter.processes = processes_called(run, *text.process);
    filter.words += ", of process " + readable(*text.process);
  }
  if (text.thread) {
    filter.threads = threads_called(run, *text.thread, filter);
    filter.words += ", of thread " + readable(*text.thread);
  }
  if (text.span) {
    filter.span = span_called(run, *text.span);
    filter.words += ", in span " + readable(*text.span);
  }
  if (run.error()) throw SliceError(run.error()->sentence);
  return filter;
}

}  // namespace camprobe::exporters
