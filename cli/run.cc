// cli/run.cc: `camprobe run -- PROGRAM ARGS`: starts a program with the probe and records it until it ends.
#include <fmt/core.h>

#include <cstdint>
#include <memory>

#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/gate.h"
#include "cli/summary.h"
#include "collector/gates/gates_file.h"
#include "collector/session.h"

namespace camprobe::cli {

void add_run_command(CLI::App& app, int& exit_code) {
  struct Arguments {
    RunOptions options;
    std::int64_t duration = 0, load_wait = 30, grace = 10, idle = 30;
    bool has_no_report = false, proves_leak = false, keeps_interval = false;
    std::string tier, gates;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "Start a program with the probe and record it until it ends");
  command->footer(R"(The program's standard input, output and error are its own. SIGINT and SIGTERM are passed on to it
and end the load; Ctrl-C three times in two seconds kills the program.
camprobe ends with the program's exit code (128 + signal number if it was killed); with 0 where camprobe itself
ended the program after its load or --duration; with 1 where the load failed or never began; with 2 where the load's results
cannot be read, or nothing was started. A gate (--tier, --gates) that is not passed makes it 99, whatever the program says.

With --load, the command is started by sh -c once the program (or a child of it) listens on TCP. When it is done,
the program is ended by SIGTERM, and the load tool's results go into the run. h2load, autocannon, Artillery, k6, JMeter,
vegeta, Locust, Gatling, wrk, ab and siege are recognised in the command and asked for results; for a script of yours,
name the file with --load-results.

With --prove-leak the load runs twice, with an idle of --idle after each: what leaks is left by both loads alike and
outlives the idles, what a cache or a pool keeps is not. Choose an idle longer than the longest lifetime of a session or
cache entry. The report confirms or clears each suspicion, with the figures.

  camprobe run -- redis-server
  camprobe run -o soak.camrun --load 'h2load -D 60 -c 8 http://127.0.0.1:8080/' -- ./server --port 8080)");
  command->add_option("-o,--output", arguments->options.run, "The run file [PROGRAM-YYYYmmdd-HHMMSS.camrun]")
      ->type_name("RUN");
  command->add_flag("--overwrite", arguments->options.may_replace, "Replace an older run of that name");
  CLI::Option* load = command->add_option("--load", arguments->options.load, "A command that puts load on the program")
                          ->type_name("CMD");
  command
      ->add_option("--load-results", arguments->options.load_results,
                   "The file with the load tool's results, read at the end")
      ->type_name("FILE");
  command->add_option("--duration", arguments->duration, "End the program (SIGTERM) after this time")
      ->transform(duration_from(1))
      ->type_name("TIME");
  command->add_option("--load-wait", arguments->load_wait, "How long to wait for the program to listen [30s]")
      ->transform(duration_from(0))
      ->type_name("TIME");
  command->add_option("--grace", arguments->grace, "How long after SIGTERM it is killed [10s]")
      ->transform(duration_from(0))
      ->type_name("TIME");
  command->add_option("--allocator", arguments->options.allocator, "Run on tcmalloc, jemalloc or mimalloc")
      ->check(choices("tcmalloc jemalloc mimalloc"))
      ->type_name("NAME");
  CLI::Option* prove = command->add_flag("--prove-leak", arguments->proves_leak,
                                         "Load, idle, the same load, idle: confirm or clear what is suspected");
  CLI::Option* idle = command->add_option("--idle", arguments->idle, "How long the idles of --prove-leak are [30s]")
                          ->transform(duration_from(1))
                          ->type_name("TIME");
  command->add_flag("--no-escalation", arguments->keeps_interval,
                    "Do not sample the heap more densely late in the run, whatever is suspected");
  add_gate_options(*command, arguments->tier, arguments->gates);
  command->add_flag("--no-report", arguments->has_no_report, "Do not print the report at the end");
  command->add_flag("-q,--quiet", arguments->options.is_quiet, "Say nothing but errors");
  command->add_option("PROGRAM", arguments->options.program, "The program and its arguments, after --")
      ->required()
      ->type_name("ARGS");
  command->positionals_at_end(false);
  command->callback([arguments, load, prove, idle, &exit_code] {
    if (load->count() != 0 && arguments->options.load.find_first_not_of(" \t\n") == std::string::npos)
      throw CLI::ValidationError("--load", "the command is empty");
    if (prove->count() != 0 && load->count() == 0)
      throw CLI::ValidationError("--prove-leak", "needs --load: the load that is run twice");
    if (idle->count() != 0 && prove->count() == 0)
      throw CLI::ValidationError("--idle", "is the idle of --prove-leak: give that too");
    arguments->options.escalates = !arguments->keeps_interval;
    if (arguments->proves_leak) arguments->options.prove_idle = std::chrono::seconds(arguments->idle);
    if (arguments->duration > 0) arguments->options.duration = std::chrono::seconds(arguments->duration);
    arguments->options.load_wait = std::chrono::seconds(arguments->load_wait);
    arguments->options.grace = std::chrono::seconds(arguments->grace);
    // Before anything is started: hours of load are not spent on a limit that cannot be read.
    const auto gates = gates::chosen_gates(arguments->tier, arguments->gates);
    if (!gates) {
      fmt::print(stderr, "camprobe run: {}\n", gates.error());
      exit_code = 2;
      return;
    }
    const Outcome outcome = record_program(arguments->options);
    exit_code = outcome.exit_code;
    if (outcome.run.empty()) return;
    const bool is_silent = arguments->options.is_quiet || arguments->has_no_report;
    if (is_silent && gates->empty()) return;
    const bool passed = is_silent ? keeps_to(outcome.run, *gates) : print_summary(outcome.run, *gates);
    if (!passed) exit_code = kGateCrossed;
  });
}

}  // namespace camprobe::cli
