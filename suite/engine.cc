// suite/engine.cc: a run from beginning to end; each member function is a step of it.
#include "suite/engine.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "collector/attach/program.h"
#include "collector/load/adapter.h"
#include "collector/session.h"
#include "suite/child.h"
#include "suite/fault_proxy.h"
#include "suite/http.h"
#include "suite/memory_limit.h"
#include "suite/timelines.h"
#include "suite/tool.h"
#include "suite/variables.h"

namespace camprobe::suite {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}
double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
load::WallTime at_wall(std::int64_t ns) {
  return load::WallTime{load::Nanoseconds{ns}};
}

// Found in PATH, or as an npm package of the suite's directory, of one above it or of ours.
std::string find_tool(const Tool& tool, const std::string& suite_directory) {
  std::error_code none;
  for (fs::path start : {fs::absolute(suite_directory, none), fs::current_path(none)}) {
    for (; !start.empty(); start = start.parent_path()) {
      const fs::path local = start / "node_modules/.bin" / tool.program;
      if (::access(local.c_str(), X_OK) == 0) return local;
      if (start == start.parent_path()) break;
    }
  }
  return tool.program;
}

pid_t first_child_of(pid_t pid) {
  const std::string children = read_all(fmt::format("/proc/{0}/task/{0}/children", pid));
  return children.empty() ? 0 : static_cast<pid_t>(std::strtol(children.c_str(), nullptr, 10));
}

