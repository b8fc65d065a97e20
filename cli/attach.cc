// cli/attach.cc: `camprobe attach PID | --all`: records processes that already run with the probe, or what a dead one
// left.
#include <cstdint>
#include <memory>

#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/process_number.h"
#include "cli/summary.h"
#include "collector/session.h"

namespace camprobe::cli {

void add_attach_command(CLI::App& app, int& exit_code) {
  struct Arguments {
    AttachOptions options;
    std::int64_t duration = 0;
    bool all = false, has_no_report = false;
    std::string resume;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("attach", "Record processes that already run with the probe");
  command->footer(
      "Records until Ctrl-C, --duration, or the process ends. Children of PID are recorded with it.\n"
      "For a process that is dead but left its region (killed, out of memory), a post-mortem run is written at once:\n"
      "the live heap, every counter and the last records before its end. camprobe list shows such regions.\n"
      "A region that has become a run is removed.\n\n"
      "A recording whose collector was killed goes on with --resume RUN, as does one whose program was started again:\n"
      "it gets a row of its own in the same run. What the program did meanwhile is taken from its region: exact "
      "counters\n"
      "and the live heap in full, single records as far as its rings still hold them.\n\n"
      "  LD_PRELOAD=/usr/lib/libcamprobe.so ./server &   camprobe attach $!");
  command->add_option("PID", arguments->options.pid, "The process")->type_name("")->check(process_number());
  command->add_flag("--all", arguments->all, "Every process with the probe that this user may read");
  command->add_option("-o,--output", arguments->options.run, "The run file [PROGRAM-YYYYmmdd-HHMMSS.camrun]")
      ->type_name("RUN");
  command
      ->add_option("--resume", arguments->resume,
                   "Go on with this run: the processes it followed, and PID where one is named")
      ->type_name("RUN");
  command->add_flag("--overwrite", arguments->options.may_replace, "Replace an older run of that name");
  command
      ->add_option("--load-results", arguments->options.load_results,
                   "The file with the load tool's results, read at the end")
      ->type_name("FILE");
  command->add_option("--duration", arguments->duration, "Stop recording after this time; the process goes on")
      ->transform(duration_from(0))
      ->type_name("TIME");
  command->add_flag("--no-report", arguments->has_no_report, "Do not print the report at the end");
  command->add_flag("-q,--quiet", arguments->options.is_quiet, "Say nothing but errors");
  command->callback([arguments, &exit_code] {
    if (!arguments->resume.empty()) {
      if (arguments->all || !arguments->options.run.empty() || arguments->options.may_replace)
        throw CLI::ValidationError("--resume",
                                   "the run says what it follows and where it is: no --all, -o or --overwrite");
      arguments->options.resumes = true;
      arguments->options.run = arguments->resume;
    } else if (arguments->all == (arguments->options.pid != 0)) {
      throw CLI::ValidationError("attach", "name one PID, --all, or a run to --resume");
    }
    if (arguments->duration > 0) arguments->options.duration = std::chrono::seconds(arguments->duration);
    const Outcome outcome = record_running(arguments->options);
    exit_code = outcome.exit_code;
    if (!outcome.run.empty() && !arguments->options.is_quiet && !arguments->has_no_report) print_summary(outcome.run);
  });
}

}  // namespace camprobe::cli
