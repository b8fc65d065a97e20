// suite/engine_load.cc: the stages of the load one after another, and what is to happen meanwhile.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "suite/measurement.h"

namespace camprobe::suite {

namespace fs = std::filesystem;

void Measurement::act(const Phase& phase, double into_s, std::size_t& next) {
  std::vector<const Action*> due;
  for (const Action& action : phase.actions) due.push_back(&action);
  std::stable_sort(due.begin(), due.end(), [](auto* a, auto* b) { return a->at_s < b->at_s; });
  for (; next < due.size() && due[next]->at_s * settings_.time_scale <= into_s; ++next) {
    const Action& action = *due[next];
    std::string result;
    if (!action.url.empty()) {
      const Answer answer = ask_target("POST", action.url, action.body);
      if (answer.status == 0) result = ": no answer, " + answer.why;
      if (answer.status >= 400) result = fmt::format(": status {}", answer.status);
    }
    for (FaultProxy& proxy : proxies_) {
      const auto named = action.network.find("proxy");
      if (action.network.empty() || (named != action.network.end() && named->second != proxy.name())) continue;
      if (const auto set = proxy.set(action.network); !set) result = ": " + set.error();
    }
    out_.events.emplace_back(wall_ns(), phase.name + ": " + action.text + result);
    journal_.put({{"event", {out_.events.back().first, out_.events.back().second}}});
  }
}

void Measurement::note_second() {
  const double now = steady_s();
  if (last_second_ != 0 && now - last_second_ < 1) return;
  double generator = tools_ended_cpu_;
  if (tools_ != nullptr) {
    for (Child& tool : *tools_) generator += tool.cpu_seconds();
  }
  const double machine = machine_busy_seconds();
  if (last_second_ != 0) {
    const double elapsed = now - last_second_;
    out_.seconds.push_back(
        {wall_ns(), std::max(0.0, generator - last_generator_) / elapsed, (machine - last_machine_) / elapsed});
    const Second& last = out_.seconds.back();
    journal_.put({{"second", {last.at_ns, last.generator_cpus, last.machine_cpus}}, {"done", load_done_s_}});
  }
  last_second_ = now;
  last_generator_ = generator;
  last_machine_ = machine;
}

bool Measurement::start_tool(const Invocation& one, std::vector<Child>& tools) {
  for (const auto& [path, text] : one.files) {
    if (!write_all(path, text)) return fail(State::kNotStarted, path + " cannot be written");
  }
  Child::Start what;
  what.name = suite_.load.tool;
  what.command = {tool_program_};
  what.command.insert(what.command.end(), one.arguments.begin(), one.arguments.end());
  what.environment = one.environment;
  const std::string stem = in_run(fmt::format("load/{}-{}", suite_.load.tool, results_.size() + 1));
  what.output = one.results_are_stdout ? one.results : stem + ".out";
  what.errors = stem + ".err";
  auto started = Child::start(what);
  if (!started)
    return fail(State::kNotStarted,
                fmt::format("{}; install it: {}", started.error(), tool_named(suite_.load.tool)->how_to_get));
  tools.push_back(std::move(*started));
  results_.push_back({one.results, what.output, wall_ns(), -1});
  out_.counted.most_under_way += one.most_under_way;
  journal_.put({{"tool", {one.results, what.output, results_.back().began_ns}}});
  return true;
}

// Stairs of one ramp are one phase. A tool that runs all stages begins them when it is up, which its results tell best;
// the clock of its start is what the suite knows.
void Measurement::note_phases(const std::vector<Stage>& stages, const StepSpan& step) {
  const auto mean_of = [&](std::int64_t from, std::int64_t to, double Second::*field) {
    double sum = 0, n = 0;
    const auto first = std::lower_bound(out_.seconds.begin(), out_.seconds.end(), from,
                                        [](const Second& second, std::int64_t at) { return second.at_ns < at; });
    for (auto second = first; second != out_.seconds.end() && second->at_ns <= to + 1'000'000'000; ++second) {
      sum += (*second).*field;
      ++n;
    }
    return n > 0 ? sum / n : 0;
  };
  double at = 0;
  for (std::size_t i = step.first; i <= step.last && i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    PhaseSpan span{stage.phase,
                   stage.kind,
                   step.began_ns + static_cast<std::int64_t>(at * 1e9),
                   0,
                   stage.duration_s,
                   stage.users,
                   stage.rate,
                   0,
                   0};
    if (stage.rate && stage.rate_from) span.rate = (*stage.rate + *stage.rate_from) / 2;
    at += stage.duration_s;
    span.to_ns = i == step.last ? step.ended_ns : step.began_ns + static_cast<std::int64_t>(at * 1e9);
    if (span.from_ns >= step.ended_ns) break;
    span.to_ns = std::min(span.to_ns, step.ended_ns);
    // Broken off: no more was asked for in it.
    span.planned_s = std::min(span.planned_s, static_cast<double>(span.to_ns - span.from_ns) / 1e9);
    span.generator_cpus = mean_of(span.from_ns, span.to_ns, &Second::generator_cpus);
    span.machine_cpus = mean_of(span.from_ns, span.to_ns, &Second::machine_cpus);
    const bool is_joined = !out_.phases.empty() && out_.phases.back().name == span.name && i > 0 &&
                           stages[i - 1].phase == span.name && !begins_anew_;
    begins_anew_ = false;
    if (is_joined) {
      PhaseSpan& same = out_.phases.back();
      const double had = same.planned_s, both = had + span.planned_s;
      if (same.rate && span.rate) same.rate = (*same.rate * had + *span.rate * span.planned_s) / both;
      same.generator_cpus = (same.generator_cpus * had + span.generator_cpus * span.planned_s) / both;
      same.machine_cpus = (same.machine_cpus * had + span.machine_cpus * span.planned_s) / both;
      same.planned_s = both;
      same.to_ns = span.to_ns;
      same.users = std::max(same.users, span.users);
    } else {
      out_.phases.push_back(span);
    }
  }
}

// How far the load is goes into the journal. True: enough is known to end it.
bool Measurement::checkpoint() {
  while (next_checkpoint_ <= load_done_s_) next_checkpoint_ += settings_.checkpoint_s;
  if (journal_.is_open() && server_before_ && !filled_.counted.empty()) {
    const Json stats = stats_of(filled_.stats);
    const Json::json_pointer at(filled_.counted);
    if (!stats.is_discarded() && stats.contains(at) && stats[at].is_number())
      journal_.put({{"server", stats[at].get<std::int64_t>() - *server_before_ - out_.counted.own_in_between}});
  }
  return settings_.is_decided && settings_.is_decided(out_.run_file);
}

// A tool that ends well without having written anything has sent nothing that could be counted.
bool Measurement::has_results(const ToolResult& result) {
  std::error_code none;
  const bool is_there = fs::exists(result.file, none);
  // h2load has a row for each request that was sent, and none where nothing could be.
  if (is_there && (fs::file_size(result.file, none) > 0 || suite_.load.tool == "h2load")) return true;
  const std::string said = tail_of(result.printed, 600);
  const Tool& tool = *tool_named(suite_.load.tool);
  const std::string more = tool.explain != nullptr ? tool.explain(said) : "";
  return fail(State::kLoadFailed,
              fmt::format("{} ended without results{}{}", suite_.load.tool, more.empty() ? "" : ": " + more,
                          said.empty() ? "" : "; it said: " + said));
}

// False: the load is over before its time.
bool Measurement::run_step(const Step& step) {
  constexpr double kStartUp = 30,
                   kAfter = 20;  // seconds a tool may take beyond its load: JMeter and Node.js start slowly
  double planned = 0;
  for (std::size_t i = step.first; i <= step.last; ++i) planned += stages_[i].duration_s;
  std::vector<Child> tools;
  tools_ = &tools;
  double capacity = 0;
  for (const Invocation& one : step.together) capacity += one.cpus;
  capacity = std::min(capacity, static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)));
  out_.generator_capacity = std::max(out_.generator_capacity, capacity);
  const double began = steady_s(), done_before = load_done_s_;
  const std::int64_t began_ns = wall_ns();
  bool goes_on = true;
  std::size_t to_start = 0;  // those of one step are in the order in which they start
  const std::size_t first_result = results_.size();
  std::size_t acting = step.first;
  double acting_from = 0;
  journal_.put({{"step", {step.first, step.last, began_ns}}});
  const auto any_runs = [&] {
    return std::any_of(tools.begin(), tools.end(), [](Child& tool) { return tool.is_running(); });
  };
  const auto is_over = [&] {
    if (to_start < step.together.size()) return false;
    return tools.empty() ? steady_s() - began >= planned : !any_runs();
  };
  while (goes_on && !is_over()) {
    const double elapsed = steady_s() - began;
    double pause = 0.05;
    for (; goes_on && to_start < step.together.size(); ++to_start) {
      const double due_in = step.together[to_start].starts_after_s - elapsed;
      if (due_in > 0) {
        pause = std::clamp(due_in, 0.001, pause);
        break;
      }
      goes_on = start_tool(step.together[to_start], tools);
    }
    load_done_s_ = done_before + std::min(elapsed, planned);
    while (acting < step.last && elapsed - acting_from >= stages_[acting].duration_s) {
      acting_from += stages_[acting].duration_s;
      ++acting;
    }
    for (const Phase& phase : filled_.phases) {
      if (phase.name != stages_[acting].phase) continue;
      double into = elapsed - acting_from;  // of the whole phase: its stairs are stages of their own
      for (std::size_t i = acting; i > 0 && stages_[i - 1].phase == phase.name; --i) into += stages_[i - 1].duration_s;
      if (phase.name == earlier_in_phase_.first) into += earlier_in_phase_.second;
      act(phase, into, actions_done_[phase.name]);
      break;
    }
    tell(in_words(stages_[acting]));
    note_second();
    if (interrupts() > 0) goes_on = fail(State::kInterrupted, "interrupted");
    if (goes_on && !target_lives()) goes_on = fail(State::kTargetEnded, "the target ended under the load");
    if (goes_on && elapsed > planned + kStartUp + kAfter)
      goes_on = fail(State::kLoadFailed, fmt::format("{} did not end {} s after its time and was killed",
                                                     suite_.load.tool, kStartUp + kAfter));
    if (goes_on && settings_.checkpoint_s > 0 && load_done_s_ >= next_checkpoint_ && checkpoint()) {
      out_.state = State::kDecided;
      out_.why = "the verdict was reached";
      goes_on = false;
    }
    nap(pause);
  }
  for (std::size_t i = 0; i < tools.size(); ++i) {
    Child& tool = tools[i];
    if (tool.is_running()) tool.stop(5);
    if (goes_on && !tool.ended_well()) {
      const std::string said = tail_of(results_[first_result + i].printed, 600);
      out_.notes.push_back(fmt::format("{} ended with {}: {}", suite_.load.tool, tool.how_it_ended(), said));
      if (suite_.load.tool != "k6" && suite_.load.tool != "artillery" && suite_.load.tool != "locust")
        goes_on = fail(State::kLoadFailed, fmt::format("{} ended with {}", suite_.load.tool, tool.how_it_ended()));
    }
    tools_ended_cpu_ += tool.cpu_seconds();
    if (goes_on) goes_on = has_results(results_[first_result + i]);
  }
  tools_ = nullptr;
  if (goes_on) load_done_s_ = done_before + planned;
  note_phases(stages_, {step.first, step.last, began_ns, wall_ns()});
  const bool has_one_phase = stages_[step.first].phase == stages_[step.last].phase;
  for (std::size_t i = first_result; has_one_phase && i < results_.size(); ++i)
    results_[i].phase = static_cast<int>(out_.phases.size()) - 1;
  return goes_on;
}

}  // namespace camprobe::suite
