// suite/engine.h
//
// One measured run: dependencies up, target up under the probe and ready, the load through all its stages with whatever
// is to happen meanwhile, and everything down again in the order load, target, collector, dependencies. It ends in
// bounded time and leaves no process behind, whatever the target does; how it ended is a state, not an exception.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/load/timeline.h"
#include "suite/suite.h"
#include "suite/timelines.h"
#include "suite/tool.h"

namespace camprobe::suite {

struct RunPlan {
  std::string name;     // "load-basic", "cam-2"
  std::string variant;  // "" the target itself
  int repeat = 1;
  std::optional<int> cores, instances;
  std::string directory;  // made by measure()
};

struct Settings {
  double time_scale = 1;
  std::string bin;  // where the camprobe command lies
  // Called a few times a second: what is being done, and how many seconds of this run's load are over.
  std::function<void(const std::string& what, double load_seconds_done)> progress;
  // Endurance: asked every `checkpoint_s` of a run that is being recorded; true ends the load.
  std::function<bool(const std::string& run_file)> is_decided;
  double checkpoint_s = 0;     // also: how often it is written down how far a run is
  bool keeps_journal = false;  // of each run; goes on with what it says (journal.h)
};

struct PhaseSpan {
  std::string name, kind;
  std::int64_t from_ns = 0, to_ns = 0;  // wall clock
  double planned_s = 0;
  int users = 0;
  std::optional<double> rate;  // asked for, mean
  double generator_cpus = 0, machine_cpus = 0;
};

struct Second {
  std::int64_t at_ns = 0;
  double generator_cpus = 0, machine_cpus = 0;
};

struct Counted {
  std::optional<std::uint64_t> tool_began, tool_done;  // requests the load tool began, and saw the end of
  std::optional<std::int64_t> server;                  // by the server's own counter, over the load
  std::int64_t own_in_between = 0, own_in_all = 0;     // the suite's own requests to the target
  std::optional<std::int64_t> tool_rows;               // that have a latency; nothing: as many as the timeline holds
  std::int64_t most_under_way = 0;                     // at the ends of stages, where the tool does not count them
  std::int64_t since_ns = 0;                           // of processes that began since; wall clock, 0: all
};

enum class State { kComplete, kInterrupted, kDecided, kNotStarted, kNeverReady, kTargetEnded, kLoadFailed };
const char* to_string(State);

struct RunOutcome {
  RunPlan plan;
  State state = State::kComplete;
  std::string why;       // where not complete
  std::string run_file;  // "": not recorded
  std::string log_tail;  // the target's last words, where it did not go well
  load::LoadTimeline timeline;
  ByPhase by_phase;  // of `phases`
  std::vector<PhaseSpan> phases;
  std::vector<Second> seconds;
  double generator_capacity = 0;  // CPUs
  Counted counted;
  std::map<std::string, double> figures;
  std::vector<std::pair<std::string, std::string>> checks;  // what, and "" where it held
  std::vector<std::string> notes;
  std::string before_resumed;  // what was counted before the run was gone on with, in words; "": it never was
  std::vector<std::pair<std::int64_t, std::string>> events;  // actions, by wall clock
  std::string stats_before, stats_after;                     // the target's own, JSON
  int left_behind = 0;                                       // processes that had to be killed at the end
  std::optional<std::uint64_t> memory_limit, memory_peak, oom_kills;
  std::int64_t from_ns = 0, to_ns = 0;  // wall clock, of the load
};

RunOutcome measure(const Suite& suite, const RunPlan& plan, const Settings& settings);

// The suite as one of its baselines is measured: the target and what goes with it replaced.
Suite with_baseline(const Suite& suite, const Variant& variant);

}  // namespace camprobe::suite
