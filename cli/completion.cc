// cli/completion.cc: what Tab offers in bash and in zsh, from the tree of options.
#include <fmt/format.h>

#include "cli/choices.h"
#include "cli/pages.h"

namespace camprobe::cli {
namespace {

// What comes after an option, or stands by itself: words that are known, a file, a process, another command line, or
// something that only its user knows.
enum class Value { kWords, kFile, kDirectory, kProcess, kCommand, kAnything };

Value value_of(const CLI::Option& option) {
  const std::string kind = option.get_positional() ? option.get_name(true) : option.get_type_name();
  if (!choices_of(option).empty()) return Value::kWords;
  if (kind == "DIR") return Value::kDirectory;
  if (kind == "PID") return Value::kProcess;
  if (kind == "PROGRAM") return Value::kCommand;
  if (kind == "RUN" || kind == "FILE" || kind == "BASE" || kind == "RUNS") return Value::kFile;
  return Value::kAnything;
}

std::vector<std::string> spellings(const CLI::Option& option) {
  std::vector<std::string> all;
  for (const std::string& name : option.get_snames()) all.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) all.push_back("--" + name);
  return all;
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string bash_offer(const CLI::Option& option) {
  switch (value_of(option)) {
    case Value::kWords:
      return fmt::format("words='{}'", choices_of(option));
    case Value::kFile:
      return "files=-f";
    case Value::kDirectory:
      return "files=-d";
    case Value::kProcess:
      return "words=$(camprobe list 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }')";
    case Value::kCommand:
      return "files=-c";
    case Value::kAnything:
      return ":";
  }
  return ":";
}

// The case arms of one command: what follows an option that wants a value, then what else may stand there.
std::string bash_arms(CLI::App& command, const std::string& path) {
  std::string arms, options;
  for (const CLI::Option* each : named_options(command)) {
    const auto names = spellings(*each);
    options += (options.empty() ? "" : " ") + joined(names, " ");
    if (takes_a_value(*each)) {
      std::vector<std::string> patterns;
      for (const std::string& name : names) patterns.push_back(fmt::format("'{} {}'", path, name));
      arms += fmt::format("    {}) {} ;;\n", joined(patterns, "|"), bash_offer(*each));
    }
  }
  std::string otherwise;
  const auto commands = listed_commands(command);
  std::vector<std::string> names;
  for (CLI::App* each : commands) names.push_back(each->get_name());
  const auto positionals = positional_options(command);
  if (!positionals.empty()) otherwise = "; " + bash_offer(*positionals.front());
  arms += fmt::format("    '{} '*) if [[ $current == -* ]]; then words='{}'; else words='{}'{}; fi ;;\n", path, options,
                      joined(names, " "), otherwise);
  for (CLI::App* each : commands) arms = bash_arms(*each, path + " " + each->get_name()) + arms;
  return arms;
}

// The paths that a word leads to: "camprobe" and "export" to "camprobe export".
void add_steps(CLI::App& command, const std::string& path, std::vector<std::string>& steps) {
  for (CLI::App* each : listed_commands(command)) {
    const std::string longer = path + " " + each->get_name();
    steps.push_back("'" + longer + "'");
    add_steps(*each, longer, steps);
  }
}

// In single quotes and between brackets, for _arguments.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\'')
      result += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      result += std::string("\\") + c;
    else
      result += c;
  }
  return result;
}

std::string zsh_action(const CLI::Option& option) {
  switch (value_of(option)) {
    case Value::kWords:
      return fmt::format("({})", choices_of(option));
    case Value::kFile:
      return "_files";
    case Value::kDirectory:
      return "_files -/";
    case Value::kProcess:
      return "_camprobe_processes";
    case Value::kCommand:
      return "_command_names -e";
    case Value::kAnything:
      return " ";
  }
  return " ";
}

