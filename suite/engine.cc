// suite/engine.cc: a run from before anything is started to when everything is down again.
#include "suite/engine.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "collector/attach/program.h"
#include "suite/measurement.h"

namespace camprobe::suite {

namespace fs = std::filesystem;

bool Measurement::fill(Program& program) {
  auto command = variables_.fill(program.command);
  if (!command) return fail(State::kNotStarted, command.error());
  program.command = *command;
  for (std::string* text : {&program.ready.http, &program.ready.tcp, &program.ready.file, &program.limits.cores}) {
    const auto filled = variables_.fill(*text);
    if (!filled) return fail(State::kNotStarted, filled.error());
    *text = *filled;
  }
  for (auto& [name, value] : program.environment) {
    const auto filled = variables_.fill(value);
    if (!filled) return fail(State::kNotStarted, filled.error());
    value = *filled;
  }
  return true;
}

bool Measurement::prepare() {
  std::error_code failed;
  fs::create_directories(out_.plan.directory, failed);
  if (failed) return fail(State::kNotStarted, fmt::format("{}: {}", out_.plan.directory, failed.message()));
  out_.plan.directory = fs::absolute(out_.plan.directory);
  variables_.set("dir", out_.plan.directory);
  variables_.set("bin", settings_.bin);
  const fs::path home = fs::absolute(suite_.path, failed).parent_path();
  variables_.set("suite", home);
  variables_.set("cores", std::to_string(out_.plan.cores.value_or(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)))));
  const int instances = out_.plan.instances.value_or(1);
  variables_.set("instances", std::to_string(instances));
  filled_ = suite_;
  if (!fill(filled_.target)) return false;
  if (const auto program = attach::locate_program(filled_.target.command.front()); !program)
    return fail(State::kNotStarted, program.error());
  for (Program& program : filled_.dependencies) {
    if (!fill(program)) return false;
  }
  const auto fill_text = [&](std::string& text) {
    const auto filled = variables_.fill(text);
    if (!filled) return fail(State::kNotStarted, filled.error());
    text = *filled;
    return true;
  };
  bool good = fill_text(filled_.load.base) && fill_text(filled_.load.file) && fill_text(filled_.load.results) &&
              fill_text(filled_.stats);
  for (std::string& word : filled_.load.command) good = good && fill_text(word);
  for (Scenario& scenario : filled_.scenarios) {
    for (Request& request : scenario.requests) good = good && fill_text(request.path) && fill_text(request.body);
  }
  for (Phase& phase : filled_.phases) {
    for (Action& action : phase.actions)
      good = good && fill_text(action.url) && fill_text(action.body) && fill_text(action.text);
  }
  for (Figure& figure : filled_.figures) {
    for (std::string& url : figure.from) good = good && fill_text(url);
  }
  if (!good) return false;
  for (const auto& [name, text] : suite_.files) {
    const auto filled = variables_.fill_file(text, instances);
    if (!filled) return fail(State::kNotStarted, filled.error());
    if (!write_all(in_run(name), *filled)) return fail(State::kNotStarted, in_run(name) + " cannot be written");
  }

  Work work;
  work.base = filled_.load.base;
  work.threads = filled_.load.threads;
  work.file = filled_.load.file;
  // A run that is gone on with keeps what its load tool wrote before.
  for (int part = 1; work.directory.empty() || fs::exists(work.directory, failed); ++part)
    work.directory = in_run(part == 1 ? "load" : fmt::format("load-{}", part));
  fs::create_directories(work.directory, failed);
  const Tool& tool = *tool_named(suite_.load.tool);
  for (const Scenario& scenario : filled_.scenarios) {
    if (work.requests.empty() && (suite_.scenario.empty() || scenario.name == suite_.scenario))
      work.requests = scenario.requests;
  }
  stages_ = stages_of(filled_.phases, settings_.time_scale, tool.has_ramps);
  if (settings_.keeps_journal) {
    take_up_earlier();
    journal_.open(in_run("journal"));
  }
  work.stages = stages_;
  if (!filled_.load.command.empty()) {
    Invocation one;
    one.arguments.assign(filled_.load.command.begin() + 1, filled_.load.command.end());
    one.results = filled_.load.results;
    translation_.steps.push_back({0, stages_.size() - 1, {one}});
    translation_.notes.emplace_back("the load tool's own command line is used as it is");
    tool_program_ = filled_.load.command.front();
  } else {
    auto translated = tool.translate(work);
    if (!translated) return fail(State::kNotStarted, translated.error());
    translation_ = std::move(*translated);
    tool_program_ = find_program(tool, home);
  }
  out_.notes = translation_.notes;
  return true;
}

