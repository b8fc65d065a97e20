// cli/compare.cc: see compare.h.
#include "cli/compare.h"

#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "cli/choices.h"
#include "cli/gate.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "collector/compare/baseline.h"
#include "collector/compare/compare.h"
#include "collector/naming/stack_namer.h"
#include "exporters/comparison.h"
#include "exporters/difference.h"
#include "exporters/flamegraph_svg.h"
#include "exporters/slice.h"
#include "run/reader.h"

namespace camprobe::cli {

namespace {

run::Result<std::vector<compare::RunSummary>> load_all(const std::vector<std::string>& paths) {
  std::vector<compare::RunSummary> all;
  for (const std::string& path : paths) {
    auto side = compare::load_side(path);
    if (!side) return side;
    for (compare::RunSummary& run : *side) all.push_back(std::move(run));
  }
  return all;
}

// Slices of whole runs. A baseline holds no samples.
run::Result<std::vector<exporters::Slice>> slices_of(const std::vector<std::string>& paths, exporters::What what) {
  std::vector<exporters::Slice> slices;
  for (const std::string& path : paths) {
    auto run = naming::open_named(path);
    if (!run)
      return run::Error{run.error() + "; a flame graph needs run files on both sides (baselines hold no samples)"};
    try {
      slices.push_back(exporters::read_slice(*run, what, exporters::TimeRange{0, run->duration_ns()}));
    } catch (const exporters::SliceError& error) {
      return run::Error{path + ": " + error.what()};
    }
  }
  return slices;
}

double requests_of(const std::vector<compare::RunSummary>& side) {
  double requests = 0;
  for (const compare::RunSummary& run : side) requests += run.requests;
  return requests;
}

run::Result<void> write_flamegraph(const CompareOptions& options, exporters::What what, double scale) {
  auto before = slices_of(options.base, what);
  if (!before) return run::Error{before.error()};
  auto after = slices_of(options.runs, what);
  if (!after) return run::Error{after.error()};
  const exporters::Slice difference = exporters::difference_of(*before, *after, scale);
  return write_output(options.flamegraph, options.flamegraph.ends_with(".svg")
                                              ? exporters::to_flamegraph_svg(difference)
                                              : exporters::to_folded_difference(difference));
}

void add_compare_options(CLI::App& command, CompareOptions& options) {
  command.add_option("--format", options.format, "text, json or md")
      ->check(choices("text json md"))
      ->type_name("FORMAT")
      ->capture_default_str();
  command.add_option("-o,--output", options.output, "Write to this file (default: standard output)")->type_name("FILE");
  command.add_option("--fail-on", options.fail_on, "Exit code 99: worse, or cannot-tell (which is worse, too)")
      ->check(choices("worse cannot-tell"))
      ->type_name("WHAT");
  command
      .add_option("--flamegraph", options.flamegraph,
                  "Write what changed as a flame graph: FILE.svg, or folded stacks with two numbers")
      ->type_name("FILE");
  command.add_option("--what", options.what, "Slice of the flame graph")->type_name("SLICE")->capture_default_str();
}

}  // namespace

int run_compare(const CompareOptions& options) {
  const auto fail = [](const std::string& sentence) {
    fmt::print(stderr, "camprobe compare: {}\n", sentence);
    return 2;
  };
  const std::string& format = options.format;
  if (format != "text" && format != "json" && format != "md")
    return fail(fmt::format("--format {}: no such format; choose text, json or md", format));
  if (!options.fail_on.empty() && options.fail_on != "worse" && options.fail_on != "cannot-tell")
    return fail(fmt::format("--fail-on {}: choose worse or cannot-tell", options.fail_on));
  const auto what = exporters::what_named(options.what);
  if (!what)
    return fail(
        fmt::format("--what {}: no such slice; choose one of {}", options.what, exporters::all_names_of_what()));
  if (options.base.empty() || options.runs.empty())
    return fail("name at least two runs: camprobe compare BASE RUN, or camprobe compare --base A --base B RUN RUN");
  const auto base = load_all(options.base);
  if (!base) return fail(base.error());
  const auto runs = load_all(options.runs);
  if (!runs) return fail(runs.error());
  const run::Comparison comparison = compare::compare(*base, *runs);
  if (!options.flamegraph.empty()) {
    const double before = requests_of(*base), after = requests_of(*runs);
    const double scale = before > 0 && after > 0 ? after / before : 0;
    if (const auto written = write_flamegraph(options, *what, scale); !written) return fail(written.error());
  }
  const std::string text = format == "json" ? exporters::comparison_json(comparison)
                           : format == "md" ? exporters::comparison_markdown(comparison)
                                            : exporters::comparison_text(comparison, style_of_output(options.output));
  if (const auto written = write_output(options.output, text); !written) return fail(written.error());
  const bool is_worse = comparison.verdict == "worse";
  const bool is_open = comparison.verdict == "cannot tell";
  if (!options.fail_on.empty() && (is_worse || (is_open && options.fail_on == "cannot-tell"))) return kGateCrossed;
  return 0;
}

void add_compare_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<CompareOptions>();
  const auto named = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("compare", "Are runs the same, better or worse than others?");
  command->footer(
      R"(Each metric of both sides, and of each endpoint: same, better, worse or cannot tell, with the change and its
95 % interval (docs/comparing.md); new and vanished stacks; new findings. Sides are run files or baselines.

  camprobe compare main.camrun branch.camrun --flamegraph diff.svg
  camprobe compare --base main1.camrun --base main2.camrun branch1.camrun branch2.camrun --fail-on worse

Several runs a side tell how much runs of the program differ by themselves; with one, that is assumed.
Exit code 0; 99 where --fail-on is met; 2 where a run cannot be read.)");
  command->add_option("RUN", *named, "The base, then the runs; with --base all are runs")->required()->type_name("");
  command->add_option("--base", options->base, "A run of the base; again for another")
      ->type_name("RUN")
      ->allow_extra_args(false);
  add_compare_options(*command, *options);
  command->callback([options, named, &exit_code] {
    options->runs = *named;
    if (options->base.empty() && options->runs.size() > 1) {
      options->base = {options->runs.front()};
      options->runs.erase(options->runs.begin());
    }
    exit_code = run_compare(*options);
  });
}

