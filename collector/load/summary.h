// collector/load/summary.h
//
// What tools that print one summary, and no rows, have in common (wrk, ab, siege): totals, a few quantiles, how long it
// took, and not when. Such a run has no series and no place on a clock of its own; whoever started the tool gives it
// one (LoadTimeline::place).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/load/error_kinds.h"
#include "collector/load/input.h"
#include "collector/load/timeline.h"

namespace camprobe::load {

struct Summary {
  std::optional<std::uint64_t> requests, errors;
  Quantiles latency;
  std::optional<Nanoseconds> duration;
  std::optional<double> users;
  std::string endpoint;
};

// Adds up the summaries of one file: of several (an output that was appended to) the quantiles do not merge.
class Summaries {
 public:
  void add(Summary summary);
  bool empty() const { return count_ == 0; }
  // `basis` is from when the tool counts latencies.
  void finish(LoadTimeline& timeline, LatencyBasis basis);

  ErrorKinds kinds;

 private:
  std::size_t count_ = 0;
  Summary sum_;
};

// Reads all that a tool printed, a line at a time: Reader has add(line), and finish(timeline), which gives the result.
template <class Reader>
run::Result<LoadTimeline> read_printed(Input& input) {
  LoadTimeline timeline;
  Reader printed;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) printed.add(line);
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  return printed.finish(std::move(timeline));
}

// "4.81ms", "626.42us", "10.01s", "2m", "1.5h" in milliseconds. A number without a unit is none.
std::optional<double> parse_ms(std::string_view text);

// Takes the next word, between blanks, off the front of `line`; empty at the end.
std::string_view take_word(std::string_view& line);

// The first number behind `label` in `line`: "Failed requests:   12" -> 12.
std::optional<double> number_behind(std::string_view line, std::string_view label);

// A count that a tool printed, from a number; nothing where it is none.
std::optional<std::uint64_t> as_count(std::optional<double> number);

}  // namespace camprobe::load
