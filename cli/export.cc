// cli/export.cc: see export.h.
#include "cli/export.h"

#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "cli/output.h"
#include "cli/process_number.h"
#include "exporters/flamegraph_svg.h"
#include "exporters/folded.h"
#include "exporters/series_csv.h"
#include "exporters/slice.h"
#include "run/reader.h"

namespace camprobe::cli {

int run_export(const ExportOptions& options) {
  const auto fail = [](const std::string& sentence) {
    fmt::print(stderr, "camprobe export: {}\n", sentence);
    return 2;
  };
  const bool is_csv = options.format == "csv";
  if (is_csv && !options.what.empty() && options.what != "series")
    return fail(
        fmt::format("--what {}: csv holds all series and events and no stacks; leave --what out, or choose "
                    "folded or svg",
                    options.what));
  const auto what = exporters::what_named(options.what.empty() || is_csv ? "cpu" : options.what);
  if (!what)
    return fail(
        fmt::format("--what {}: no such slice; choose one of {}", options.what, exporters::all_names_of_what()));
  const bool is_svg = options.format == "svg";
  if (!is_svg && !is_csv && options.format != "folded")
    return fail(fmt::format("--format {}: no such format; choose folded, svg or csv", options.format));

  auto run = run::Reader::open(options.run);
  if (!run) return fail(run.error());
  try {
    const exporters::TimeRange range = exporters::range_of(options.from, options.to, run->duration_ns());
    if (is_csv) {
      const std::string table = exporters::series_csv(*run, range, options.pid);
      if (const auto written = write_output(options.output, table); !written) return fail(written.error());
      return 0;
    }
    const exporters::Slice slice = exporters::read_slice(*run, *what, range, options.pid);
    for (const std::string& note : slice.notes) fmt::print(stderr, "camprobe export: note: {}\n", note);
    const std::string text = is_svg ? exporters::to_flamegraph_svg(slice) : exporters::to_folded(slice);
    if (const auto written = write_output(options.output, text); !written) return fail(written.error());
  } catch (const exporters::SliceError& error) {
    return fail(error.what());
  }
  return 0;
}

void add_export_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "A slice of a run, in a format other tools read");
  command->footer(
      "Slices:\n"
      "  cpu        nanoseconds on a CPU            alloc      bytes allocated, whatever became of them\n"
      "  live       bytes alive at --to             growth     bytes alive at --to less those at --from, where they "
      "grew\n"
      "  retained   bytes allocated in the range    temporary  objects freed before the thread's next allocation\n"
      "             and alive at its end            wait       nanoseconds waiting, by call\n"
      "  io         bytes by descriptor and stack   spans      nanoseconds of spans, nested\n"
      "Times are seconds since the run began (90, 90s, 1m30s, 2h) or a share of it (50%).\n"
      "Formats: folded (flamegraph.pl, inferno, speedscope), svg (a flame graph to open in a browser),\n"
      "csv (every series and event of the range in one table, instead of a slice).\n"
      "Example: camprobe export server.camrun --what growth --from 10% --to 100% --format svg -o growth.svg");
  command->add_option("RUN", options->run, "The run file")->required()->type_name("");
  command->add_option("--what", options->what, "Which slice (default: cpu)")->type_name("SLICE");
  command->add_option("--format", options->format, "folded, svg or csv")->type_name("FORMAT")->capture_default_str();
  command->add_option("--from", options->from, "Where the range begins (default: the start)")->type_name("TIME");
  command->add_option("--to", options->to, "Where the range ends (default: the end)")->type_name("TIME");
  command->add_option("--pid", options->pid, "Only this process")->type_name("PID")->check(process_number());
  command->add_option("-o,--output", options->output, "Write to this file (default: standard output)")
      ->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = run_export(*options); });
}

}  // namespace camprobe::cli
