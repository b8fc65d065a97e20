// suite/engine_start.cc: dependencies and target up, limited, recorded and ready.
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmath>
#include <filesystem>

#include "collector/load/adapter.h"
#include "collector/session.h"
#include "suite/measurement.h"
#include "suite/timelines.h"

namespace camprobe::suite {
namespace {

namespace fs = std::filesystem;

pid_t first_child_of(pid_t pid) {
  const std::string children = read_all(fmt::format("/proc/{0}/task/{0}/children", pid));
  return children.empty() ? 0 : static_cast<pid_t>(std::strtol(children.c_str(), nullptr, 10));
}

// What the load tools' processes left, as `list` (load-parts.json) has them.
run::Result<std::vector<load::LoadTimeline>> timelines_of(const std::string& list) {
  const Json parts = Json::parse(read_all(list), nullptr, false);
  if (parts.is_discarded()) return run::Error{"the load never began"};
  std::vector<Part> timelines;
  for (const auto& part : parts["results"]) {
    auto timeline = load::read_load_file(part["file"]);
    if (!timeline) continue;
    timeline->place(at_wall(part["began_ns"]));
    timelines.push_back({std::move(*timeline), part["phase"]});
  }
  std::vector<load::LoadPhase> phases;
  for (const auto& phase : parts["phases"])
    phases.push_back({phase["name"], phase["kind"], at_wall(phase["from_ns"]), at_wall(phase["to_ns"])});
  ByPhase sorted = by_phase(std::move(timelines), phases);
  std::vector<load::LoadTimeline> sources;
  for (auto& [phase, timeline] : sorted.alone) sources.push_back(std::move(timeline));
  if (sorted.rest) sources.push_back(std::move(*sorted.rest));
  return sources;
}

std::string quoted_for_shell(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

bool Measurement::start_dependencies() {
  for (const suite::FaultProxySpec& spec : filled_.proxies) {
    const auto listen = variables_.fill(spec.listen), to = variables_.fill(spec.to);
    if (!listen || !to) return fail(State::kNotStarted, listen ? to.error() : listen.error());
    auto proxy = FaultProxy::start(spec.name, std::atoi(listen->c_str()), std::atoi(to->c_str()),
                                   in_run("proxy-" + spec.name + ".log"));
    if (!proxy) return fail(State::kNotStarted, proxy.error());
    proxies_.push_back(std::move(*proxy));
  }
  for (std::size_t i = 0; i < filled_.dependencies.size(); ++i) {
    const Program& program = filled_.dependencies[i];
    tell("starting " + program.name);
    Child::Start what;
    what.name = program.name;
    what.command = program.command;
    what.output = in_run(fmt::format("{}-{}.log", program.name, i + 1));
    for (const auto& [name, value] : program.environment) what.environment.push_back(name + "=" + value);
    auto started = Child::start(what);
    if (!started) return fail(State::kNotStarted, started.error());
    dependencies_.push_back(std::move(*started));
    if (!wait_until_ready(dependencies_.back(), program)) {
      out_.log_tail = tail_of(what.output);
      return false;
    }
  }
  return true;
}

bool Measurement::start_target() {
  if (!earlier_.attempts.empty()) out_.counted.since_ns = wall_ns();
  const Program& program = filled_.target;
  tell("starting " + program.name);
  ProcessLimits limits;
  if (program.limits.open_files) limits.open_files = *program.limits.open_files;
  if (out_.plan.cores) limits.cores = *out_.plan.cores;
  if (!program.limits.cores.empty()) limits.cores = std::atoi(program.limits.cores.c_str());
  if (program.limits.memory_bytes) {
    memory_.emplace(*program.limits.memory_bytes);
    out_.memory_limit = program.limits.memory_bytes;
    out_.notes.push_back(memory_->how());
    if (memory_->is_cgroup())
      limits.cgroup_procs = memory_->procs_file();
    else
      limits.data_bytes = *program.limits.memory_bytes;
  }
  std::vector<std::string> command = program.command;
  if (const int instances = out_.plan.instances.value_or(1); out_.plan.instances) {
    // A shell holds them together: recorded as one run, ended by one signal. (`jobs -p` in a $() of dash is empty.)
    std::string script = "trap 'kill $all 2>/dev/null; wait' TERM INT\n";
    for (int i = 1; i <= instances; ++i) {
      for (const std::string& word : command) {
        std::string own = word;
        const std::string first = variables_.port("instance1");
        if (own == first) own = variables_.port("instance" + std::to_string(i));
        script += quoted_for_shell(own) + " ";
      }
      script += "&\nall=\"$all $!\"\n";
    }
    command = {"/bin/sh", "-c", script + "wait\n"};
  }
  Child::Start what;
  what.name = program.name;
  what.output = in_run("target.log");
  for (const auto& [name, value] : program.environment) what.environment.push_back(name + "=" + value);
  if (!suite_.is_recorded) {
    what.command = command;
    what.before_exec = limits.as_function();
    auto started = Child::start(what);
    if (!started) return fail(State::kNotStarted, started.error());
    target_.emplace(std::move(*started));
    target_pid_ = target_->pid();
    return true;
  }
  RunOptions options;
  options.program = command;
  options.run = out_.run_file = in_run("run.camrun");
  options.load = "suite " + suite_.name + ", " + suite_.load.tool;
  options.grace = std::chrono::seconds(static_cast<long>(std::ceil(program.stop_within_s)));
  options.is_quiet = true;
  options.before_exec = limits.as_function();
  options.resumes = fs::exists(options.run);
  const std::string list = in_run("load-parts.json");
  options.load_timelines = [list] { return timelines_of(list); };
  std::error_code none;
  fs::remove(list, none);  // an earlier suite's, whose recording has it
  what.errors = in_run("collector.log");
  for (const std::string& entry : what.environment) {
    const std::size_t equals = entry.find('=');
    ::setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
  }
  what.body = [options] { return record_program(options).exit_code; };
  auto started = Child::start(what);
  for (const auto& [name, value] : program.environment) ::unsetenv(name.c_str());
  if (!started) return fail(State::kNotStarted, started.error());
  target_.emplace(std::move(*started));
  for (int i = 0; i < 250 && target_pid_ == 0 && target_->is_running(); ++i) {
    target_pid_ = first_child_of(target_->pid());
    if (target_pid_ == 0) nap(0.02);
  }
  return true;
}

// The target of a collector that was killed has become our child.
void Measurement::reap_target() {
  int status = 0;
  if (target_pid_ == 0 || has_reaped_target_ || (former_.empty() && target_ && target_->is_running())) return;
  if (::waitpid(target_pid_, &status, WNOHANG) != target_pid_) return;
  has_reaped_target_ = true;
  if (WIFSIGNALED(status))
    out_.notes.push_back(
        fmt::format("the target ended by signal {}, {}", WTERMSIG(status), ::strsignal(WTERMSIG(status))));
}

bool Measurement::target_lives() {
  if (!target_) return false;
  const bool is_recorded = target_->is_running();
  if (target_pid_ == 0 || !suite_.is_recorded) return is_recorded;
  reap_target();
  if (has_reaped_target_ || !fs::exists(fmt::format("/proc/{}", target_pid_))) return false;
  return is_recorded || restart_collector();
}

// The collector was killed: another goes on with its run (camprobe attach --resume does the same). The target has not
// noticed, and what it did meanwhile is in its region.
bool Measurement::restart_collector() {
  constexpr std::size_t kMost = 20;
  if (former_.size() >= kMost || !fs::exists(out_.run_file)) return false;
  const std::string how = target_->how_it_ended();
  Child::Start what;
  what.name = filled_.target.name;
  what.output = in_run("target.log");
  what.errors = in_run("collector.log");
  AttachOptions options;
  options.run = out_.run_file;
  options.resumes = true;
  options.is_quiet = true;
  options.load = "suite " + suite_.name + ", " + suite_.load.tool;
  const std::string list = in_run("load-parts.json");
  options.load_timelines = [list] { return timelines_of(list); };
  options.grace = std::chrono::seconds(static_cast<long>(std::ceil(filled_.target.stop_within_s)));
  what.body = [options] { return record_running(options).exit_code; };
  auto started = Child::start(what);
  if (!started) {
    out_.notes.push_back("the collector ended (" + how + "): " + started.error());
    return false;
  }
  former_.push_back(std::move(*target_));
  target_.emplace(std::move(*started));
  out_.notes.push_back(
      fmt::format("the collector ended before its time ({}); another went on with the recording", how));
  out_.events.emplace_back(wall_ns(), "the collector ended (" + how + "), another went on");
  journal_.put({{"event", {out_.events.back().first, out_.events.back().second}}});
  return true;
}

bool Measurement::is_ready(const Ready& ready) {
  if (!ready.file.empty()) {
    std::error_code none;
    return fs::exists(ready.file, none) && fs::file_size(ready.file, none) > 0;
  }
  if (!ready.tcp.empty()) return accepts(std::atoi(ready.tcp.c_str()));
  if (!ready.http.empty()) {
    const Answer answer = ask_target("GET", ready.http);
    // Of a target behind something else: the probe sees it all the same.
    if (answer.status != 0 && target_ && !ready.http.starts_with(filled_.load.base)) ++out_.counted.own_in_all;
    return answer.status == 200;
  }
  return true;
}

// Of a target in several instances each one.
bool Measurement::are_ready(const Program& program, bool is_target) {
  const int instances = is_target ? out_.plan.instances.value_or(1) : 1;
  const std::string first = instances > 1 ? variables_.port("instance1") : "";
  for (int i = 1; i <= instances; ++i) {
    Ready ready = program.ready;
    for (std::string* text : {&ready.http, &ready.tcp, &ready.file}) {
      const std::size_t at = i > 1 ? text->find(first) : std::string::npos;
      if (at != std::string::npos) text->replace(at, first.size(), variables_.port("instance" + std::to_string(i)));
    }
    if (!is_ready(ready)) return false;
  }
  return true;
}

bool Measurement::wait_until_ready(Child& child, const Program& program) {
  const bool is_target = target_ && &child == &*target_;
  const double began = steady_s();
  while (steady_s() - began < program.ready.within_s) {
    if (interrupts() > 0) return fail(State::kInterrupted, "interrupted before the load began");
    if (are_ready(program, is_target)) return true;
    if (is_target ? !target_lives() : !child.is_running()) {
      child.is_running();
      return fail(State::kNotStarted,
                  fmt::format("{} ended before it was ready{}", program.name,
                              is_target && suite_.is_recorded ? "" : " (" + child.how_it_ended() + ")"));
    }
    tell("waiting for " + program.name);
    nap(0.05);
  }
  return fail(State::kNeverReady,
              fmt::format("{} was not ready within {} s ({})", program.name, number_text(program.ready.within_s),
                          !program.ready.http.empty()  ? "GET " + program.ready.http + " did not give 200"
                          : !program.ready.tcp.empty() ? "nothing accepts on port " + program.ready.tcp
                                                       : program.ready.file + " is not there"));
}

Answer Measurement::ask_target(const std::string& method, const std::string& url, const std::string& body,
                               const Headers& headers) {
  Answer answer = ask(method, url, body, headers);
  if (answer.status != 0 && url.starts_with(filled_.load.base)) {
    ++out_.counted.own_in_all;
    ++out_.counted.own_in_between;
  }
  return answer;
}

}  // namespace camprobe::suite
