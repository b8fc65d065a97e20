#include "suite/conduct.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "collector/analysis/from_run.h"
#include "collector/naming/stack_namer.h"
#include "run/reader.h"
#include "run/rfc3339.h"
#include "run/units.h"
#include "suite/analyses.h"
#include "suite/child.h"
#include "suite/evaluate.h"
#include "suite/machine.h"
#include "suite/report.h"
#include "suite/suite_file.h"
#include "suite/tool.h"
#include "suite/unfinished.h"

namespace camprobe::suite {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void say(const std::string& line) {
  fmt::print(stderr, "camprobe suite: {}\n", line);
}

std::string default_directory(const std::string& name) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  const std::string stem = fmt::format("camprobe-suites/{}-{:%Y%m%d-%H%M%S}", name, local);
  std::string path = stem;
  for (int i = 2; fs::exists(path); ++i) path = fmt::format("{}-{}", stem, i);
  return path;
}

// A line that is written over on a terminal; elsewhere one line for each thing done.
class Bar {
 public:
  Bar(const Wishes& wishes, double planned_s)
      : is_quiet_(wishes.is_quiet), has_bar_(wishes.has_bar), planned_s_(planned_s) {}
  ~Bar() { clear(); }
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;

  void begin_run(const std::string& name, double done_s) {
    name_ = name;
    done_before_s_ = done_s;
  }
  void show(const std::string& what, double done_s) {
    if (is_quiet_) return;
    const double done = done_before_s_ + done_s, left = std::max(0.0, planned_s_ - done);
    if (!has_bar_) {
      if (what != last_) say(fmt::format("{}: {} ({} of load left)", name_, what, run::in_seconds(left)));
      last_ = what;
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - drawn_ < std::chrono::milliseconds(200)) return;
    drawn_ = now;
    constexpr int kWidth = 24;
    const int full = planned_s_ > 0 ? static_cast<int>(kWidth * std::min(1.0, done / planned_s_)) : 0;
    fmt::print(stderr, "\r\x1b[K[{}{}] {} left  {}: {}", std::string(static_cast<std::size_t>(full), '#'),
               std::string(static_cast<std::size_t>(kWidth - full), '.'), run::in_seconds(left), name_, what);
    std::fflush(stderr);
  }
  void clear() {
    if (has_bar_ && !is_quiet_) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  bool is_quiet_, has_bar_;
  double planned_s_, done_before_s_ = 0;
  std::string name_, last_;
  std::chrono::steady_clock::time_point drawn_{};
};

// The verdict of all runs together, and why.
void judge(Json& report, const Suite& suite) {
  int gates = 0, crossed = 0, unjudged = 0, checks = 0, broken = 0, confirmed = 0;
  std::string worst;
  bool is_inconclusive = false, has_failed = false;
  for (const Json& run : report["runs"]) {
    const std::string state = run["state"];
    if (state == "interrupted") is_inconclusive = true;
    if (state != "complete" && state != "decided" && state != "interrupted") {
      has_failed = true;
      if (worst.empty())
        worst = fmt::format("run {} ended before its time: {}", run["name"].get<std::string>(),
                            run["why"].get<std::string>());
    }
    for (const Json& gate : run["gates"]) {
      ++gates;
      if (gate["passed"] == true) continue;
      ++crossed;
      // What was broken off too early to be judged has crossed nothing.
      if (state == "interrupted" && gate["state"] == "missing") {
        ++unjudged;
        continue;
      }
      if (worst.empty()) worst = gate["text"];
    }
    for (const Json& check : run["checks"]) {
      ++checks;
      if (check["passed"] == true) continue;
      ++broken;
      if (worst.empty())
        worst = fmt::format("{}: {}", check["name"].get<std::string>(), check["text"].get<std::string>());
    }
    for (const Json& finding : run["findings"]) {
      if (!finding.value("confirmed", false)) continue;
      ++confirmed;
      if (worst.empty()) worst = finding["title"];
    }
    if (run["counts"]["reconciled"] == false) {
      has_failed = true;
      if (worst.empty())
        worst = fmt::format("run {}: the counts of requests do not agree: {}", run["name"].get<std::string>(),
                            run["counts"]["differences"].back().get<std::string>());
    }
  }
  has_failed |= crossed > unjudged || broken > 0 || confirmed > 0;
  report["verdict"] = has_failed ? "fail" : is_inconclusive ? "inconclusive" : "pass";
  std::string summary;
  if (has_failed)
    summary = worst + ". ";
  else if (is_inconclusive)
    summary = "It was interrupted: what was measured until then. ";
  summary += fmt::format("{} of {} gates passed, {} of {} checks hold, {} confirmed {} in {} {} of {}.",
                         gates - crossed, gates, checks - broken, checks, confirmed,
                         confirmed == 1 ? "leak or degradation" : "leaks or degradations", report["runs"].size(),
                         report["runs"].size() == 1 ? "run" : "runs", suite.system);
  for (const Json& section : report["analyses"]) {
    if (section.contains("headline") && section["headline"].is_string())
      summary += " " + section["headline"].get<std::string>();
  }
  report["summary"] = summary;
}

}  // namespace

