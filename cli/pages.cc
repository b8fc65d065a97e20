#include "cli/pages.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <memory>

namespace camprobe::cli {
namespace {

int write_pages(CLI::App& app, const std::string& directory) {
  std::vector<Page> pages = manual_pages(app);
  pages.push_back({"camprobe.bash", bash_completion(app)});
  pages.push_back({"_camprobe", zsh_completion(app)});
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  for (const Page& page : pages) {
    const std::string path = directory + "/" + page.name;
    std::ofstream file(path, std::ios::trunc);
    file << page.text;
    file.close();
    if (!file) {
      fmt::print(stderr, "camprobe pages: {} cannot be written: name a directory that can be\n", path);
      return 2;
    }
  }
  return 0;
}

}  // namespace

std::vector<CLI::App*> listed_commands(CLI::App& command) {
  return command.get_subcommands([](CLI::App* each) { return !each->get_group().empty(); });
}

std::vector<const CLI::Option*> named_options(CLI::App& command) {
  return static_cast<const CLI::App&>(command).get_options([](const CLI::Option* each) {
    return !each->get_group().empty() && (!each->get_lnames().empty() || !each->get_snames().empty());
  });
}

std::vector<const CLI::Option*> positional_options(CLI::App& command) {
  return static_cast<const CLI::App&>(command).get_options(
      [](const CLI::Option* each) { return !each->get_group().empty() && each->get_positional(); });
}

bool takes_a_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

void add_pages_command(CLI::App& app, int& exit_code) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("pages", "Write the man pages and the shell completion");
  command->group("");
  command->add_option("DIR", *directory, "Where to")->required()->type_name("");
  command->callback([&app, directory, &exit_code] { exit_code = write_pages(app, *directory); });
}

}  // namespace camprobe::cli
