// cli/push.cc: `camprobe push`: a run, or what the processes with the probe do right now, to a receiver.
#include "push/push.h"

#include <memory>
#include <string>
#include <vector>

#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/process_number.h"
#include "push/receiver.h"

namespace camprobe::cli {
namespace {

struct Arguments {
  push::PushOptions options;
  std::vector<std::string> to;
  bool is_live = false;
};

}  // namespace

void add_push_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<Arguments>();
  push::PushOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("push", "Push a run, or what runs now, to Pyroscope or a metrics store");
  command->footer(
      "A run is pushed from its beginning to its end, with its own times. --live pushes what every process with the\n"
      "probe that this user may read does, until Ctrl-C or SIGTERM; neither they nor whoever records them notice.\n"
      "Receivers (docs/pushing.md):\n"
      "  pyroscope        profiles of CPU time and heap, by /ingest\n"
      "  pushgateway      Prometheus' Pushgateway: the last value of each metric, for short jobs\n"
      "  victoriametrics  metrics, by /api/v1/import/prometheus\n"
      "  remote-write     metrics, by Prometheus remote write: Prometheus, Mimir, Thanos, VictoriaMetrics\n"
      "A receiver that is away is asked again; meanwhile a live push keeps what it has up to --keep-at-most. Exit code "
      "1\n"
      "where something did not get there.\n\n"
      "  camprobe push job.camrun --to pushgateway http://127.0.0.1:9091 --job nightly\n"
      "  camprobe push --live --to pyroscope https://profiles.example --token-file /etc/camprobe/token --label "
      "env=prod");
  command->add_option("RUN", options.run, "The run file")->type_name("");
  CLI::Option* live =
      command->add_flag("--live", arguments->is_live, "Instead of a run: the processes with the probe that run now");
  command->add_option("--to", arguments->to, "What receives, and its address (http or https)")
      ->required()
      ->expected(2)
      ->check(choices(push::names_of_receivers(" ")))
      ->type_name("RECEIVER URL");
  command->add_option("--token-file", options.token_file, "A file whose first line is sent as a bearer token")
      ->type_name("FILE");
  command->add_option("--ca", options.ca_file, "Trust these certificates (PEM) instead of the system's")
      ->type_name("FILE");
  command
      ->add_option("--every", options.every_s, "How far apart values are, how long a profile is, in seconds or as 1m")
      ->transform(duration_from(1))
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--job", options.job, "The label job")->type_name("NAME")->capture_default_str();
  command->add_option("--label", options.labels, "A label on everything; may be repeated (instance: the host's name)")
      ->expected(1)
      ->take_all()
      ->type_name("NAME=VALUE");
  command
      ->add_option("--keep-at-most", options.keep_at_most,
                   "Of a live push: what may wait for a receiver that is away [64MiB]")
      ->transform(CLI::AsSizeValue(false).description(""))
      ->check(CLI::Range(std::size_t{4} << 10, std::size_t{64} << 30).description(""))
      ->type_name("SIZE");
  command->add_option("--spool", options.spool, "Of a live push: keep it in this directory, for the next push as well")
      ->needs(live)
      ->type_name("DIRECTORY");
  command->add_option("--give-up-after", options.patience_s, "Of a run: for so long a receiver may be away")
      ->transform(duration_from(1))
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--pid", options.pid, "Of a live push: this process only")
      ->type_name("PID")
      ->check(process_number())
      ->needs(live);
  command->add_option("--max-targets", options.most_targets, "Push no more processes' metrics than this")
      ->check(CLI::Range(1, 10000))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("-q,--quiet", options.is_quiet, "Say nothing but errors");
  command->callback([arguments, &exit_code] {
    if (arguments->is_live == !arguments->options.run.empty())
      throw CLI::ValidationError(arguments->is_live ? "name a run or give --live, not both"
                                                    : "name a run, or give --live");
    arguments->options.to = arguments->to[0];
    arguments->options.url = arguments->to[1];
    exit_code = push::push(arguments->options);
  });
}

}  // namespace camprobe::cli
