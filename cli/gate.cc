// cli/gate.cc: see gate.h.
#include "cli/gate.h"

#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "cli/choices.h"
#include "cli/one_state.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "collector/gates/gate.h"
#include "collector/gates/gates_file.h"
#include "collector/naming/stack_namer.h"
#include "exporters/report_json.h"
#include "exporters/report_junit.h"
#include "exporters/report_markdown.h"
#include "exporters/report_text.h"
#include "run/reader.h"

namespace camprobe::cli {

int run_gate(const GateOptions& options) {
  const auto fail = [](const std::string& sentence) {
    fmt::print(stderr, "camprobe gate: {}\n", sentence);
    return 2;
  };
  const std::string& format = options.format;
  if (format != "text" && format != "json" && format != "md" && format != "junit")
    return fail(fmt::format("--format {}: no such format; choose text, json, md or junit", format));
  if (options.tier.empty() && options.gates.empty())
    return fail("no gates: choose a --tier, or give a file of --gates, or both");
  const auto gates = gates::chosen_gates(options.tier, options.gates);
  if (!gates) return fail(gates.error());
  auto run = naming::open_named(options.run);
  if (!run) return fail(run.error());
  hold_one_state(*run);
  const run::Report report = gates::analyse_with_gates(*run, *gates);
  std::string text;
  if (format == "json") {
    text = exporters::gates_json(report);
  } else if (format == "md") {
    text = exporters::gates_markdown(report);
  } else if (format == "junit") {
    text = exporters::gates_junit(report);
  } else {
    text = exporters::gates_text(report, style_of_output(options.output));
  }
  if (const auto written = write_output(options.output, text); !written) return fail(written.error());
  if (run->error()) {
    fmt::print(stderr, "camprobe gate: the run is damaged, and the gates are judged by what could be read of it: {}\n",
               run->error()->sentence);
  }
  if (!gates::all_passed(report)) return kGateCrossed;
  return run->error() ? 1 : 0;
}

void add_gate_options(CLI::App& command, std::string& tier, std::string& gates) {
  command.add_option("--tier", tier, "Gates of a CAM service tier: community, professional or enterprise")
      ->check(choices("community professional enterprise"))
      ->type_name("TIER");
  command.add_option("--gates", gates, "A file of gates (YAML; docs/gates.md)")->type_name("FILE");
}

void add_gate_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<GateOptions>();
  const auto lists = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("gate", "Does a run keep to its limits? Exit code 99 where not");
  command->footer(R"(A gate is a limit on a metric, of the whole run, of an endpoint or of a load window:

  gates:
    - {metric: latency_p95_ms, max: 100 ms}
    - {metric: error_rate, max: 0.05 %, endpoint: "*"}
    - {metric: rss_growth_bytes_per_hour, max: 8 MiB, when_missing: pass}

Tiers, on p95 latency, throughput and error rate (and no confirmed leak or degradation):
  community     200 ms   100/s  0.1 %
  professional  100 ms   500/s  0.05 %
  enterprise     50 ms  2000/s  0.01 %

Exit code 0: all passed; 99: one was crossed, or could not be evaluated (unless it says when_missing: pass);
2: the run or the gates cannot be read; 1: the run is damaged.)");
  CLI::Option* run = command->add_option("RUN", options->run, "The run file")->type_name("");
  add_gate_options(*command, options->tier, options->gates);
  command->add_option("--format", options->format, "text, json, md or junit")
      ->check(choices("text json md junit"))
      ->type_name("FORMAT")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "Write to this file (default: standard output)")
      ->type_name("FILE");
  command->add_flag("--list-metrics", *lists, "Print every metric with its unit and how it is computed");
  command->callback([options, lists, run, &exit_code] {
    if (*lists) {
      fmt::print("{}", gates::metrics_table());
      return;
    }
    if (run->count() == 0) throw CLI::RequiredError("RUN");
    exit_code = run_gate(*options);
  });
}

}  // namespace camprobe::cli
