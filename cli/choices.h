// cli/choices.h: which words an option takes, for shell completion alone. What else is given is refused by the command
// itself, which can say more about it than a list of words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace camprobe::cli {

inline constexpr char kChoices[] = "choices ";

// Add with option->check(); accepts everything, and leaves no trace in --help. The words are kept in its name.
inline CLI::Validator choices(const std::string& words) {
  return CLI::Validator([](std::string&) { return std::string(); }, "", kChoices + words);
}

// The words that were given to choices(), separated by spaces; empty where none were.
inline std::string choices_of(const CLI::Option& option) {
  auto& asked = const_cast<CLI::Option&>(option);  // CLI11 2.1 has no const access to validators
  for (int i = 0;; ++i) {
    try {
      const std::string name = asked.get_validator(i)->get_name();
      if (name.starts_with(kChoices)) return name.substr(sizeof kChoices - 1);
    } catch (const CLI::OptionNotFound&) {
      return "";
    }
  }
}

}  // namespace camprobe::cli
