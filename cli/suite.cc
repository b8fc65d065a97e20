// cli/suite.cc: `camprobe suite list | run | report`.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/gate.h"
#include "cli/output.h"
#include "collector/gates/gates_file.h"
#include "suite/child.h"
#include "suite/conduct.h"
#include "suite/report.h"
#include "suite/suite_file.h"
#include "suite/tool.h"
#include "suite/unfinished.h"

namespace camprobe::cli {
namespace {

int fail(const std::string& sentence) {
  fmt::print(stderr, "camprobe suite: {}\n", sentence);
  return 2;
}

struct Run {
  std::vector<std::string> names, directories;
  suite::Wishes wishes;
  int users = 0, repeats = 0;
  double rate = 0;
  std::string duration, checkpoint, tier, gates, resumed;
  bool is_ci = false;
};

int list(const std::vector<std::string>& chosen) {
  const std::vector<std::string> directories = chosen.empty() ? suite::suite_directories() : chosen;
  if (directories.empty()) return fail("there is no directory suites or examples/suites here; name one with --suites");
  for (const std::string& directory : directories) {
    std::error_code none;
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
      if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
    if (none) return fail(directory + ": " + none.message());
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      const auto suites = suite::read_suite_file(file);
      if (!suites) return fail(suites.error());
      for (const suite::Suite& one : *suites)
        fmt::print("{:<24} {:<12} {:>7.0f} s  {}\n", one.name, one.system, suite::planned_seconds(one, 1),
                   one.description);
    }
  }
  return 0;
}

void publish(const std::string& directory) {
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary != nullptr) std::ofstream(summary, std::ios::app) << suite::read_all(directory + "/report.md");
  fmt::print("JUnit: {0}/report.xml\nMarkdown: {0}/report.md\n", directory);
}

int tell(const suite::Conducted& done, bool is_ci) {
  if (done.directory.empty()) return done.exit_code;
  if (is_ci)
    publish(done.directory);
  else
    fmt::print("{}", suite::read_all(done.directory + "/report.txt"));
  return done.exit_code;
}

int resume(const Run& arguments) {
  auto unfinished = suite::read_unfinished(arguments.resumed);
  if (!unfinished) return fail(unfinished.error());
  suite::Wishes& wishes = unfinished->wishes;
  const auto gates = gates::chosen_gates(wishes.tier, wishes.gates_file);
  if (!gates) return fail(gates.error());
  wishes.gates = *gates;
  wishes.has_bar = !arguments.is_ci && ::isatty(STDERR_FILENO) != 0;
  wishes.is_quiet = arguments.wishes.is_quiet;
  return tell(suite::conduct(std::move(unfinished->suite), wishes, unfinished->started_at), arguments.is_ci);
}

int run(Run& arguments) {
  if (!arguments.resumed.empty()) return resume(arguments);
  if (arguments.names.empty())
    return fail("which suite? Name one, or a file; camprobe suite list shows those there are");
  suite::Wishes& wishes = arguments.wishes;
  if (arguments.users > 0) wishes.users = arguments.users;
  if (arguments.repeats > 0) wishes.repeats = arguments.repeats;
  if (arguments.rate > 0) wishes.rate = arguments.rate;
  for (const auto& [text, option, into] :
       {std::tuple<std::string, const char*, bool>{arguments.duration, "--duration", true},
        {arguments.checkpoint, "--checkpoint", false}}) {
    if (text.empty()) continue;
    const auto seconds = suite::seconds_of(text);
    if (!seconds || *seconds <= 0) return fail(fmt::format("{} {}: is no time; write 90, 30s or 5m", option, text));
    if (into)
      wishes.duration_s = *seconds;
    else
      wishes.checkpoint_s = *seconds;
  }
  const auto gates = gates::chosen_gates(arguments.tier, arguments.gates);
  if (!gates) return fail(gates.error());
  wishes.gates = *gates;
  wishes.tier = arguments.tier;
  wishes.gates_file = arguments.gates;
  wishes.has_bar = !arguments.is_ci && ::isatty(STDERR_FILENO) != 0;
  const std::vector<std::string> directories =
      arguments.directories.empty() ? suite::suite_directories() : arguments.directories;
  // All names are looked up before anything runs: hours are not spent before a mistake is told.
  std::vector<suite::Suite> suites;
  for (const std::string& name : arguments.names) {
    auto found = suite::find_suites(name, directories);
    if (!found) return fail(found.error());
    for (suite::Suite& one : *found) suites.push_back(std::move(one));
  }
  const std::string parent = wishes.directory;
  int code = 0;
  for (const suite::Suite& one : suites) {
    if (suite::interrupts() > 0) break;
    wishes.directory = parent.empty() || suites.size() == 1 ? parent : parent + "/" + one.name;
    const suite::Conducted done = suite::conduct(one, wishes);
    if (done.exit_code == 99 || code == 0) code = done.exit_code;
    tell(done, arguments.is_ci);
  }
  return code;
}

}  // namespace

