// collector/load/command.cc: see command.h. What is added for each tool, and where.
#include "collector/load/command.h"

#include <algorithm>
#include <vector>

#include "collector/load/shell_words.h"

namespace camprobe::load {
namespace {

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  return word.substr(0, equals).find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
         std::string_view::npos;
}

// The tool that a word names: "/usr/bin/h2load", "autocannon@8", "artillery.cmd" are tools.
std::string tool_of(std::string_view word) {
  std::string_view name = base_name(word);
  name = name.substr(0, name.find('@'));
  for (const char* tool : {"h2load", "autocannon", "artillery", "k6", "jmeter", "wrk", "wrk2", "ab", "siege", "vegeta",
                           "locust", "gatling"}) {
    if (name == tool) return tool;
  }
  if (name == "gatling.sh") return "gatling";
  if (is_one_of(name, {"mvn", "mvnw", "gradle", "gradlew"})) return "gatling";  // where they are to run it: see there
  return {};
}

// Options of prefix commands that take a word of their own.
bool takes_value(std::string_view prefix, std::string_view option) {
  if (option.find('=') != std::string_view::npos) return false;
  if (prefix == "nice") return is_one_of(option, {"-n", "--adjustment"});
  if (prefix == "env") return is_one_of(option, {"-u", "--unset", "-C", "--chdir"});
  if (prefix == "timeout") return is_one_of(option, {"-s", "--signal", "-k", "--kill-after"});
  if (prefix == "sudo") return is_one_of(option, {"-u", "-g", "-C", "-D"});
  if (prefix == "time") return is_one_of(option, {"-f", "-o", "--format", "--output"});
  if (prefix == "ionice") return is_one_of(option, {"-c", "-n"});
  if (prefix == "stdbuf") return is_one_of(option, {"-i", "-o", "-e"});
  if (is_one_of(prefix, {"npx", "npm", "bunx", "pnpm", "yarn"}))
    return is_one_of(option, {"-p", "--package", "-w", "--workspace"});
  return false;
}

// Skips assignments, prefix commands and package runners; the index of the first word of the command proper.
std::size_t skip_prefixes(const std::vector<ShellWord>& words) {
  std::size_t i = 0;
  while (i < words.size()) {
    const std::string_view word = words[i].value;
    if (is_assignment(word) || is_one_of(word, {"!", "{", "then", "do", "else", "if", "while", "until"})) {
      ++i;
      continue;
    }
    const std::string_view name = base_name(word);
    if (!is_one_of(name, {"env", "nice", "ionice", "time", "timeout", "taskset", "chrt", "setsid", "nohup", "exec",
                          "command", "sudo", "stdbuf", "npx", "bunx", "npm", "pnpm", "yarn"})) {
      return i;
    }
    ++i;
    if (is_one_of(name, {"npm", "pnpm", "yarn"}) && i < words.size() &&
        is_one_of(words[i].value, {"exec", "x", "dlx", "run-script"})) {
      ++i;
    }
    while (i < words.size() && words[i].value.starts_with('-')) {
      const bool with_value = takes_value(name, words[i].value);
      i += with_value && i + 1 < words.size() ? 2 : 1;
    }
    if (is_one_of(name, {"timeout", "taskset", "chrt"}) && i < words.size()) ++i;  // duration, mask, priority
  }
  return i;
}

// The value of an option among `words` from `from` on: --name=value, --name value, -nvalue, -n value.
std::optional<ShellWord> option_value(const std::vector<ShellWord>& words, std::size_t from, std::string_view long_name,
                                      std::string_view short_name) {
  std::optional<ShellWord> last;
  for (std::size_t i = from; i < words.size(); ++i) {
    const std::string_view word = words[i].value;
    if (word == "--") break;
    if ((word == long_name || (!short_name.empty() && word == short_name)) && i + 1 < words.size()) {
      last = words[++i];
    } else if (word.starts_with(long_name) && word.substr(long_name.size()).starts_with('=')) {
      last = words[i];
      last->value = word.substr(long_name.size() + 1);
    } else if (!short_name.empty() && word.starts_with(short_name) && word.size() > short_name.size() &&
               !word.starts_with("--")) {
      last = words[i];
      last->value = word.substr(word[short_name.size()] == '=' ? short_name.size() + 1 : short_name.size());
    }
  }
  return last;
}

// k6's --out may be given several times: the first that writes one of our formats to a file.
std::optional<std::string> k6_output_file(const std::vector<ShellWord>& words, std::size_t from) {
  for (std::size_t i = from; i < words.size(); ++i) {
    std::string_view value = words[i].value;
    if ((value == "--out" || value == "-o") && i + 1 < words.size()) {
      value = words[++i].value;
    } else if (value.starts_with("--out=")) {
      value.remove_prefix(6);
    } else if (value.starts_with("-o")) {
      value.remove_prefix(value.starts_with("-o=") ? 3 : 2);
    } else {
      continue;
    }
    for (const std::string_view format : {"json=", "csv="}) {
      if (value.starts_with(format) && words[i].plain) return std::string(value.substr(format.size()));
    }
  }
  return std::nullopt;
}

std::string join(const std::string& directory, const std::string& file) {
  if (directory.empty() || file.starts_with('/')) return file;
  return directory + "/" + file;
}

struct Addition {
  std::size_t at;  // in the text
  std::string text;
};

struct Planned {
  LoadCommand plan;
  std::optional<Addition> addition;
};

// The results go to a file that the user names. False where only the shell can tell which ("$OUT"): nothing is planned
// then.
bool take_users_file(const ShellWord& file, LoadCommand& plan) {
  if (!file.plain) return false;
  plan.results = file.value;
  plan.results_are_users = true;
  return true;
}

std::optional<Planned> plan_h2load(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  Planned planned;
  planned.plan.appends = true;
  planned.plan.summary_is_stdout = !command.stdout_to;
  if (const auto file = option_value(command.words, tool + 1, "--log-file", "")) {
    if (!take_users_file(*file, planned.plan)) return std::nullopt;
  } else {
    planned.plan.results = results;
    planned.addition = Addition{command.words[tool].end, "--log-file=" + quoted(results)};
  }
  return planned;
}

std::optional<Planned> plan_autocannon(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  Planned planned;
  if (command.stdout_to) {
    if (!take_users_file(*command.stdout_to, planned.plan)) return std::nullopt;
    planned.plan.appends = command.stdout_appends;
  } else {
    planned.plan.results = results;
    planned.plan.results_are_stdout = true;
  }
  for (std::size_t i = tool + 1; i < command.words.size(); ++i) {
    const std::string& word = command.words[i].value;
    if (word == "--") break;
    if (word == "-j" || word == "--json") return planned;
  }
  planned.addition = Addition{command.words[tool].end, "-j"};
  return planned;
}

std::optional<Planned> plan_artillery(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  if (tool + 1 >= command.words.size()) return std::nullopt;
  const ShellWord& verb = command.words[tool + 1];
  if (!is_one_of(verb.value, {"run", "quick"})) return std::nullopt;
  Planned planned;
  if (const auto file = option_value(command.words, tool + 2, "--output", "-o")) {
    if (!take_users_file(*file, planned.plan)) return std::nullopt;
  } else {
    planned.plan.results = results;
    planned.addition = Addition{verb.end, "--output " + quoted(results)};
  }
  return planned;
}

std::optional<Planned> plan_k6(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  std::size_t verb = tool + 1;
  while (verb < command.words.size() && command.words[verb].value.starts_with('-')) ++verb;
  if (verb >= command.words.size() || command.words[verb].value != "run") return std::nullopt;
  Planned planned;
  if (const auto file = k6_output_file(command.words, tool + 1)) {
    planned.plan.results = *file;
    planned.plan.results_are_users = true;
    return planned;
  }
  // --out on the command line silences K6_OUT: what that says is then repeated beside ours.
  std::string text = "--out " + quoted("json=" + results);
  for (std::size_t i = 0; i < tool; ++i) {
    const std::string_view word = command.words[i].value;
    if (!word.starts_with("K6_OUT=")) continue;
    const std::string_view value = word.substr(7);
    for (const std::string_view format : {"json=", "csv="}) {
      if (value.starts_with(format) && command.words[i].plain) {
        planned.plan.results = value.substr(format.size());
        planned.plan.results_are_users = true;
        return planned;
      }
    }
    text = "--out " + quoted(value) + " " + text;
  }
  planned.plan.results = results;
  planned.addition = Addition{command.words[verb].end, text};
  return planned;
}

// jmeter -l: appended to where it is there already. In the GUI (without -n) nobody asks for results.
std::optional<Planned> plan_jmeter(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  const auto is_no_gui = [](const ShellWord& word) { return word.value == "-n" || word.value == "--nongui"; };
  if (std::none_of(command.words.begin() + static_cast<std::ptrdiff_t>(tool), command.words.end(), is_no_gui)) {
    return std::nullopt;
  }
  Planned planned;
  planned.plan.appends = true;
  if (const auto file = option_value(command.words, tool + 1, "--logfile", "-l")) {
    if (!take_users_file(*file, planned.plan)) return std::nullopt;
  } else {
    planned.plan.results = results;
    // Before version 3 it wrote no header line, without which nobody knows the columns.
    planned.addition =
        Addition{command.words[tool].end, "-Jjmeter.save.saveservice.print_field_names=true -l " + quoted(results)};
  }
  return planned;
}

// wrk, ab and siege: their results are what they print.
std::optional<Planned> plan_printed(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  Planned planned;
  if (command.stdout_to) {
    if (!take_users_file(*command.stdout_to, planned.plan)) return std::nullopt;
    planned.plan.appends = command.stdout_appends;
  } else {
    planned.plan.results = results;
    planned.plan.results_are_stdout = planned.plan.results_are_text = true;
  }
  if (!base_name(command.words[tool].value).starts_with("wrk")) return planned;
  for (std::size_t i = tool + 1; i < command.words.size(); ++i) {  // without it wrk prints no quantiles
    if (is_one_of(command.words[i].value, {"--latency", "-L"})) return planned;
  }
  planned.addition = Addition{command.words[tool].end, "--latency"};
  return planned;
}

// vegeta attack: its results are its standard output, unless -output says otherwise. Where it is piped on, say into
// `vegeta report`, they are copied on the way.
std::optional<Planned> plan_vegeta(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  std::size_t verb = tool + 1;  // behind options for all verbs: -cpus=2, -cpus 2
  while (verb < command.words.size() && command.words[verb].value != "attack") ++verb;
  if (verb >= command.words.size()) return std::nullopt;
  Planned planned;
  auto file = option_value(command.words, verb + 1, "-output", "");
  if (!file) file = option_value(command.words, verb + 1, "--output", "");
  if (file && file->value != "stdout") {
    if (!take_users_file(*file, planned.plan)) return std::nullopt;
  } else if (command.stdout_to) {
    if (!take_users_file(*command.stdout_to, planned.plan)) return std::nullopt;
    planned.plan.appends = command.stdout_appends;
  } else {
    planned.plan.results = results;
    planned.addition = command.is_piped ? Addition{command.words.back().end, "| tee " + quoted(results)}
                                        : Addition{command.words[verb].end, "-output=" + quoted(results)};
    if (file && !command.is_piped) return std::nullopt;  // asked for on the terminal
  }
  return planned;
}

// locust --csv PREFIX writes PREFIX_stats_history.csv, with each endpoint's rows under --csv-full-history. A worker of
// a distributed load writes nothing.
std::optional<Planned> plan_locust(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  bool is_full = false;
  for (std::size_t i = tool + 1; i < command.words.size(); ++i) {
    const std::string_view word = command.words[i].value;
    if (is_one_of(word, {"--worker", "--version", "-V", "--help", "-h", "--list", "-l"})) return std::nullopt;
    is_full |= word == "--csv-full-history";
  }
  Planned planned;
  if (const auto prefix = option_value(command.words, tool + 1, "--csv", "")) {
    if (!take_users_file(*prefix, planned.plan)) return std::nullopt;
    if (!is_full) planned.addition = Addition{command.words[tool].end, "--csv-full-history"};
  } else {
    planned.plan.results = results + "/locust";  // Locust makes the directory, for this file and three others
    planned.addition = Addition{command.words[tool].end,
                                "--csv " + quoted(planned.plan.results) + (is_full ? "" : " --csv-full-history")};
  }
  planned.plan.results += "_stats_history.csv";
  return planned;
}

// Gatling puts simulation.log into a directory that it names after the simulation and the time, in one that can be
// named: by -rf of gatling.sh, --results-folder of `gatling run`, a property of Maven's and Gradle's plugins.
std::optional<Planned> plan_gatling(const SimpleCommand& command, std::size_t tool, const std::string& results) {
  static constexpr std::string_view kProperty = "-Dgatling.core.directory.results=",
                                    kOfMaven = "-Dgatling.resultsFolder=";
  const auto& words = command.words;
  const std::string_view name = base_name(words[tool].value);
  const bool is_maven = name.starts_with("mvn"), is_gradle = name.starts_with("gradle");
  Planned planned;
  planned.plan.results_below = "simulation.log";
  planned.plan.results = results;
  if (is_maven || is_gradle) {
    const auto runs =
        std::find_if(words.begin() + static_cast<std::ptrdiff_t>(tool), words.end(), [&](const ShellWord& word) {
          return is_maven ? word.value.ends_with("gatling:test") : word.value.find("gatlingRun") != std::string::npos;
        });
    if (runs == words.end()) return std::nullopt;
    if (is_gradle) {  // its plugin takes no directory from the command line
      planned.plan.results = "build/reports/gatling";
      planned.plan.results_are_users = true;
      return planned;
    }
    for (const ShellWord& word : words) {
      for (const std::string_view property : {kProperty, kOfMaven}) {
        if (!word.value.starts_with(property)) continue;
        ShellWord folder = word;
        folder.value = word.value.substr(property.size());
        if (!take_users_file(folder, planned.plan)) return std::nullopt;
        return planned;
      }
    }
    planned.addition = Addition{words[tool].end, std::string(kOfMaven) + quoted(results)};
    return planned;
  }
  const bool is_cli = name == "gatling" && tool + 1 < words.size() && words[tool + 1].value == "run";
  if (!is_cli && std::any_of(words.begin() + static_cast<std::ptrdiff_t>(tool), words.end(), [](const ShellWord& word) {
        return is_one_of(word.value, {"-ro", "--reports-only", "-h", "--help", "build", "install"});
      }))
    return std::nullopt;
  const std::string_view longer = "--results-folder", shorter = is_cli ? "" : "-rf";
  if (const auto folder = option_value(words, tool + 1, longer, shorter)) {
    if (!take_users_file(*folder, planned.plan)) return std::nullopt;
    return planned;
  }
  planned.addition = Addition{words[tool + (is_cli ? 1 : 0)].end, std::string(longer) + " " + quoted(results)};
  return planned;
}

std::optional<LoadCommand> plan(std::string_view text, const std::string& results, int depth);

// `sh -c 'list'`: plans the list, and puts it back quoted where it changed.
std::optional<LoadCommand> plan_inner_shell(std::string_view text, const SimpleCommand& command, std::size_t shell,
                                            const std::string& results, int depth) {
  for (std::size_t i = shell + 1; i + 1 < command.words.size(); ++i) {
    const std::string& option = command.words[i].value;
    if (!option.starts_with('-')) return std::nullopt;
    if (option.starts_with("--") || !option.ends_with('c')) continue;
    const ShellWord& script = command.words[i + 1];
    if (!script.plain) return std::nullopt;  // the outer shell would change it before the inner one reads it
    std::optional<LoadCommand> inner = plan(script.value, results, depth + 1);
    if (!inner) return std::nullopt;
    const std::string put_back = inner->added.empty()
                                     ? std::string(text.substr(script.begin, script.end - script.begin))
                                     : quoted(inner->command);
    inner->command = std::string(text.substr(0, script.begin)) + put_back + std::string(text.substr(script.end));
    if (inner->results_are_stdout && command.stdout_to) {
      if (!command.stdout_to->plain) return std::nullopt;
      inner->results = command.stdout_to->value;
      inner->results_are_stdout = inner->results_are_text = false;
      inner->results_are_users = true;
      inner->appends = command.stdout_appends;
    }
    return inner;
  }
  return std::nullopt;
}

std::optional<LoadCommand> plan(std::string_view text, const std::string& results, int depth) {
  if (depth > 3) return std::nullopt;
  std::string directory;  // where `cd` went before
  for (const SimpleCommand& command : read_commands(text)) {
    const std::size_t first = skip_prefixes(command.words);
    if (first >= command.words.size()) continue;
    const std::string_view name = base_name(command.words[first].value);
    if (name == "cd" && first + 1 < command.words.size() && command.words[first + 1].plain) {
      directory = join(directory, command.words[first + 1].value);
      continue;
    }
    if (is_one_of(name, {"sh", "bash", "dash", "zsh", "ash", "ksh"})) {
      std::optional<LoadCommand> inner = plan_inner_shell(text, command, first, results, depth);
      if (!inner) continue;
      if (inner->results_are_users) inner->results = join(directory, inner->results);
      return inner;
    }
    const std::string tool = tool_of(command.words[first].value);
    std::optional<Planned> planned;
    if (tool == "h2load") planned = plan_h2load(command, first, results);
    if (tool == "autocannon") planned = plan_autocannon(command, first, results);
    if (tool == "artillery") planned = plan_artillery(command, first, results);
    if (tool == "k6") planned = plan_k6(command, first, results);
    if (tool == "jmeter") planned = plan_jmeter(command, first, results);
    if (tool == "vegeta") planned = plan_vegeta(command, first, results);
    if (tool == "locust") planned = plan_locust(command, first, results);
    if (tool == "gatling") planned = plan_gatling(command, first, results);
    if (is_one_of(tool, {"wrk", "wrk2", "ab", "siege"})) planned = plan_printed(command, first, results);
    if (!planned) continue;
    LoadCommand out = std::move(planned->plan);
    out.tool = tool;
    out.command = text;
    if (planned->addition) {
      out.added = planned->addition->text;
      out.command.insert(planned->addition->at, " " + out.added);
    }
    if (out.results_are_users) out.results = join(directory, out.results);
    return out;
  }
  return std::nullopt;
}

}  // namespace

std::optional<LoadCommand> plan_load_command(std::string_view command, const std::string& results) {
  return plan(command, results, 0);
}

}  // namespace camprobe::load