std::string quoted_for_shell(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class Measurement {
 public:
  Measurement(const Suite& suite, const RunPlan& plan, const Settings& settings) : suite_(suite), settings_(settings) {
    out_.plan = plan;
  }

  RunOutcome run() {
    if (prepare() && start_dependencies() && start_target() && wait_until_ready(*target_, filled_.target)) drive();
    take_down();
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
  bool fill(Program& program);
  bool start_dependencies();
  bool start_target();
  bool wait_until_ready(Child& child, const Program& program);
  bool is_ready(const Ready& ready);
  void drive();
  bool run_step(const Step& step);
  bool start_tools(const Step& step, std::vector<Child>& tools);
  void act(const Phase& phase, double into_s, std::size_t& next);
  void note_second();
  bool target_lives();
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
  std::optional<MemoryLimit> memory_;
  pid_t target_pid_ = 0;
  double load_done_s_ = 0;
  std::map<std::string, std::size_t> actions_done_;  // by phase
  struct Result {
    std::string file, printed;  // what an adapter reads, and what the tool printed
    std::int64_t began_ns = 0;  // for tools that print no clock
  };
  std::vector<Result> results_;
  std::vector<load::LoadTimeline> parts_;
  double last_second_ = 0, last_generator_ = 0, last_machine_ = 0;
  std::vector<Child>* tools_ = nullptr;
  double tools_ended_cpu_ = 0;
};

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
  work.directory = in_run("load");
  fs::create_directories(work.directory, failed);
  const Tool& tool = *tool_named(suite_.load.tool);
  for (const Scenario& scenario : filled_.scenarios) {
    if (work.requests.empty() && (suite_.scenario.empty() || scenario.name == suite_.scenario))
      work.requests = scenario.requests;
  }
  work.stages = stages_ = stages_of(filled_.phases, settings_.time_scale, tool.has_ramps);
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
    tool_program_ = find_tool(tool, home);
  }
  out_.notes = translation_.notes;
  return true;
}

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
    // A shell holds them together: recorded as one run, ended by one signal.
    std::string script = "trap 'kill $(jobs -p) 2>/dev/null; wait' TERM INT\n";
    for (int i = 1; i <= instances; ++i) {
      for (const std::string& word : command) {
        std::string own = word;
        const std::string first = variables_.port("instance1");
        if (own == first) own = variables_.port("instance" + std::to_string(i));
        script += quoted_for_shell(own) + " ";
      }
      script += "&\n";
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
  const std::string list = in_run("load/parts.json");
  options.load_timeline = [list]() -> run::Result<load::LoadTimeline> {
    const Json parts = Json::parse(read_all(list), nullptr, false);
    if (parts.is_discarded()) return run::Error{"the load never began"};
    std::vector<load::LoadTimeline> timelines;
    for (const auto& part : parts["results"]) {
      auto timeline = load::read_load_file(part["file"]);
      if (!timeline) continue;
      timeline->place(at_wall(part["began_ns"]));
      timelines.push_back(std::move(*timeline));
    }
    std::vector<load::LoadPhase> phases;
    for (const auto& phase : parts["phases"])
      phases.push_back({phase["name"], phase["kind"], at_wall(phase["from_ns"]), at_wall(phase["to_ns"])});
    return joined(std::move(timelines), std::move(phases));
  };
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

bool Measurement::target_lives() {
  if (!target_ || !target_->is_running()) return false;
  return target_pid_ == 0 || fs::exists(fmt::format("/proc/{}", target_pid_));
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

bool Measurement::wait_until_ready(Child& child, const Program& program) {
  const bool is_target = target_ && &child == &*target_;
  const double began = steady_s();
  while (steady_s() - began < program.ready.within_s) {
    if (interrupts() > 0) return fail(State::kInterrupted, "interrupted before the load began");
    if (is_ready(program.ready)) return true;
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

void Measurement::run_checks(const char* when) {
  for (const Check& check : filled_.checks) {
    const auto path = variables_.fill(check.request.path), body = variables_.fill(check.request.body);
    const Answer answer = ask_target(check.request.method, filled_.load.base + (path ? *path : check.request.path),
                                     body ? *body : check.request.body, check.request.headers);
    std::string wrong;
    if (answer.status == 0)
      wrong = "no answer: " + answer.why;
    else if (answer.status != check.status)
      wrong = fmt::format("status {} instead of {}", answer.status, check.status);
    out_.checks.emplace_back(check.name + ", " + when, wrong);
  }
}

Json Measurement::stats_of(const std::string& url) {
  // A provider that was made to go away is asked again until it is back.
  for (double waited = 0;; waited += 0.2) {
    const Answer answer = ask_target("GET", url);
    if (answer.status == 200) return Json::parse(answer.body, nullptr, false);
    if (answer.status != 0 || waited >= 4 || !target_lives()) return Json(Json::value_t::discarded);
    nap(0.2);
  }
}

std::vector<Json> Measurement::figure_sources() {
  std::vector<Json> sources;
  for (const Figure& figure : filled_.figures) {
    Json list = Json::array();
    for (const std::string& url : figure.from) {
      Json stats = stats_of(url);
      list.push_back(stats.is_discarded() ? Json(nullptr) : std::move(stats));
    }
    sources.push_back(std::move(list));
  }
  return sources;
}

void Measurement::collect_figures(const std::vector<Json>& before, const std::vector<Json>& after) {
  const auto sum = [](const Json& list, const std::string& pointer) -> std::optional<double> {
    double total = 0;
    for (const Json& stats : list) {
      const Json::json_pointer at(pointer);
      if (!stats.contains(at) || !stats[at].is_number()) return std::nullopt;
      total += stats[at].get<double>();
    }
    return total;
  };
  for (std::size_t i = 0; i < filled_.figures.size() && i < before.size() && i < after.size(); ++i) {
    const Figure& figure = filled_.figures[i];
    const auto rise = [&](const std::string& pointer) -> std::optional<double> {
      const auto was = sum(before[i], pointer), is = sum(after[i], pointer);
      return was && is ? std::optional(*is - *was) : std::nullopt;
    };
    const auto value = rise(figure.value);
    const auto per = figure.per.empty() ? std::optional(1.0) : rise(figure.per);
    if (value && per && *per != 0)
      out_.figures[figure.name] = figure.scale * *value / *per;
    else
      out_.notes.push_back(fmt::format("figure {} is not known: {} {}", figure.name, figure.value,
                                       value ? "was divided by nothing" : "is no number there"));
  }
}

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
  }
  last_second_ = now;
  last_generator_ = generator;
  last_machine_ = machine;
}

bool Measurement::start_tools(const Step& step, std::vector<Child>& tools) {
  for (const Invocation& one : step.together) {
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
    results_.push_back({one.results, what.output, wall_ns()});
  }
  return true;
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
  out_.generator_capacity = std::max(out_.generator_capacity, capacity);
  const double began = steady_s(), done_before = load_done_s_;
  const std::int64_t began_ns = wall_ns();
  const std::size_t first_second = out_.seconds.size();
  bool goes_on = start_tools(step, tools);
  std::size_t acting = step.first;
  double acting_from = 0, next_checkpoint = settings_.checkpoint_s;
  const auto any_runs = [&] {
    return std::any_of(tools.begin(), tools.end(), [](Child& tool) { return tool.is_running(); });
  };
  while (goes_on && (tools.empty() ? steady_s() - began < planned : any_runs())) {
    const double elapsed = steady_s() - began;
    load_done_s_ = done_before + std::min(elapsed, planned);
    while (acting < step.last && elapsed - acting_from >= stages_[acting].duration_s) {
      acting_from += stages_[acting].duration_s;
      ++acting;
    }
    for (const Phase& phase : filled_.phases) {
      if (phase.name != stages_[acting].phase) continue;
      double into = elapsed - acting_from;  // of the whole phase: its stairs are stages of their own
      for (std::size_t i = acting; i > 0 && stages_[i - 1].phase == phase.name; --i) into += stages_[i - 1].duration_s;
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
    if (goes_on && settings_.is_decided && settings_.checkpoint_s > 0 && elapsed >= next_checkpoint) {
      next_checkpoint += settings_.checkpoint_s;
      if (settings_.is_decided(out_.run_file)) {
        out_.state = State::kDecided;
        out_.why = "the verdict was reached";
        goes_on = false;
      }
    }
    nap(0.05);
  }
  for (Child& tool : tools) {
    if (tool.is_running()) tool.stop(5);
    if (goes_on && !tool.ended_well()) {
      const std::string said = tail_of(results_.back().printed, 600);
      out_.notes.push_back(fmt::format("{} ended with {}: {}", suite_.load.tool, tool.how_it_ended(), said));
      if (suite_.load.tool != "k6" && suite_.load.tool != "artillery" && suite_.load.tool != "locust")
        goes_on = fail(State::kLoadFailed, fmt::format("{} ended with {}", suite_.load.tool, tool.how_it_ended()));
    }
    tools_ended_cpu_ += tool.cpu_seconds();
  }
  tools_ = nullptr;
  load_done_s_ = done_before + planned;
  const std::int64_t ended_ns = wall_ns();
  const auto mean_of = [&](std::int64_t from, std::int64_t to, double Second::*field) {
    double sum = 0, n = 0;
    for (std::size_t i = first_second; i < out_.seconds.size(); ++i) {
      if (out_.seconds[i].at_ns < from || out_.seconds[i].at_ns > to + 1'000'000'000) continue;
      sum += out_.seconds[i].*field;
      ++n;
    }
    return n > 0 ? sum / n : 0;
  };
  // Stairs of one ramp are one phase. A tool that runs all stages begins them when it is up, which its results tell
  // best; the clock of its start is what the suite knows.
  double at = 0;
  for (std::size_t i = step.first; i <= step.last; ++i) {
    const Stage& stage = stages_[i];
    PhaseSpan span{stage.phase,
                   stage.kind,
                   began_ns + static_cast<std::int64_t>(at * 1e9),
                   0,
                   stage.duration_s,
                   stage.users,
                   stage.rate,
                   0,
                   0};
    if (stage.rate && stage.rate_from) span.rate = (*stage.rate + *stage.rate_from) / 2;
    at += stage.duration_s;
    span.to_ns = i == step.last ? ended_ns : began_ns + static_cast<std::int64_t>(at * 1e9);
    if (span.from_ns >= ended_ns) break;
    span.to_ns = std::min(span.to_ns, ended_ns);
    span.generator_cpus = mean_of(span.from_ns, span.to_ns, &Second::generator_cpus);
    span.machine_cpus = mean_of(span.from_ns, span.to_ns, &Second::machine_cpus);
    if (!out_.phases.empty() && out_.phases.back().name == span.name && i > 0 && stages_[i - 1].phase == span.name) {
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
  return goes_on;
}

void Measurement::drive() {
  run_checks("before the load");
  std::vector<Json> figures_before = figure_sources();
  Json before = filled_.stats.empty() ? Json(Json::value_t::discarded) : stats_of(filled_.stats);
  out_.counted.own_in_between = 0;
  out_.from_ns = wall_ns();
  for (const Step& step : translation_.steps) {
    if (!run_step(step)) break;
  }
  out_.to_ns = wall_ns();
  tell("the load is over");
  nap(0.3);  // what was under way ends
  Json after(Json::value_t::discarded);
  if (!filled_.stats.empty() && target_lives()) after = stats_of(filled_.stats);
  // Of the suite's own requests only those between the two readings are in their difference; the second one is.
  if (!before.is_discarded()) out_.stats_before = before.dump();
  if (!after.is_discarded()) out_.stats_after = after.dump();
  if (!before.is_discarded() && !after.is_discarded() && !filled_.counted.empty()) {
    const Json::json_pointer at(filled_.counted);
    if (before.contains(at) && after.contains(at) && after[at].is_number())
      out_.counted.server = after[at].get<std::int64_t>() - before[at].get<std::int64_t>();
    else
      out_.notes.push_back(
          fmt::format("{} has no {}: what the server counted is not known", filled_.stats, filled_.counted));
  }
  const std::int64_t in_between = out_.counted.own_in_between;
  if (target_lives()) {
    collect_figures(figures_before, figure_sources());
    if (out_.state != State::kInterrupted) run_checks("after the load");
  }
  out_.counted.own_in_between = in_between;
  read_results();
}

void Measurement::read_results() {
  Json files = Json::array(), phases = Json::array();
  std::uint64_t began = 0, done = 0;
  bool all_counted = !results_.empty();
  for (const auto& [file, printed, began_at_ns] : results_) {
    std::error_code none;
    if (!fs::exists(file, none) || fs::file_size(file, none) == 0) {
      out_.notes.push_back(fmt::format("{} left no results in {}", suite_.load.tool, file));
      all_counted = false;
      continue;
    }
    auto timeline = load::read_load_file(file);
    if (!timeline) {
      out_.notes.push_back(timeline.error());
      fail(State::kLoadFailed, timeline.error());
      all_counted = false;
      continue;
    }
    timeline->place(at_wall(began_at_ns));
    files.push_back({{"file", file}, {"began_ns", began_at_ns}});
    const auto counts = suite_.load.tool == "h2load" ? begun_of_h2load(read_all(printed)) : std::nullopt;
    if (counts) {
      began += counts->began;
      done += counts->done;
    } else if (timeline->requests) {
      began += *timeline->requests;
      done += *timeline->requests;
    } else {
      all_counted = false;
    }
    parts_.push_back(std::move(*timeline));
  }
  if (all_counted) {
    out_.counted.tool_began = began;
    out_.counted.tool_done = done;
  }
  std::vector<load::LoadPhase> spans;
  for (const PhaseSpan& phase : out_.phases) {
    spans.push_back({phase.name, phase.kind, at_wall(phase.from_ns), at_wall(phase.to_ns)});
    phases.push_back({{"name", phase.name}, {"kind", phase.kind}, {"from_ns", phase.from_ns}, {"to_ns", phase.to_ns}});
  }
  write_all(in_run("load/parts.json"), Json{{"results", files}, {"phases", phases}}.dump(1));
  out_.timeline = joined(std::move(parts_), std::move(spans));
}

void Measurement::take_down() {
  if (target_) {
    tell("stopping the target");
    const bool was_alive = target_lives();
    if (suite_.is_recorded) {
      // The collector passes SIGTERM on, kills what does not heed it, names stacks and writes: it gets two minutes for
      // it.
      target_->signal(SIGTERM);
      const double limit = filled_.target.stop_within_s + 120, began = steady_s();
      while (target_->is_running() && steady_s() - began < limit) {
        tell("writing the run");
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

}  // namespace

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
