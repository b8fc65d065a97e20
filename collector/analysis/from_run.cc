// collector/analysis/from_run.cc
#include "collector/analysis/from_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "collector/analysis/memory_split.h"
#include "collector/analysis/populations_of_run.h"
#include "collector/analysis/series_of_run.h"
#include "collector/analysis/service_of_run.h"
#include "collector/analysis/work_of_run.h"
#include "collector/metrics.h"
#include "collector/proof_phases.h"
#include "run/units.h"

namespace camprobe::analysis {

namespace {

class Input {
 public:
  Input(run::Reader& reader, const Thresholds& thresholds) : reader_(reader), k_(thresholds) {}

  RunInput read(bool with_service) {
    WorkOfRun work = work_of(reader_, k_);
    input_.clock = std::move(work.clock);
    input_.work_span = std::move(work.span);
    input_.notes = std::move(work.notes);
    read_stretch();
    read_populations(reader_, input_);
    read_memory();
    if (with_service) read_service(reader_, work.load_results_kept, input_);
    note_missing_names();
    read_proof();
    return std::move(input_);
  }

 private:
  // To better than the second that a bucket is wide: a server is ended right behind its load, and what it frees then
  // must not count as deaths under load.
  Seconds end_of_load() {
    const Seconds end = input_.clock.body_end(), before = std::floor(end);
    if (input_.clock.source() == WorkSource::kLoadTool) {
      Seconds last = 0;
      for (const run::LoadWindow& window : reader_.load_windows()) last = std::max(last, seconds_of(window.to_ns));
      if (last >= before && last <= end + 1) return last;
    }
    return before > input_.clock.body_begin() ? before : end;  // a snapshot is shorter than a second
  }

  void read_stretch() {
    Stretch& s = input_.stretch;
    const Seconds run_end = seconds_of(reader_.duration_ns());
    const std::vector<run::Process> processes = reader_.processes();
    Seconds last_end = 0;
    bool any = false, all_ended = true;
    Seconds first_begin = kAlive;
    for (const run::Process& p : processes) {
      if (p.id == run::kMachine) continue;
      any = true;
      first_begin = std::min(first_begin, seconds_of(p.began_ns));
      all_ended &= p.ended_ns.has_value();
      last_end = std::max(last_end, p.ended_ns ? seconds_of(*p.ended_ns) : run_end);
    }
    if (!any) first_begin = 0, last_end = run_end;
    if (input_.clock.counts_requests()) {
      s.begin = std::max(input_.clock.body_begin(), first_begin);
      s.end = std::min({input_.clock.body_end(), end_of_load(), last_end});
    } else {
      s.begin = first_begin;
      // What a program frees while it shuts down proves nothing.
      s.end = all_ended ? last_end - std::max(1.0, 0.02 * (last_end - first_begin)) : last_end;
    }
    s.end = std::max(s.end, s.begin);
    s.warm_up = s.begin + k_.warm_up_share * (s.end - s.begin);
    // What the load tool itself calls warm-up or ramp, where the run begins with it.
    for (const run::LoadWindow& window : reader_.load_windows()) {
      const bool starts =
          seconds_of(window.from_ns) <= s.warm_up && (window.kind == "warm-up" || window.kind == "ramp");
      const double until = seconds_of(window.to_ns);
      if (starts && until > s.warm_up && until <= s.begin + 0.4 * (s.end - s.begin)) s.warm_up = until;
    }
    for (const run::Process& p : processes) {
      if (p.id == run::kMachine || !p.memory_limit_bytes || *p.memory_limit_bytes <= 0) continue;
      const auto limit = static_cast<double>(*p.memory_limit_bytes);
      s.memory_limit_bytes = s.memory_limit_bytes == 0 ? limit : std::min(s.memory_limit_bytes, limit);
    }
    const std::vector<GaugePoint> rss = sum_of(reader_, metrics::kResidentBytes),
                                  fds = sum_of(reader_, metrics::kOpenFds);
    s.rss_bytes = last_value(rss, s.end);
    s.descriptors = last_value(fds, s.end);
    input_.own = own_stretches(processes, s, input_.clock, k_);
    for (OwnStretch& own : input_.own) {
      own.stretch.rss_bytes = last_value(rss, own.stretch.end);
      own.stretch.descriptors = last_value(fds, own.stretch.end);
    }
  }

  void read_memory() {
    input_.memory.rss = {metrics::kResidentBytes.name, "bytes", sum_of(reader_, metrics::kResidentBytes)};
    input_.memory.live_heap = {metrics::kHeapLiveBytes.name, "bytes", sum_of(reader_, metrics::kHeapLiveBytes)};
    input_.memory.mappings = {metrics::kMappedBytes.name, "bytes", sum_of(reader_, metrics::kMappedBytes)};
    input_.memory.retained = {"retained by the allocator", "bytes", retained_by_allocators(reader_)};
    const double live = last_value(input_.memory.live_heap.points, input_.stretch.end);
    input_.memory.live_heap_error =
        std::sqrt(std::max(0.0, live * input_.heap_interval));  // T/B of B, squared (Poisson)
  }

  void note_missing_names() {
    const auto meta = reader_.meta();
    if (!meta.all.contains("symbol_problems")) return;
    const std::string& problems = meta.all.at("symbol_problems");
    input_.notes.push_back(
        fmt::format("Names: functions of {} could not be looked up: {}.",
                    run::in_count(static_cast<double>(std::count(problems.begin(), problems.end(), '\n'))) + " files",
                    problems.substr(0, problems.find('\n'))));
  }

  // Only a proof that got to its end proves anything.
  void read_proof() {
    std::map<std::string, Seconds> at;
    for (const run::Mark& mark : reader_.marks()) {
      if (mark.source == proof::kSource) at[mark.text] = seconds_of(mark.at_ns);
    }
    const bool ended = at.contains(proof::kFirstLoad) && at.contains(proof::kFirstIdle) &&
                       at.contains(proof::kSecondLoad) && at.contains(proof::kSecondIdle) && at.contains(proof::kEnd);
    if (!ended) return;
    input_.proof = ProofPhases{{at[proof::kFirstLoad], at[proof::kFirstIdle]},
                               {at[proof::kFirstIdle], at[proof::kSecondLoad]},
                               {at[proof::kSecondLoad], at[proof::kSecondIdle]},
                               {at[proof::kSecondIdle], at[proof::kEnd]}};
  }

  run::Reader& reader_;
  const Thresholds& k_;
  RunInput input_;
};

}  // namespace

std::vector<Stretch> all_stretches(const RunInput& input) {
  std::vector<Stretch> stretches = {input.stretch};
  for (const OwnStretch& own : input.own) stretches.push_back(own.stretch);
  return stretches;
}

const Stretch& stretch_number(const RunInput& input, std::size_t number) {
  return number == 0 ? input.stretch : input.own.at(number - 1).stretch;
}

RunInput input_from(run::Reader& reader, const Thresholds& thresholds, bool with_service) {
  return Input(reader, thresholds).read(with_service);
}

}  // namespace camprobe::analysis
