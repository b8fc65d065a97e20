// cli/snapshot.cc: `camprobe snapshot PID`: what a running process holds at this instant, into a run file.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/process_number.h"
#include "cli/terminal.h"
#include "collector/analysis/from_run.h"
#include "collector/naming/stack_namer.h"
#include "collector/session.h"
#include "exporters/snapshot_text.h"
#include "run/reader.h"

namespace camprobe::cli {

void add_snapshot_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SnapshotOptions>();
  CLI::App* command = app.add_subcommand("snapshot", "Write down what a running process holds at this instant");
  command->footer(
      "Into a run file: the live heap by stack, every counter, descriptors with their peers and the stacks that "
      "opened\n"
      "them, threads, open spans, and the last records of each thread. Neither the process nor a collector that "
      "records\n"
      "it notices. report and export read the file as any other; it shows what is held, not how it changes.\n\n"
      "  camprobe snapshot 4711 -o now.camrun   &&   camprobe export now.camrun --what live --format svg -o live.svg");
  command->add_option("PID", options->pid, "The process")->required()->type_name("")->check(process_number());
  command->add_option("-o,--output", options->run, "The run file [PROGRAM-YYYYmmdd-HHMMSS.camrun]")->type_name("RUN");
  command->add_flag("--overwrite", options->may_replace, "Replace an older run of that name");
  command->add_flag("-q,--quiet", options->is_quiet, "Say nothing but errors");
  command->callback([options, &exit_code] {
    const Outcome outcome = take_snapshot(*options);
    exit_code = outcome.exit_code;
    if (outcome.run.empty() || options->is_quiet) return;
    auto run = naming::open_named(outcome.run);
    if (!run) return;
    fmt::print("{}", exporters::snapshot_text(*run, analysis::analyse(*run), style_of_terminal(STDOUT_FILENO)));
  });
}

}  // namespace camprobe::cli
