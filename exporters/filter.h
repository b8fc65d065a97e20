// exporters/filter.h
//
// Which part of a run an export is about, from what a user wrote: a range of time or load windows, processes, threads,
// one span. Every exporter asks here and nowhere else, so that the same options mean the same in each format.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "run/reader.h"

namespace camprobe::exporters {

// Asked for something a run cannot give: the text is the one line a user sees.
class SliceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Times of a run as they are calculated with here: a stranger's file may say any number, and sums and differences of
// two of these still fit.
constexpr std::int64_t bounded_ns(std::int64_t ns) {
  constexpr std::int64_t kMost = (std::int64_t{1} << 62) - 1;
  return ns < -kMost ? -kMost : ns > kMost ? kMost : ns;
}
constexpr std::int64_t ns_of_second(std::int64_t second) {
  constexpr std::int64_t kMost = 4'000'000'000;
  return (second < -kMost ? -kMost : second > kMost ? kMost : second) * 1'000'000'000;
}

struct TimeRange {
  std::int64_t from_ns = 0;
  std::int64_t to_ns = 0;

  [[nodiscard]] bool has(std::int64_t at_ns) const { return at_ns >= from_ns && at_ns < to_ns; }
};

// An instant of a run as a user writes it: "90" and "90s" (seconds since the start), "1.5m", "1m30s", "2h", "250ms",
// "50%". Throws SliceError with a sentence that names `option` where it is none of them or lies outside the run.
std::int64_t instant_of(std::string_view text, std::int64_t duration_ns, std::string_view option);

// Both ends, each optional; throws SliceError where they are not in order or nothing lies between them.
TimeRange range_of(const std::optional<std::string>& from, const std::optional<std::string>& to,
                   std::int64_t duration_ns);

// The options as they were given.
struct FilterText {
  std::optional<std::string> from{}, to{};
  std::optional<std::string> process{};  // a pid, a program's name or its path
  std::optional<std::string> thread{};   // a thread id or a thread's name
  std::optional<std::string> span{};     // a span's name
  std::optional<std::string> window{};   // a load window's name, or a kind of window: all of that kind
};

struct Filter {
  std::vector<TimeRange> ranges;  // in order, none empty, none overlapping; at least one
  // Absent: all of them.
  std::optional<std::set<run::ProcessId>> processes{};
  std::optional<std::set<run::ThreadId>> threads{};
  std::optional<run::NameId> span{};
  std::string words{};  // "between 60 s and 120 s of the run, of thread worker": for messages

  Filter() = default;
  Filter(TimeRange range);  // NOLINT(google-explicit-constructor): a range alone is a filter

  [[nodiscard]] bool has_time(std::int64_t at_ns) const;
  [[nodiscard]] bool has(run::ProcessId process) const { return !processes || processes->count(process) > 0; }
  [[nodiscard]] bool has(run::ThreadId thread) const { return !threads || threads->count(thread) > 0; }
  [[nodiscard]] bool has(run::NameId span_name) const { return !span || *span == span_name; }
  // From the first range's beginning to the last one's end.
  [[nodiscard]] TimeRange outer() const { return {ranges.front().from_ns, ranges.back().to_ns}; }
};

// Throws SliceError with a sentence that says which option the run cannot meet, and what it has instead.
Filter filter_of(run::Reader& run, const FilterText& text);

}  // namespace camprobe::exporters
