// cli/pages.h: what is installed beside the command and made from the tree of its options, as --help is: man pages and
// shell completion. A page cannot say anything that --help does not.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace camprobe::cli {

// `camprobe pages DIR`, which --help does not list: the build calls it.
void add_pages_command(CLI::App& app, int& exit_code);

struct Page {
  std::string name;  // "camprobe-export.1"
  std::string text;
};

// One page for the command and one for each subcommand, for man(1).
std::vector<Page> manual_pages(CLI::App& app);

// A file that bash-completion reads, and a function for zsh's compinit.
std::string bash_completion(CLI::App& app);
std::string zsh_completion(CLI::App& app);

// What --help lists of a command: its commands, its options with a name, its arguments by place; each in order.
std::vector<CLI::App*> listed_commands(CLI::App& command);
std::vector<const CLI::Option*> named_options(CLI::App& command);
std::vector<const CLI::Option*> positional_options(CLI::App& command);
bool takes_a_value(const CLI::Option& option);

}  // namespace camprobe::cli