run::Result<std::vector<std::string>> apply(const Wishes& wishes, Suite& suite) {
  std::vector<std::string> told;
  if (!wishes.tool.empty()) {
    if (tool_named(wishes.tool) == nullptr)
      return run::Error{fmt::format("--tool {}: there is no such load tool", wishes.tool)};
    suite.load.tool = wishes.tool;
    told.push_back("the load tool is " + wishes.tool);
  }
  if (!wishes.scenario.empty()) {
    const auto is_it = [&](const Scenario& scenario) { return scenario.name == wishes.scenario; };
    std::string known;
    for (const Scenario& scenario : suite.scenarios) known += (known.empty() ? "" : ", ") + scenario.name;
    if (std::none_of(suite.scenarios.begin(), suite.scenarios.end(), is_it))
      return run::Error{
          fmt::format("--scenario {}: suite {} has no such scenario; it has {}", wishes.scenario, suite.name, known)};
    suite.scenario = wishes.scenario;
    told.push_back("the scenario is " + wishes.scenario);
  }
  if (wishes.users) {
    int most = 1;
    for (const Phase& phase : suite.phases) most = std::max(most, phase.users);
    const auto scaled = [&](int users) {
      return users == 0 ? 0
                        : std::max(1, static_cast<int>(std::lround(static_cast<double>(users) * *wishes.users / most)));
    };
    for (Phase& phase : suite.phases) {
      phase.users = scaled(phase.users);
      if (phase.users_from) phase.users_from = scaled(*phase.users_from);
    }
    told.push_back(fmt::format("at most {} users instead of {}, in proportion", *wishes.users, most));
  }
  if (wishes.duration_s) {
    double all = 0;
    for (const Phase& phase : suite.phases) all += phase.duration_s;
    for (Phase& phase : suite.phases) {
      phase.duration_s *= *wishes.duration_s / all;
      for (Action& action : phase.actions) action.at_s *= *wishes.duration_s / all;
    }
    told.push_back(fmt::format("{} of load instead of {}, in proportion", run::in_seconds(*wishes.duration_s),
                               run::in_seconds(all)));
  }
  if (wishes.rate) {
    double most = 0;
    for (const Phase& phase : suite.phases) most = std::max(most, phase.rate.value_or(0));
    for (Phase& phase : suite.phases) {
      if (most > 0 && !phase.rate) continue;
      const double factor = most > 0 ? *wishes.rate / most : 1;
      phase.rate = most > 0 ? *phase.rate * factor : *wishes.rate;
      if (phase.rate_from) phase.rate_from = *phase.rate_from * factor;
    }
    told.push_back(fmt::format("at most {} requests/s", number_text(*wishes.rate)));
  }
  if (wishes.repeats) {
    suite.repeats = *wishes.repeats;
    told.push_back(fmt::format("{} repeats", suite.repeats));
  }
  if (!wishes.gates.empty()) {
    suite.gates = wishes.gates;
    told.push_back("the gates are those of --tier and --gates");
  }
  return told;
}