namespace {

struct BaselineOptions {
  std::string store = compare::kDefaultStore;
  std::string name;
  std::vector<std::string> runs;
  bool may_replace = false;
  std::string format = "text";
  CompareOptions comparison;
};

int fail_baseline(const std::string& sentence) {
  fmt::print(stderr, "camprobe baseline: {}\n", sentence);
  return 2;
}

int save(const BaselineOptions& options) {
  if (const std::string why = compare::wrong_name(options.name); !why.empty())
    return fail_baseline(fmt::format("{}: {}", options.name, why));
  const auto runs = load_all(options.runs);
  if (!runs) return fail_baseline(runs.error());
  const auto saved = compare::save_baseline(options.store, options.name, *runs, options.may_replace);
  if (!saved) return fail_baseline(saved.error());
  fmt::print("{}\n", compare::baseline_path(options.store, options.name));
  return 0;
}

int list(const BaselineOptions& options) {
  int code = 0;
  for (const std::string& name : compare::baseline_names(options.store)) {
    const auto runs = compare::load_side(compare::baseline_path(options.store, name));
    if (!runs) {
      code = fail_baseline(runs.error());
      continue;
    }
    const compare::RunSummary& first = runs->front();
    fmt::print("{}  {} {}  {}  {}  {:.0f}/s\n", name, runs->size(), runs->size() == 1 ? "run" : "runs",
               first.started_at.empty() ? "-" : first.started_at.substr(0, 10), first.host, first.requests_per_second);
  }
  return code;
}

// A baseline beside itself: its values with their errors.
int show(const BaselineOptions& options) {
  const std::string path = compare::baseline_path(options.store, options.name);
  const auto runs = compare::load_side(path);
  if (!runs) return fail_baseline(runs.error());
  if (options.format == "json") {
    fmt::print("{}", compare::baseline_text(*runs));
    return 0;
  }
  fmt::print("{}", exporters::baseline_listing(compare::compare(*runs, *runs)));
  return 0;
}

}  // namespace

void add_baseline_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<BaselineOptions>();
  CLI::App* command =
      app.add_subcommand("baseline", "Keep runs to compare with: small JSON files that can live in git");
  command->require_subcommand(1);
  command->footer(
      "Baselines are NAME.json in a directory, .camprobe/baselines by default (--store DIR).\n"
      "Example: camprobe baseline save main run1.camrun run2.camrun run3.camrun\n"
      "         camprobe baseline compare main branch.camrun --fail-on worse");
  const auto store = [options](CLI::App* sub) {
    sub->add_option("--store", options->store, "The directory of the baselines")
        ->type_name("DIR")
        ->capture_default_str();
  };
  CLI::App* saving = command->add_subcommand("save", "Sum up runs and keep them under a name");
  saving->add_option("NAME", options->name, "Its name: main, v1.2, ...")->required()->type_name("");
  saving->add_option("RUN", options->runs, "The runs it is made of")->required()->type_name("");
  saving->add_flag("--overwrite", options->may_replace, "Replace an older one of that name");
  store(saving);
  saving->callback([options, &exit_code] { exit_code = save(*options); });

  CLI::App* listing = command->add_subcommand("list", "What is kept");
  store(listing);
  listing->callback([options, &exit_code] { exit_code = list(*options); });

  CLI::App* showing = command->add_subcommand("show", "The figures of one");
  showing->add_option("NAME", options->name, "Which")->required()->type_name("");
  showing->add_option("--format", options->format, "text or json")
      ->check(choices("text json"))
      ->type_name("FORMAT")
      ->capture_default_str();
  store(showing);
  showing->callback([options, &exit_code] {
    if (options->format != "text" && options->format != "json")
      exit_code = fail_baseline(fmt::format("--format {}: choose text or json", options->format));
    else
      exit_code = show(*options);
  });

  CLI::App* comparing = command->add_subcommand("compare", "Compare runs with one: as camprobe compare does");
  comparing->add_option("NAME", options->name, "Which")->required()->type_name("");
  comparing->add_option("RUN", options->runs, "The runs")->required()->type_name("");
  add_compare_options(*comparing, options->comparison);
  store(comparing);
  comparing->callback([options, &exit_code] {
    options->comparison.base = {compare::baseline_path(options->store, options->name)};
    options->comparison.runs = options->runs;
    exit_code = run_compare(options->comparison);
  });
}

}  // namespace camprobe::cli
