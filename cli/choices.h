// cli/choices.h: which words an option takes, for shell completion alone. What else is given is refused by the command
// itself, which can say more about it than a list of words.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

namespace camprobe::cli {

inline constexpr char kChoices[] = "choices ";

// Add with option->check(); accepts everything, and leaves no trace in --help. The words are kept in its name.
inline CLI::Validator choices(const std::string& words) {
  return CLI::Validator([](std::string&) { return std::string(); }, "", kChoices + words);
}

// The words that were given to choices() or to CLI::IsMember, separated by spaces; empty where none were.
inline std::string choices_of(const CLI::Option& option) {
  auto& asked = const_cast<CLI::Option&>(option);  // CLI11 2.1 has no const access to validators
  for (int i = 0;; ++i) {
    try {
      const CLI::Validator& validator = *asked.get_validator(i);
      if (validator.get_name().starts_with(kChoices)) return validator.get_name().substr(sizeof kChoices - 1);
      std::string words = validator.get_description();  // IsMember's is {a,b}
      if (words.starts_with('{') && words.ends_with('}')) {
        std::replace(words.begin(), words.end(), ',', ' ');
        return words.substr(1, words.size() - 2);
      }
    } catch (const CLI::OptionNotFound&) {
      return "";
    }
  }
}

}  // namespace camprobe::cli
