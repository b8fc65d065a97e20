// cli/export.cc: see export.h.
#include "cli/export.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "cli/choices.h"
#include "cli/one_state.h"
#include "cli/output.h"
#include "collector/naming/stack_namer.h"
#include "run/reader.h"

namespace camprobe::cli {

namespace {

struct ReaderWentAway {};

bool is_for_no_terminal(const ExportOptions& options) {
  const auto& all = exporters::formats();
  const bool is_binary = std::any_of(all.begin(), all.end(), [&](const exporters::Format& format) {
    return format.is_binary && format.name == options.request.format;
  });
  return is_binary && (options.output.empty() || options.output == "-") && ::isatty(STDOUT_FILENO) == 1;
}

std::string list_of_formats() {
  std::string text;
  for (const exporters::Format& format : exporters::formats())
    text += fmt::format("  {:<11}{}\n", format.name, format.what_it_is);
  return text;
}

std::string names_of_formats() {
  std::string names;
  for (const exporters::Format& format : exporters::formats())
    names += (names.empty() ? "" : " ") + std::string(format.name);
  return names;
}

}  // namespace

int run_export(const ExportOptions& options) {
  const auto fail = [](const std::string& sentence) {
    fmt::print(stderr, "camprobe export: {}\n", sentence);
    return 2;
  };
  if (is_for_no_terminal(options))
    return fail(
        fmt::format("--format {} is binary and no thing for a terminal; name a file with -o", options.request.format));
  auto run = naming::open_named(options.run);
  if (!run) return fail(run.error());
  hold_one_state(*run);
  try {
    exporters::ExportRequest request = options.request;
    std::optional<run::Reader> base;
    if (!options.base.empty()) {
      auto opened = naming::open_named(options.base);
      if (!opened) return fail("--base: " + opened.error());
      base.emplace(std::move(opened).value());
      hold_one_state(*base);
      request.base = &*base;
    }
    OutputFile file(options.output);
    exporters::Output out([&](std::string_view piece) {
      if (const auto written = file.write(piece); !written) throw exporters::SliceError(written.error());
      if (!file.has_reader()) throw ReaderWentAway();
    });
    const std::vector<std::string> notes = exporters::export_run(*run, request, out);
    for (const std::string& note : notes) fmt::print(stderr, "camprobe export: note: {}\n", note);
    if (const auto written = file.finish(); !written) return fail(written.error());
  } catch (const ReaderWentAway&) {
    return 0;
  } catch (const exporters::SliceError& error) {
    return fail(error.what());
  }
  return 0;
}

void add_export_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "A part of a run, in a format other tools read");
  command->footer(
      "Slices:\n"
      "  cpu        nanoseconds on a CPU            alloc      bytes allocated, whatever became of them\n"
      "  live       bytes alive at --to             growth     bytes alive at --to less those at --from, where they "
      "grew\n"
      "  retained   bytes allocated in the range    temporary  objects freed before the thread's next allocation\n"
      "             and alive at its end            wait       nanoseconds waiting, by call\n"
      "  io         bytes by descriptor and stack   spans      nanoseconds of spans, nested\n"
      "Formats (docs/export.md has an example of each):\n" +
      list_of_formats() +
      "Times are seconds since the run began (90, 90s, 1m30s, 2h) or a share of it (50%).\n"
      "Example: camprobe export server.camrun --what growth --from 10% --format svg -o growth.svg");
  exporters::ExportRequest& request = options->request;
  command->add_option("RUN", options->run, "The run file")->required()->type_name("");
  command->add_option("--what", request.what, "Which slice (default: cpu)")
      ->check(choices("cpu alloc live growth retained temporary wait io spans"))
      ->type_name("SLICE");
  command->add_option("--format", request.format, "One of the formats below")
      ->check(choices(names_of_formats()))
      ->type_name("FORMAT")
      ->capture_default_str();
  command->add_option("--from", request.filter.from, "Where the range begins (default: the start)")->type_name("TIME");
  command->add_option("--to", request.filter.to, "Where the range ends (default: the end)")->type_name("TIME");
  command->add_option("--window", request.filter.window, "Only inside this load window, or windows of this kind")
      ->type_name("NAME");
  command->add_option("--process,--pid", request.filter.process, "Only this process: its number or its program's name")
      ->type_name("PROCESS");
  command->add_option("--thread", request.filter.thread, "Only this thread: its number or its name")
      ->type_name("THREAD");
  command->add_option("--span", request.filter.span, "Only what was done in spans of this name")->type_name("NAME");
  command->add_option("--base", options->base, "svg, folded: show what changed from this run")->type_name("RUN");
  command->add_option("--colour,--color", request.colour, "svg: by module (default) or by language")
      ->check(choices("module language"))
      ->type_name("BY");
  command->add_option("-o,--output", options->output, "Write to this file (default: standard output)")
      ->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = run_export(*options); });
}

}  // namespace camprobe::cli
