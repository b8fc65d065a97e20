// cli/manual.cc: man pages, in the man(7) macros, from the tree of options.
#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "cli/pages.h"
#include "collector/version.h"

namespace camprobe::cli {
namespace {

// Text that groff shows as it is: a hyphen is a minus (so that an option can be copied), a backslash a backslash.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
  }
  // A line that begins so would be a request.
  if (result.starts_with('.') || result.starts_with('\'')) result.insert(0, "\\&");
  return result;
}

// A help text's own lines: those that are set in, or hold columns, stay as they are; the others are filled paragraphs.
std::string paragraphs(const std::string& text) {
  std::istringstream lines(text);
  std::string result, line;
  bool is_verbatim = false;
  while (std::getline(lines, line)) {
    const bool is_set_in = line.starts_with(' ');
    if (is_set_in != is_verbatim) result += is_set_in ? ".P\n.nf\n" : ".fi\n.P\n";
    is_verbatim = is_set_in;
    result += line.empty() ? ".P\n" : escaped(line) + "\n";
  }
  return result + (is_verbatim ? ".fi\n" : "");
}

std::string option_entry(const CLI::Option& option) {
  std::string names;
  const auto add = [&](const std::string& name) {
    names += (names.empty() ? "" : ", ") + fmt::format("\\fB{}\\fR", escaped(name));
  };
  for (const std::string& name : option.get_snames()) add("-" + name);
  for (const std::string& name : option.get_lnames()) add("--" + name);
  if (takes_a_value(option)) names += fmt::format(" \\fI{}\\fR", escaped(option.get_type_name()));
  std::string meaning = escaped(option.get_description());
  if (const std::string given = option.get_default_str(); !given.empty())
    meaning += fmt::format(" [{}]", escaped(given));
  return fmt::format(".TP\n{}\n{}\n", names, meaning);
}

std::string positional_entry(const CLI::Option& option) {
  return fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(option.get_name(true)), escaped(option.get_description()));
}

std::string synopsis(CLI::App& command, const std::string& spoken) {
  std::string line = fmt::format(".B {}\n[\\fIOPTIONS\\fR]", escaped(spoken));
  for (const CLI::Option* each : positional_options(command)) {
    const std::string name = fmt::format("\\fI{}\\fR", escaped(each->get_name(true)));
    const std::string several = each->get_items_expected_max() > 1 ? "..." : "";
    line += each->get_required() ? " " + name + several : " [" + name + several + "]";
  }
  if (!listed_commands(command).empty()) line += " \\fICOMMAND\\fR ...";
  return line + "\n";
}

// `path`: the words that lead to the command, "camprobe export".
void add_page(CLI::App& command, const std::string& path, const std::string& parent, std::vector<Page>& pages) {
  std::string name = path;
  for (char& c : name)
    if (c == ' ') c = '-';
  std::string shouted = name;
  for (char& c : shouted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string summary = command.get_description();
  // The root's description names the command itself: man pages have it before the dash.
  if (const std::string own = name + ": "; summary.starts_with(own)) summary.erase(0, own.size());
  std::string text = fmt::format(
      ".\\\" Made from the command's own options, as --help is.\n.TH {} 1 \"\" \"camprobe {}\" \"User Commands\"\n",
      escaped(shouted), kVersion);
  text +=
      fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}", escaped(name), escaped(summary), synopsis(command, path));
  const auto commands = listed_commands(command);
  if (!commands.empty()) {
    text += ".SH COMMANDS\n";
    for (CLI::App* each : commands)
      text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(each->get_name()), escaped(each->get_description()));
  }
  const auto positionals = positional_options(command);
  if (!positionals.empty()) text += ".SH ARGUMENTS\n";
  for (const CLI::Option* each : positionals) text += positional_entry(*each);
  text += ".SH OPTIONS\n";
  for (const CLI::Option* each : named_options(command)) text += option_entry(*each);
  if (!command.get_footer().empty()) text += ".SH NOTES\n" + paragraphs(command.get_footer());
  std::string others = parent.empty() ? "" : fmt::format(".BR {} (1)\n", escaped(parent));
  for (CLI::App* each : commands) others += fmt::format(".BR {} (1)\n", escaped(name + "-" + each->get_name()));
  if (!others.empty()) text += ".SH SEE ALSO\n" + others;
  pages.push_back({name + ".1", std::move(text)});
  for (CLI::App* each : commands) add_page(*each, path + " " + each->get_name(), name, pages);
}

}  // namespace

std::vector<Page> manual_pages(CLI::App& app) {
  std::vector<Page> pages;
  add_page(app, "camprobe", "", pages);
  return pages;
}

}  // namespace camprobe::cli
