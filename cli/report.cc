// cli/report.cc: see report.h.
#include "cli/report.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/choices.h"
#include "cli/gate.h"
#include "cli/one_state.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "collector/compare/baseline.h"
#include "collector/compare/compare.h"
#include "collector/compare/history.h"
#include "collector/gates/gate.h"
#include "collector/gates/gates_file.h"
#include "collector/naming/stack_namer.h"
#include "exporters/report_json.h"
#include "exporters/report_junit.h"
#include "exporters/report_markdown.h"
#include "exporters/report_text.h"
#include "run/reader.h"
#include "viewer/html.h"
#include "viewer/page_data.h"
#include "viewer/pdf.h"

namespace camprobe::cli {

namespace {

bool goes_to_terminal(const std::string& output) {
  return (output.empty() || output == "-") && ::isatty(STDOUT_FILENO) != 0;
}

std::string format_of(const ReportOptions& options) {
  if (!options.format.empty()) return options.format;
  if (options.output.ends_with(".html") || options.output.ends_with(".htm")) return "html";
  if (options.output.ends_with(".pdf")) return "pdf";
  if (options.output.ends_with(".json")) return "json";
  if (options.output.ends_with(".md")) return "md";
  if (options.output.ends_with(".xml")) return "junit";
  return "text";
}

bool is_known(const std::string& format) {
  return format == "text" || format == "json" || format == "html" || format == "pdf" || format == "md" ||
         format == "junit";
}

// This run beside those that were named.
run::Result<viewer::PageContext> context_of(const ReportOptions& options, run::Reader& run) {
  viewer::PageContext context;
  if (options.base.empty() && options.past.empty()) return context;
  const compare::RunSummary self = compare::summary_of(run);
  std::vector<compare::RunSummary> base, past;
  for (const auto& [paths, side] : {std::pair(&options.base, &base), std::pair(&options.past, &past)}) {
    for (const std::string& path : *paths) {
      auto runs = compare::load_side(path);
      if (!runs) return run::Error{runs.error()};
      for (compare::RunSummary& one : *runs) side->push_back(std::move(one));
    }
  }
  if (!base.empty()) context.comparison = run::to_json(compare::compare(base, {self}));
  if (!past.empty()) {
    past.push_back(self);
    context.history = compare::history(std::move(past));
  }
  return context;
}

}  // namespace

int run_report(const ReportOptions& options) {
  const auto fail = [](const std::string& sentence) {
    fmt::print(stderr, "camprobe report: {}\n", sentence);
    return 2;
  };
  const std::string format = format_of(options);
  if (!is_known(format))
    return fail(fmt::format("--format {}: no such format; choose text, json, html, pdf, md or junit", format));
  const bool is_page = format == "html" || format == "pdf";
  if (is_page && goes_to_terminal(options.output))
    return fail(fmt::format("--format {}: a page is no text for a terminal; name a file with -o", format));
  if (!is_page && !(options.base.empty() && options.past.empty()))
    return fail(fmt::format("--base and --past belong to html and pdf, not to {}; camprobe compare prints a comparison",
                            format));

  const auto gates = gates::chosen_gates(options.tier, options.gates);
  if (!gates) return fail(gates.error());
  auto run = naming::open_named(options.run);
  if (!run) return fail(run.error());
  hold_one_state(*run);
  const run::Report report = gates::analyse_with_gates(*run, *gates);
  std::string text;
  if (is_page) {
    const auto context = context_of(options, *run);
    if (!context) return fail(context.error());
    text = viewer::self_contained_page(viewer::page_data(*run, run::to_json(report), {}, *context));
    if (format == "pdf") {
      auto printed = viewer::printed_pdf(text);
      if (!printed) return fail(printed.error());
      text = std::move(*printed);
    }
  } else if (format == "json") {
    text = exporters::report_json(report);
  } else if (format == "md") {
    text = exporters::report_markdown(report);
  } else if (format == "junit") {
    text = exporters::report_junit(report);
  } else {
    text = exporters::report_text(report, style_of_output(options.output));
  }
  if (const auto written = write_output(options.output, text); !written) return fail(written.error());
  if (run->error()) {
    fmt::print(stderr, "camprobe report: the run is damaged, and this is what could be read of it: {}\n",
               run->error()->sentence);
    return 1;
  }
  return 0;
}

void add_report_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "What a run shows: leaks, degradation, where time and memory go");
  command->footer(
      "text   for the terminal\n"
      "json   for programs, by docs/report.schema.json\n"
      "html   one page with charts and flame graphs that needs no network: camprobe report server.camrun -o "
      "report.html\n"
      "pdf    that page on paper, printed by the Chromium of this machine\n"
      "md     Markdown for a pull request's comment or $GITHUB_STEP_SUMMARY, under 65 kB\n"
      "junit  XML that CI systems show as test results\n"
      "The verdict does not change the exit code. Exit code 1: the run is damaged, the report is of what could be "
      "read;\n"
      "2: it cannot be read at all.");
  command->add_option("RUN", options->run, "The run file")->required()->type_name("");
  command
      ->add_option("--format", options->format,
                   "text, json, html, pdf, md or junit (default: as the name after -o ends, else text)")
      ->check(choices("text json html pdf md junit"))
      ->type_name("FORMAT");
  command->add_option("-o,--output", options->output, "Write to this file (default: standard output)")
      ->type_name("FILE");
  command->add_option("--base", options->base, "html, pdf: compare with this run or baseline; again for another")
      ->type_name("RUN")
      ->allow_extra_args(false);
  command->add_option("--past", options->past, "html, pdf: show the trend since this earlier run; again for another")
      ->type_name("RUN")
      ->allow_extra_args(false);
  add_gate_options(*command, options->tier, options->gates);
  command->callback([options, &exit_code] { exit_code = run_report(*options); });
}

}  // namespace camprobe::cli