void Measurement::take_up_earlier() {
  earlier_ = Journal::read(in_run("journal"));
  if (earlier_.attempts.empty()) return;
  out_.from_ns = earlier_.from_ns;
  out_.seconds = earlier_.seconds;
  out_.events = earlier_.events;
  results_ = earlier_.results;
  const std::vector<Stage> whole = stages_;
  for (const Attempt& attempt : earlier_.attempts) {
    begins_anew_ = true;
    const std::vector<Stage> stages = without_first(whole, attempt.done_s);
    for (const StepSpan& step : attempt.steps) note_phases(stages, step);
    if (attempt.is_in_recording) phases_in_recording_ = out_.phases.size();
  }
  begins_anew_ = true;
  load_done_s_ = earlier_.done_s;
  stages_ = without_first(whole, load_done_s_);
  if (stages_.empty()) {  // broken off when the load was over: a moment more, to read what the target has counted
    stages_ = {whole.back()};
    stages_.front().duration_s = 1;
  }
  double at = 0;
  for (const Stage& stage : whole) {
    if (stage.phase == stages_.front().phase) break;
    at += stage.duration_s;
  }
  earlier_in_phase_ = {stages_.front().phase, std::max(0.0, load_done_s_ - at)};
  for (const Phase& phase : filled_.phases) {
    if (phase.name != earlier_in_phase_.first) continue;
    actions_done_[phase.name] =
        static_cast<std::size_t>(std::count_if(phase.actions.begin(), phase.actions.end(), [&](const Action& action) {
          return action.at_s * settings_.time_scale <= earlier_in_phase_.second;
        }));
  }
}

void Measurement::take_down() {
  if (target_) {
    tell("stopping the target");
    const bool was_alive = target_lives();
    if (suite_.is_recorded) {
      // The collector passes SIGTERM on, kills what does not heed it, names stacks and writes: it gets two minutes for
      // it.
      if (!target_->is_running()) restart_collector();  // killed: what it had not written yet is taken from the region
      target_->signal(SIGTERM);
      const double limit = filled_.target.stop_within_s + 120, began = steady_s();
      while (target_->is_running() && steady_s() - began < limit) {
        tell("writing the run");
        reap_target();
        nap(0.05);
        if (interrupts() > 2) break;
      }
      if (target_->is_running()) {
        out_.notes.emplace_back("the collector did not end in time and was killed; what it had written is kept");
        target_->stop(1);
      }
    } else if (!target_->stop(filled_.target.stop_within_s)) {
      out_.notes.emplace_back("the target did not end on SIGTERM and was killed");
    }
    if (out_.state != State::kComplete && out_.state != State::kDecided) {
      out_.log_tail = tail_of(in_run("target.log"));
      if (const std::string said = tail_of(in_run("collector.log")); !said.empty()) out_.log_tail += "\n" + said;
    }
    if (!was_alive && out_.state == State::kComplete) fail(State::kTargetEnded, "the target ended by itself");
    target_->signal_group(SIGKILL);
    target_.reset();
    former_.clear();
  }
  if (memory_) {
    out_.memory_peak = memory_->peak();
    out_.oom_kills = memory_->oom_kills();
    memory_.reset();
  }
  for (std::size_t i = dependencies_.size(); i-- > 0;) dependencies_[i].stop(filled_.dependencies[i].stop_within_s);
  dependencies_.clear();
  proxies_.clear();
  out_.left_behind = end_orphans();
}

const char* to_string(State state) {
  switch (state) {
    case State::kComplete:
      return "complete";
    case State::kInterrupted:
      return "interrupted";
    case State::kDecided:
      return "decided";
    case State::kNotStarted:
      return "not started";
    case State::kNeverReady:
      return "never ready";
    case State::kTargetEnded:
      return "target ended";
    case State::kLoadFailed:
      return "load failed";
  }
  return "";
}

Suite with_baseline(const Suite& suite, const Variant& variant) {
  Suite other = suite;
  other.target = variant.target;
  other.is_recorded = variant.is_recorded;
  other.dependencies.insert(other.dependencies.end(), variant.dependencies.begin(), variant.dependencies.end());
  other.load.base = variant.base;
  if (!variant.requests.empty()) {
    other.scenarios = {{"baseline", variant.requests}};
    other.scenario = "";
  }
  other.figures = variant.figures;
  other.stats = variant.stats;
  other.counted = variant.counted;
  other.checks.clear();
  return other;
}

RunOutcome measure(const Suite& suite, const RunPlan& plan, const Settings& settings) {
  return Measurement(suite, plan, settings).run();
}

}  // namespace camprobe::suite
