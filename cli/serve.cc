// cli/serve.cc: `camprobe serve`: what the processes with the probe do right now, for Prometheus.
#include "collector/serve/serve.h"

#include <memory>

#include "cli/commands.h"

namespace camprobe::cli {

void add_serve_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<serve::ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve the metrics of all processes with the probe to Prometheus");
  command->footer(
      "Every process with the probe that this user may read (root: everybody's), found as it comes, gone when it "
      "ends:\n"
      "process_* and camprobe_* metrics at /metrics (docs/serving.md). Neither the processes nor a collector that\n"
      "records them notice. Listens on this machine only; any other address needs a token, which Prometheus sends "
      "with\n"
      "authorization: {credentials_file: FILE}. Ends by Ctrl-C or SIGTERM.\n\n"
      "  camprobe serve\n"
      "  camprobe serve --listen unix:/run/camprobe.sock\n"
      "  camprobe serve --listen 0.0.0.0:9187 --token-file /etc/camprobe/token --tier enterprise");
  command->add_option("--listen", options->listen, "Where: ADDRESS:PORT (0: any free port), or unix:PATH")
      ->type_name("WHERE")
      ->capture_default_str();
  command->add_option("--token-file", options->token_file, "A file whose first line every request must bring along")
      ->type_name("FILE");
  command->add_option("--tier", options->tier, "Shown as a label of camprobe_info: chooses among the alert rules")
      ->check(CLI::IsMember({"community", "professional", "enterprise"}));
  command->add_option("--max-targets", options->most_targets, "Serve no more processes than this")
      ->check(CLI::Range(1, 10000))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("-q,--quiet", options->is_quiet, "Say nothing but errors");
  command->callback([options, &exit_code] { exit_code = serve::serve(*options); });
}

}  // namespace camprobe::cli
