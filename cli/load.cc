// cli/load.cc: the subcommand; reading and describing is collector/load's work.
#include "cli/load.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "collector/load/adapter.h"
#include "collector/load/describe.h"
#include "collector/load/h2load_summary.h"

namespace camprobe::cli {
namespace {

constexpr std::size_t kLongestSummary = 1 << 20;

int fail(const std::string& sentence) {
  std::fprintf(stderr, "camprobe load: %s\n", sentence.c_str());
  return 2;
}

run::Result<std::string> read_text(const std::string& path) {
  run::Result<std::unique_ptr<load::Input>> input = load::file_input(path);
  if (!input) return run::Error{input.error()};
  std::string text;
  char chunk[1 << 14];
  while (const std::size_t n = input.value()->read(chunk, sizeof chunk)) {
    text.append(chunk, n);
    if (text.size() > kLongestSummary) return run::Error{path + ": too large for what h2load prints"};
  }
  return text;
}

}  // namespace

int run_load(const LoadOptions& options) {
  run::Result<load::LoadTimeline> read = load::read_load_file(options.file);
  if (!read) return fail(read.error());
  load::LoadTimeline timeline = std::move(read).value();
  if (!options.h2load_summary.empty()) {
    const run::Result<std::string> printed = read_text(options.h2load_summary);
    if (!printed) return fail(printed.error());
    if (!load::add_h2load_summary(timeline, printed.value())) {
      return fail("--h2load-summary " + options.h2load_summary + ": " +
                  (timeline.tool == "h2load"
                       ? "no line \"requests: N total, ...\" in it; give the text that h2load printed"
                       : "the results are not h2load's; leave the option out"));
    }
  }
  const std::string text =
      options.format == "json" ? load::describe_json(timeline).dump(2) + "\n" : load::describe_text(timeline);
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

void add_load_command(CLI::App& app, int& exit_code) {
  std::string formats;
  for (const load::Adapter* adapter : load::adapters()) formats += std::string("\n  ") + adapter->format;
  CLI::App* command = app.add_subcommand("load", "Show what a load tool's output holds");
  command->footer(
      "The format is told by the content, compressed (gzip, zstd) or not. Known are the results of" + formats +
      "\nRows that cannot be read are skipped, counted and named. Exit code 2: the file cannot be used at all.");
  const auto options = std::make_shared<LoadOptions>();
  command->add_option("FILE", options->file, "What the load tool wrote")->required()->type_name("");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      ->add_option("--h2load-summary", options->h2load_summary,
                   "What h2load printed: it counts the requests that have no row in its log file")
      ->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = run_load(*options); });
}

}  // namespace camprobe::cli
