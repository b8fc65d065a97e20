// suite/measurement.h
//
// A run while it is being measured; inside the engine only. engine.cc prepares it and takes it down, engine_start.cc
// brings dependencies and target up, engine_load.cc drives the load, engine_counts.cc reads what everybody counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "suite/child.h"
#include "suite/engine.h"
#include "suite/fault_proxy.h"
#include "suite/http.h"
#include "suite/journal.h"
#include "suite/memory_limit.h"
#include "suite/timelines.h"
#include "suite/tool.h"
#include "suite/variables.h"

namespace camprobe::suite {

using Json = nlohmann::ordered_json;

inline std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}
inline double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline load::WallTime at_wall(std::int64_t ns) {
  return load::WallTime{load::Nanoseconds{ns}};
}

class Measurement {
 public:
  Measurement(const Suite& suite, const RunPlan& plan, const Settings& settings) : suite_(suite), settings_(settings) {
    out_.plan = plan;
  }

  RunOutcome run() {
    if (prepare() && start_dependencies() && start_target() && wait_until_ready(*target_, filled_.target)) drive();
    take_down();
    if (out_.state == State::kInterrupted) journal_.put({{"ended", true}, {"done", load_done_s_}});
    return std::move(out_);
  }

 private:
  bool fail(State state, const std::string& why) {
    if (out_.state == State::kComplete || out_.state == State::kDecided) {
      out_.state = state;
      out_.why = why;
    }
    return false;
  }
  std::string in_run(const std::string& name) const { return out_.plan.directory + "/" + name; }
  void tell(const std::string& what) {
    if (settings_.progress) settings_.progress(what, load_done_s_);
  }

  // Variables get their values, files are written, the load is translated: whatever can be wrong before a process is
  // started.
  bool prepare();
  void take_up_earlier();
  bool fill(Program& program);
  bool start_dependencies();
  bool start_target();
  bool wait_until_ready(Child& child, const Program& program);
  bool is_ready(const Ready& ready);
  bool are_ready(const Program& program, bool is_target);
  void drive();
  bool has_results(const ToolResult& result);
  bool run_step(const Step& step);
  bool start_tool(const Invocation& one, std::vector<Child>& tools);
  void act(const Phase& phase, double into_s, std::size_t& next);
  void note_second();
  bool target_lives();
  bool restart_collector();
  void reap_target();
  bool checkpoint();
  void note_phases(const std::vector<Stage>& stages, const StepSpan& step);
  void run_checks(const char* when);
  Answer ask_target(const std::string& method, const std::string& url, const std::string& body = "",
                    const Headers& headers = {});
  Json stats_of(const std::string& url);
  void collect_figures(const std::vector<Json>& before, const std::vector<Json>& after);
  std::vector<Json> figure_sources();
  void read_results();
  void take_down();

  const Suite& suite_;
  const Settings& settings_;
  RunOutcome out_;
  Suite filled_;  // with variables replaced
  Variables variables_;
  Translation translation_;
  std::vector<Stage> stages_;
  std::string tool_program_;
  std::vector<FaultProxy> proxies_;
  std::vector<Child> dependencies_;
  std::optional<Child> target_;  // recorded: the collector, whose first child is the target
  std::vector<Child> former_;    // collectors that were killed; the target is in the first one's process group
  bool has_reaped_target_ = false;
  std::optional<MemoryLimit> memory_;
  pid_t target_pid_ = 0;
  double load_done_s_ = 0;
  std::map<std::string, std::size_t> actions_done_;  // by phase
  std::vector<ToolResult> results_;
  Earlier earlier_;
  Journal journal_;
  std::size_t phases_in_recording_ = 0;
  std::pair<std::string, double> earlier_in_phase_{};  // of the phase in which the load goes on: how much was over
  bool begins_anew_ = false;                           // the next phase is not joined to the one before
  std::optional<std::int64_t> server_before_;
  double next_checkpoint_ = 0;
  std::vector<Part> parts_;
  double last_second_ = 0, last_generator_ = 0, last_machine_ = 0;
  std::vector<Child>* tools_ = nullptr;
  double tools_ended_cpu_ = 0;
};

}  // namespace camprobe::suite
