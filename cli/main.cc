// cli/main.cc: the `camprobe` command. It only puts the subcommands together; each is a file of its own.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <string>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/export.h"
#include "cli/gate.h"
#include "cli/load.h"
#include "cli/pages.h"
#include "cli/report.h"
#include "collector/version.h"

namespace {

// One line. CLI11 lists what it did not expect last first, and the -- that only separates among it.
std::string sentence_of(const CLI::ParseError& wrong, const CLI::App& app) {
  if (dynamic_cast<const CLI::ExtrasError*>(&wrong) != nullptr) {
    for (const std::string& word : app.remaining(true))
      if (word != "--") return (word.starts_with('-') ? "there is no option " : "not expected: ") + word;
  }
  std::string what = wrong.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  return what;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"camprobe: find leaks and degradation of servers under load"};
  app.name("camprobe");
  app.set_version_flag("--version", std::string("camprobe ") + camprobe::kVersion);
  app.set_help_all_flag("--help-all", "The help of every command");
  app.require_subcommand(1);
  app.footer("camprobe COMMAND --help says everything about a command.");
  bool is_verbose = false;
  app.add_flag("-v,--verbose", is_verbose, "Log what is done to standard error");

  spdlog::set_default_logger(spdlog::stderr_color_mt("camprobe"));
  spdlog::set_level(spdlog::level::off);
  app.parse_complete_callback([&] {
    if (is_verbose) spdlog::set_level(spdlog::level::debug);
  });

  int exit_code = 0;
  camprobe::cli::add_run_command(app, exit_code);
  camprobe::cli::add_attach_command(app, exit_code);
  camprobe::cli::add_report_command(app, exit_code);
  camprobe::cli::add_load_command(app, exit_code);
  camprobe::cli::add_gate_command(app, exit_code);
  camprobe::cli::add_compare_command(app, exit_code);
  camprobe::cli::add_baseline_command(app, exit_code);
  camprobe::cli::add_export_command(app, exit_code);
  camprobe::cli::add_list_command(app, exit_code);
  camprobe::cli::add_mark_command(app, exit_code);
  camprobe::cli::add_set_command(app, exit_code);
  camprobe::cli::add_snapshot_command(app, exit_code);
  camprobe::cli::add_serve_command(app, exit_code);
  camprobe::cli::add_push_command(app, exit_code);
  camprobe::cli::add_doctor_command(app, exit_code);
  camprobe::cli::add_suite_command(app, exit_code);
  camprobe::cli::add_enable_command(app, exit_code);
  camprobe::cli::add_pages_command(app, exit_code);

  // CLI11 would only say that a command is missing.
  std::string chosen;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) continue;
    const auto named = [&](CLI::App* command) { return command->get_name() == word; };
    if (app.get_subcommands(named).empty()) {
      fmt::print(stderr, "camprobe: there is no command {} (camprobe --help lists the commands)\n", word);
      return 2;
    }
    chosen = " " + word;
    break;
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& wrong) {
    if (dynamic_cast<const CLI::RequiredError*>(&wrong) != nullptr && chosen.empty()) {
      fmt::print(stderr, "camprobe: name a command (camprobe --help lists them)\n");
      return 2;
    }
    fmt::print(stderr, "camprobe{}: {} (camprobe{} --help says what there is)\n", chosen, sentence_of(wrong, app),
               chosen);
    return 2;
  } catch (const std::exception& failure) {
    fmt::print(stderr, "camprobe: {}\n", failure.what());
    return 1;
  }
  return exit_code;
}