std::vector<RunPlan> runs_of(const Suite& suite, const std::string& directory) {
  std::vector<RunPlan> plans;
  std::mt19937_64 random(suite.seed);
  for (int repeat = 1; repeat <= suite.repeats; ++repeat) {
    std::vector<RunPlan> block;
    const auto add = [&](const std::string& name, const std::string& variant, std::optional<int> cores,
                         std::optional<int> instances) {
      const std::string full = suite.repeats > 1 ? fmt::format("{}-{}", name, repeat) : name;
      block.push_back({full, variant, repeat, cores, instances, directory + "/runs/" + full});
    };
    if (suite.cores.empty() && suite.instances.empty()) add("target", "", std::nullopt, std::nullopt);
    for (const int cores : suite.cores) add(fmt::format("cores-{}", cores), "", cores, std::nullopt);
    for (const int instances : suite.instances)
      add(fmt::format("instances-{}", instances), "", std::nullopt, instances);
    for (const Variant& variant : suite.baselines) add(variant.name, variant.name, std::nullopt, std::nullopt);
    for (std::size_t i = block.size(); i > 1; --i) std::swap(block[i - 1], block[random() % i]);
    plans.insert(plans.end(), block.begin(), block.end());
  }
  return plans;
}

double planned_seconds(const Suite& suite, double time_scale) {
  double seconds = 0;
  for (const Stage& stage : stages_of(suite.phases, time_scale, true)) seconds += stage.duration_s;
  return seconds * static_cast<double>(runs_of(suite, "").size());
}