void add_suite_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("suite", "Load, benchmark, stress, scalability and endurance suites");
  command->require_subcommand(1);
  command->footer(
      "A suite is a YAML file (docs/suites.md): what is started, which load a real tool puts on it, what must hold.\n\n"
      "  camprobe suite list\n"
      "  camprobe suite run load-basic --time-scale 0.1\n"
      "  camprobe suite run my-suite.yaml --ci -o results");

  const auto directories = std::make_shared<std::vector<std::string>>();
  CLI::App* listing = command->add_subcommand("list", "The suites there are: name, system, seconds of load, what for");
  listing->add_option("--suites", *directories, "Directories of suites (suites, examples/suites)")->type_name("DIR");
  listing->callback([directories, &exit_code] { exit_code = list(*directories); });

  const auto arguments = std::make_shared<Run>();
  CLI::App* running = command->add_subcommand("run", "Run suites, by name or file");
  running->footer(
      "Each suite leaves a directory: report.html, .txt, .json, .md, .xml, .csv; for each run the recording, its own "
      "reports, the load tool's\n"
      "raw output and all logs. Ctrl-C ends the load, then the target, then the collector, and the report is still "
      "written.\n"
      "Exit code 0: all gates and checks held; 99: one did not, a leak or degradation was confirmed, or the target "
      "ended before its time;\n"
      "2: the suite cannot be read; 1: it could not be run, or was interrupted.");
  running->add_option("NAME", arguments->names, "Names of suites, or files")->type_name("");
  running->add_option("--suites", arguments->directories, "A directory of suites; may be given several times")
      ->type_name("DIR")
      ->allow_extra_args(false);
  running
      ->add_option("-o,--output", arguments->wishes.directory,
                   "The directory to make [camprobe-suites/NAME-YYYYmmdd-HHMMSS]")
      ->type_name("DIR");
  running
      ->add_option("--time-scale", arguments->wishes.time_scale,
                   "Multiply all times by this: 0.05 for a quick look; marked in the report")
      ->check(CLI::Range(1e-4, 100.0));
  running->add_option("--users", arguments->users, "The most users at a time; phases keep their proportions")
      ->check(CLI::Range(1, 1'000'000));
  running
      ->add_option("--duration", arguments->duration,
                   "Seconds of load (or 5m, 2h) of each run; phases keep their proportions")
      ->type_name("TIME");
  running->add_option("--rate", arguments->rate, "The most requests a second; phases keep their proportions")
      ->check(CLI::Range(0.01, 1e7));
  running->add_option("--scenario", arguments->wishes.scenario, "Which scenario of the suite")->type_name("NAME");
  running
      ->add_option("--tool", arguments->wishes.tool,
                   "Another load tool: h2load, autocannon, wrk, artillery, k6, locust, vegeta, jmeter")
      ->type_name("TOOL");
  running->add_option("--repeats", arguments->repeats, "How often each run is made")->check(CLI::Range(1, 100));
  running->add_flag("--stop-when-decided", arguments->wishes.stops_when_decided,
                    "End the load as soon as it can be said whether it leaks");
  running->add_option("--checkpoint", arguments->checkpoint, "How often that is looked at [60s]")->type_name("TIME");
  add_gate_options(*running, arguments->tier, arguments->gates);
  running->add_flag("--ci", arguments->is_ci,
                    "For CI: no progress bar, names the JUnit and Markdown files, writes to $GITHUB_STEP_SUMMARY");
  CLI::Option* resumed =
      running
          ->add_option(
              "--resume", arguments->resumed,
              "Go on with a suite that was interrupted or killed, with what was asked for then: runs that were "
              "over are kept, an endurance run goes on where it was, in its run file")
          ->type_name("DIR");
  running->add_flag("-q,--quiet", arguments->wishes.is_quiet, "Say nothing but errors and the report");
  for (CLI::Option* option : running->get_options()) {
    const std::string name = option->get_name();
    if (option != resumed && name != "--help" && name != "--ci" && name != "--quiet") resumed->excludes(option);
  }
  running->callback([arguments, &exit_code] { exit_code = run(*arguments); });

  struct Report {
    std::string directory, format = "text", output;
  };
  const auto options = std::make_shared<Report>();
  CLI::App* reporting = command->add_subcommand("report", "The report of a suite that has been run");
  reporting->add_option("DIR", options->directory, "The directory that suite run made")->required()->type_name("");
  reporting->add_option("--format", options->format, "text, json, md, html, junit or csv")
      ->check(CLI::IsMember({"text", "json", "md", "html", "junit", "csv"}))
      ->type_name("FORMAT");
  reporting->add_option("-o,--output", options->output, "Write to this file")->type_name("FILE");
  reporting->callback([options, &exit_code] {
    const auto report = suite::read_report(options->directory);
    if (!report) {
      exit_code = fail(report.error());
      return;
    }
    if (const auto written = write_output(options->output, suite::pictured(*report, options->format)); !written)
      exit_code = fail(written.error());
  });
}

}  // namespace camprobe::cli