std::string zsh_function(CLI::App& command, const std::string& name) {
  const auto commands = listed_commands(command);
  std::string inner, text = name + "() {\n";
  if (!commands.empty()) text += "  local context state line\n  local -A opt_args\n";
  text += commands.empty() ? "  _arguments -S" : "  _arguments -C";
  for (const CLI::Option* each : named_options(command)) {
    const auto names = spellings(*each);
    const std::string excluded = names.size() > 1 ? "'(" + joined(names, " ") + ")'" : "";
    const std::string shown = names.size() > 1 ? "{" + joined(names, ",") + "}" : names.front();
    text += fmt::format(" \\\n    {}{}'[{}]", excluded, shown, zsh_text(each->get_description()));
    if (takes_a_value(*each)) text += fmt::format(":{}:{}", zsh_text(each->get_type_name()), zsh_action(*each));
    text += "'";
  }
  if (commands.empty()) {
    for (const CLI::Option* each : positional_options(command)) {
      const std::string called = zsh_text(each->get_name(true));
      const bool is_several = each->get_items_expected_max() > 1;
      if (is_several && value_of(*each) == Value::kCommand)  // the rest of the line is another command's
        text += fmt::format(" \\\n    '(-)1:{}:_command_names -e' '*::{}:_normal'", called, called);
      else
        text += fmt::format(" \\\n    '{}:{}:{}'", is_several ? "*" : "", called, zsh_action(*each));
    }
    return text + "\n}\n";
  }
  text += " \\\n    '1: :->command' '*:: :->arguments'\n  case $state in\n    command)\n      local -a commands=(\n";
  for (CLI::App* each : commands)
    text += fmt::format("        '{}:{}'\n", each->get_name(), zsh_text(each->get_description()));
  text += "      )\n      _describe command commands ;;\n    arguments)\n      case $words[1] in\n";
  for (CLI::App* each : commands) {
    text += fmt::format("        {}) {}_{} ;;\n", each->get_name(), name, each->get_name());
    inner += zsh_function(*each, name + "_" + each->get_name());
  }
  return inner + text + "      esac ;;\n  esac\n}\n";
}

}  // namespace

std::string bash_completion(CLI::App& app) {
  std::vector<std::string> steps;
  add_steps(app, "camprobe", steps);
  std::string text = "# bash completion for camprobe, made from the command's own options.\n_camprobe() {\n";
  text += "  local current=${COMP_WORDS[COMP_CWORD]} path=camprobe words= files= i\n";
  text += "  COMPREPLY=()\n  for ((i = 1; i < COMP_CWORD; i++)); do\n";
  text += "    # After -- another command's line begins: bash-completion, where it is there, knows that one.\n";
  text += "    if [[ ${COMP_WORDS[i]} == -- ]]; then\n";
  text +=
      "      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else mapfile -t COMPREPLY < "
      "<(compgen -c -f -- \"$current\"); fi\n      return\n    fi\n";
  text += fmt::format(
      "    case \"$path ${{COMP_WORDS[i]}}\" in\n      {}) path+=\" ${{COMP_WORDS[i]}}\" ;;\n    esac\n  done\n",
      joined(steps, "|"));
  text += "  case \"$path ${COMP_WORDS[COMP_CWORD - 1]}\" in\n" + bash_arms(app, "camprobe") + "  esac\n";
  text += "  mapfile -t COMPREPLY < <(compgen ${files:+$files} -W \"$words\" -- \"$current\")\n";
  text += "  [[ -z $files ]] || compopt -o filenames 2>/dev/null\n}\ncomplete -F _camprobe camprobe\n";
  return text;
}

std::string zsh_completion(CLI::App& app) {
  std::string text = "#compdef camprobe\n# Made from the command's own options.\n";
  text +=
      "_camprobe_processes() {\n  local -a pids=(${(f)\"$(camprobe list 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 "
      "}')\"})\n"
      "  compadd -a pids\n}\n";
  return text + zsh_function(app, "_camprobe") + "_camprobe \"$@\"\n";
}

}  // namespace camprobe::cli