Conducted conduct(Suite suite, const Wishes& wishes, std::string started_at) {
  const auto told = apply(wishes, suite);
  if (!told) {
    say(told.error());
    return {2, ""};
  }
  const std::string directory = wishes.directory.empty() ? default_directory(suite.name) : wishes.directory;
  if (std::error_code none; !wishes.resumes && fs::exists(directory, none) && !fs::is_empty(directory, none)) {
    say(fmt::format("{}: is there and not empty; name another directory with -o", directory));
    return {2, ""};
  }
  std::error_code failed;
  fs::create_directories(directory + "/runs", failed);
  if (failed) {
    say(fmt::format("{}: {}", directory, failed.message()));
    return {2, ""};
  }
  become_reaper();
  watch_for_interrupts();
  const auto claim = Claim::take(directory);
  if (!claim) {
    say(claim.error());
    return {2, ""};
  }
  if (!wishes.resumes) {
    fs::copy_file(suite.path, directory + "/" + fs::path(suite.path).filename().string(), failed);
    started_at = run::rfc3339(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    write_unfinished(directory, suite, wishes, started_at);
  }
  Settings settings;
  settings.time_scale = wishes.time_scale;
  settings.bin = fs::read_symlink("/proc/self/exe").parent_path();
  settings.checkpoint_s = wishes.checkpoint_s;
  settings.keeps_journal = suite.system == "endurance";

  const auto began = std::chrono::steady_clock::now();
  Json report{{"schema", kReportSchema},          {"suite", suite.name}, {"system", suite.system},
              {"description", suite.description}, {"verdict", ""},       {"summary", ""},
              {"time_scale", wishes.time_scale},  {"overrides", *told},  {"seed", suite.seed},
              {"started_at", started_at},         {"seconds", 0.0}};
  report["machine"] = machine_json();
  report["versions"] = versions_json(suite, settings.bin);
  report["runs"] = Json::array();
  std::vector<RunPlan> plans = runs_of(suite, directory);
  const double each = planned_seconds(suite, wishes.time_scale) / static_cast<double>(plans.size());
  Bar bar(wishes, planned_seconds(suite, wishes.time_scale));
  settings.progress = [&](const std::string& what, double done) { bar.show(what, done); };
  if (wishes.stops_when_decided) {
    settings.is_decided = [](const std::string& file) {
      auto reader = naming::open_named(file);
      if (!reader) return false;
      const run::Report so_far = analysis::analyse(*reader);
      const bool found = std::any_of(so_far.findings.begin(), so_far.findings.end(), [](const run::Finding& finding) {
        return finding.confirmed && finding.kind == "leak";
      });
      return found || so_far.analysis.leaks_judged;
    };
  }
  double done_s = 0;
  for (const RunPlan& plan : plans) {
    if (interrupts() > 0) break;
    bar.begin_run(plan.name, done_s);
    if (auto over = read_result(plan)) {
      report["runs"].push_back(std::move(*over));
      done_s += each;
      continue;
    }
    // Of the others a half measured run is no measurement: they are made anew.
    if (!settings.keeps_journal) fs::remove_all(plan.directory, failed);
    const auto variant = std::find_if(suite.baselines.begin(), suite.baselines.end(),
                                      [&](const Variant& one) { return one.name == plan.variant; });
    const Suite measured = variant == suite.baselines.end() ? suite : with_baseline(suite, *variant);
    RunOutcome outcome = measure(measured, plan, settings);
    bar.show("judging", each);
    report["runs"].push_back(evaluated(measured, outcome));
    if (outcome.state != State::kInterrupted) write_result(plan, report["runs"].back());
    done_s += each;
    if (outcome.state != State::kComplete && outcome.state != State::kDecided && !wishes.is_quiet) {
      bar.clear();
      say(fmt::format("{}: {}: {}", plan.name, to_string(outcome.state), outcome.why));
    }
  }
  bar.clear();
  report["interrupted"] = interrupts() > 0;
  report["analyses"] = analyses_of(suite, report, directory);
  report["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  judge(report, suite);
  if (const auto written = write_report(report, directory); !written) {
    say(written.error());
    return {1, directory};
  }
  bool could_run = true;
  for (const Json& run : report["runs"]) could_run &= run["state"] != "not started";
  int exit_code = report["verdict"] == "fail" ? 99 : report["verdict"] == "pass" ? 0 : 1;
  if (!could_run) exit_code = 1;
  if (!wishes.is_quiet)
    say(fmt::format("{}: {}: {} The report is in {}/report.html", suite.name, report["verdict"].get<std::string>(),
                    report["summary"].get<std::string>(), directory));
  if (!wishes.is_quiet && interrupts() > 0) say("go on with it: camprobe suite run --resume " + directory);
  return {exit_code, directory};
}

std::vector<std::string> suite_directories() {
  std::vector<std::string> directories{"suites", "examples/suites"};
  std::error_code none;
  const fs::path self = fs::read_symlink("/proc/self/exe", none);
  directories.push_back(self.parent_path().parent_path().parent_path() /
                        "examples/suites");  // build/bin/camprobe of a checkout
  std::vector<std::string> there;
  for (const std::string& directory : directories) {
    if (!fs::is_directory(directory, none)) continue;
    const bool is_known = std::any_of(there.begin(), there.end(),
                                      [&](const std::string& other) { return fs::equivalent(other, directory, none); });
    if (!is_known) there.push_back(directory);
  }
  return there;
}

run::Result<std::vector<Suite>> find_suites(const std::string& name, const std::vector<std::string>& directories) {
  if (name.find('/') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml"))
    return read_suite_file(name);
  std::string known;
  for (const std::string& directory : directories) {
    std::vector<std::string> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(directory, none)) {
      if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      auto suites = read_suite_file(file);
      if (!suites) return suites;
      for (Suite& suite : *suites) {
        if (suite.name == name) return std::vector<Suite>{std::move(suite)};
        known += (known.empty() ? "" : ", ") + suite.name;
      }
    }
  }
  return run::Error{
      fmt::format("there is no suite {}; {}", name,
                  known.empty() ? "name a file, or a directory of them with --suites" : "known are " + known)};
}

}  // namespace camprobe::suite
