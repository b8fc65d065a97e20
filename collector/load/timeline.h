// collector/load/timeline.h
//
// What a load tool's output says about a load run, in one shape whatever the tool: who asked how much, when, how long
// answers took, and in which phases. What a tool's output cannot tell is absent here; nothing is guessed.
//
// The words. A request counts once, at the time it was sent. An error is a request that got no answer, an HTTP status
// of 400 or above, or what the tool itself calls failed. Latency covers requests that were answered, failed or not.
// All times are wall-clock times as the tool wrote them; fitting them to the run's own clock is the collector's work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/load/wall_time.h"
#include "run/histogram.h"

namespace camprobe::load {

// From when a latency was counted. A tool that waits for an answer before it sends the next request hides the time that
// the next one would have waited ("coordinated omission"): such latencies count from `sent`, not from `intended`.
enum class LatencyBasis { kNone, kSent, kIntended };
const char* to_string(LatencyBasis basis);  // none, sent, intended: as in run/schema.sql

// Quantiles as a tool printed them, in milliseconds. They cannot be merged, over time or over endpoints.
struct Quantiles {
  std::optional<double> p50_ms, p95_ms, p99_ms, max_ms;
};

// One stretch of time of one endpoint, or of all of them together.
struct LoadCell {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;  // without meaning where the timeline's own `errors` is absent
  run::Histogram latency;    // empty where the tool gave no single latencies
  std::optional<Quantiles> given;
  std::optional<double> users;  // virtual users or connections at work
};

// [from, from + width). The first and the last bucket of a tool that aligns its buckets reach beyond the run itself.
struct LoadBucket {
  WallTime from;
  Nanoseconds width;
  LoadCell all;
  std::vector<std::pair<std::uint32_t, LoadCell>> endpoints;  // index into LoadTimeline::endpoints, ascending
};

// kind: ramp | steady | spike | idle | warm-up, or load where nothing clear is known.
struct LoadPhase {
  std::string name;
  std::string kind;
  WallTime from, to;
};

// What could not be used: how many rows, and why, for the first few of them ("line 7: no such status").
struct Skipped {
  static constexpr std::size_t kReasonsKept = 20;
  std::uint64_t rows = 0;
  std::vector<std::string> why;

  void row(std::string reason);   // a row that is left out
  void note(std::string reason);  // something in the file that is left out but is not a row
};

// How many requests failed in one way: an HTTP status ("HTTP 503") or the tool's own words.
struct ErrorKind {
  std::string kind;
  std::uint64_t count = 0;
};

struct LoadTimeline {
  std::string tool;  // the name of its command: h2load, k6, jmeter, ...
  std::optional<std::uint64_t> requests;
  std::optional<std::uint64_t> errors;
  std::optional<WallTime> start;  // the first request was sent
  std::optional<WallTime> end;    // the last answer, or failure, came
  // How long the run took, where the tool says that but not when (wrk, ab and siege print no clock): see place().
  std::optional<Nanoseconds> duration;
  Nanoseconds resolution{0};  // how finely the tool's stamps are written
  LatencyBasis latency_basis = LatencyBasis::kNone;
  run::Histogram latency;              // of all requests; empty where the tool gave no single latencies
  std::optional<Quantiles> given;      // of all requests, where the tool gave only these
  std::optional<double> users;         // virtual users or connections, where there are no buckets to hold them
  std::vector<ErrorKind> error_kinds;  // most frequent first; empty where the tool tells no kinds
  std::vector<std::string> endpoints;
  std::vector<LoadBucket> buckets;  // ascending; stretches without requests are left out
  std::vector<LoadPhase> phases;
  Skipped skipped;
  std::vector<std::string> notes;  // limits of the format that a reader of the figures should know

  // p50, p95, p99 and max of all requests, from the histogram or as given.
  std::optional<Quantiles> quantiles() const;
  // Puts a timeline that has a duration and no clock where somebody who saw the tool run knows it began: one bucket.
  // Does nothing to one that has a clock.
  void place(WallTime began);
};

}  // namespace camprobe::load
