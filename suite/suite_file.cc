// suite/suite_file.cc: the file's maps onto suite.h, one function a kind of map.
#include "suite/suite_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "collector/gates/gates_file.h"
#include "suite/fault_proxy.h"
#include "suite/tool.h"
#include "suite/yaml_map.h"

namespace camprobe::suite {

namespace {

constexpr std::size_t kLargestFile = 1 << 20;

Ready ready_of(const YAML::Node& node) {
  Ready ready;
  if (!node.IsDefined()) return ready;
  YamlMap map(node, "ready");
  ready.http = map.text("http");
  ready.tcp = map.text("tcp");
  ready.file = map.text("file");
  ready.within_s = map.seconds("within").value_or(30);
  map.done();
  if (ready.http.empty() + ready.tcp.empty() + ready.file.empty() != 2)
    fail(node, "ready has one of http (a URL), tcp (a port) and file (a path)");
  return ready;
}

Limits limits_of(const YAML::Node& node) {
  Limits limits;
  if (!node.IsDefined()) return limits;
  YamlMap map(node, "limits");
  if (const auto bytes = map.bytes("memory")) limits.memory_bytes = static_cast<std::uint64_t>(*bytes);
  if (const auto files = map.whole("open_files", 16, 10'000'000))
    limits.open_files = static_cast<std::uint64_t>(*files);
  limits.cores = map.text("cores");
  map.done();
  return limits;
}

Program program_of(const YAML::Node& node, const std::string& what, const std::string& name) {
  Program program;
  YamlMap map(node, what);
  program.name = map.text("name", name);
  program.command = map.texts("command");
  if (program.command.empty())
    map.fail_at("command", fmt::format("{} has no command; add command: [program, argument]", what));
  for (auto& [key, value] : map.pairs("environment")) program.environment[key] = value;
  program.ready = ready_of(map.node("ready"));
  program.limits = limits_of(map.node("limits"));
  program.stop_within_s = map.seconds("stop_within").value_or(10);
  map.done();
  return program;
}

// The keys of a request, in whatever map has them.
Request request_in(YamlMap& map) {
  Request request;
  request.method = map.one_of("method", {"GET", "POST", "PUT", "DELETE", "HEAD"});
  request.path = map.needed_text("path");
  request.body = map.text("body");
  for (auto& [key, value] : map.pairs("headers")) request.headers[key] = value;
  if (!request.path.starts_with('/')) map.fail_at("path", "a request's path begins with a slash");
  return request;
}

Request request_of(const YAML::Node& node) {
  if (node.IsScalar()) {
    Request request;
    request.path = node.Scalar();
    if (!request.path.starts_with('/')) fail(node, "a request's path begins with a slash");
    return request;
  }
  YamlMap map(node, "a request");
  Request request = request_in(map);
  request.weight = static_cast<unsigned>(map.whole("weight", 1, 1000).value_or(1));
  map.done();
  return request;
}

Scenario scenario_of(const YAML::Node& node) {
  Scenario scenario;
  YamlMap map(node, "a scenario");
  scenario.name = map.needed_text("name");
  map.each("requests", [&](const YAML::Node& item) { scenario.requests.push_back(request_of(item)); });
  map.done();
  if (scenario.requests.empty()) fail(node, fmt::format("scenario {} has no requests; add some", scenario.name));
  return scenario;
}

Action action_of(const YAML::Node& node) {
  Action action;
  YamlMap map(node, "an action");
  action.at_s = map.seconds("at").value_or(0);
  action.url = map.text("post");
  action.body = map.text("body");
  for (auto& [key, value] : map.pairs("network")) action.network[key] = value;
  for (const auto& [key, value] : action.network) {
    const auto line = key == "proxy" ? run::Result<std::string>(key) : fault_line(key, value);
    if (!line) map.fail_at("network", line.error());
  }
  std::string faults;
  for (const auto& [key, value] : action.network) faults += (faults.empty() ? "" : ", ") + key + " " + value;
  action.text = map.text("name", action.url.empty() ? faults : action.url + " " + action.body);
  map.done();
  if (action.url.empty() == action.network.empty())
    fail(node, "an action has post (a URL) or network (a fault), one of them");
  return action;
}

Phase phase_of(const YAML::Node& node) {
  Phase phase;
  YamlMap map(node, "a phase");
  phase.name = map.needed_text("name");
  phase.kind = map.one_of("kind", {"steady", "ramp", "spike", "idle", "warm-up"});
  phase.duration_s = map.seconds("duration").value_or(0);
  phase.users = static_cast<int>(map.whole("users", 0, 1'000'000).value_or(phase.kind == "idle" ? 0 : 1));
  if (const auto from = map.whole("users_from", 1, 1'000'000)) phase.users_from = static_cast<int>(*from);
  phase.rate = map.number("rate", 0.01, 10'000'000);
  phase.rate_from = map.number("rate_from", 0.01, 10'000'000);
  if (phase.rate_from && !phase.rate) map.fail_at("rate_from", "rate_from needs a rate to go to");
  if (phase.users == 0 && phase.kind != "idle") map.fail_at("users", "only a phase of kind idle has no users");
  const YAML::Node actions = map.node("actions");
  map.done();  // first: a misspelt duration is told as such
  if (phase.duration_s <= 0)
    map.fail_at("duration", fmt::format("phase {} has no duration; add one, like duration: 30 s", phase.name));
  map.each("actions", [&](const YAML::Node& item) {
    phase.actions.push_back(action_of(item));
    if (phase.actions.back().at_s > phase.duration_s)
      fail(item, fmt::format("this is after the end of phase {}", phase.name));
  });
  return phase;
}

Load load_of(const YAML::Node& node) {
  Load load;
  YamlMap map(node, "load");
  load.tool = map.one_of("tool", tool_names());
  load.base = map.needed_text("base");
  load.threads = static_cast<int>(map.whole("threads", 1, 256).value_or(1));
  load.file = map.text("file");
  load.command = map.texts("command");
  load.results = map.text("results");
  map.done();
  if (!load.file.empty() && !tool_named(load.tool)->takes_file)
    map.fail_at("file",
                fmt::format("{} has no scenario files of its own; leave file out and write scenarios", load.tool));
  if (load.command.empty() != load.results.empty())
    fail(node, "command and results go together: the tool's command line and the file it writes");
  return load;
}

Figure figure_of(const YAML::Node& node) {
  Figure figure;
  YamlMap map(node, "a figure");
  figure.name = map.needed_text("name");
  figure.unit = map.text("unit");
  figure.higher_is_better = map.one_of("better", {"lower", "higher"}) == "higher";
  figure.from = map.texts("from");
  figure.value = map.needed_text("value");
  figure.per = map.text("per");
  figure.scale = map.number("scale", -1e12, 1e12).value_or(1);
  for (const auto& [key, pointer] : {std::pair{"value", figure.value}, std::pair{"per", figure.per}}) {
    if (!pointer.empty() && !pointer.starts_with('/'))
      map.fail_at(key, fmt::format("{} is a JSON pointer, which begins with a slash: /arbitration/cost", key));
  }
  map.done();
  return figure;
}

Variant baseline_of(const YAML::Node& node, const Suite& suite) {
  Variant variant;
  YamlMap map(node, "a baseline");
  variant.name = map.needed_text("name");
  variant.is_recorded = map.truth("record", false);
  variant.target = program_of(map.node("target"), "target", variant.name);
  map.each("dependencies", [&](const YAML::Node& item) {
    variant.dependencies.push_back(program_of(item, "a dependency", "dependency"));
  });
  variant.base = map.text("base", suite.load.base);
  map.each("requests", [&](const YAML::Node& item) { variant.requests.push_back(request_of(item)); });
  map.each("figures", [&](const YAML::Node& item) { variant.figures.push_back(figure_of(item)); });
  variant.stats = map.text("stats");
  variant.counted = map.text("counted");
  map.done();
  return variant;
}

// Gates are those of gates.yaml, so its reader reads them, in a text that keeps their lines.
std::vector<gates::Gate> gates_of(const YAML::Node& node, const std::string& file_name) {
  if (!node.IsDefined()) return {};
  YAML::Emitter text;
  if (node.IsSequence()) {
    YAML::Node map;
    map["gates"] = node;
    text << map;
  } else {
    text << node;
  }
  const auto gates = gates::gates_of_text(text.c_str(), file_name);
  if (!gates) fail(node, "gates: " + gates.error().substr(gates.error().find(": ") + 2));
  return *gates;
}

std::vector<int> counts_of(YamlMap& map, const char* key) {
  std::vector<int> counts;
  for (const std::string& text : map.texts(key)) {
    int count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size() || count < 1 || count > 1024)
      map.fail_at(key, fmt::format("{} are whole numbers from 1 to 1024, not {}", key, text.substr(0, 40)));
    counts.push_back(count);
  }
  return counts;
}

Suite suite_of(const YAML::Node& node, const std::string& file_name) {
  if (!node.IsMap()) fail(node, "a suite begins with name: (docs/suites.md has examples)");
  Suite suite;
  suite.path = file_name;
  YamlMap map(node, "the suite");
  if (map.text("schema", "camprobe.suite/1") != "camprobe.suite/1")
    map.fail_at("schema", "this schema is not known; this camprobe reads camprobe.suite/1");
  suite.name = map.needed_text("name");
  suite.system = map.one_of("system", {"load", "benchmark", "stress", "scalability", "endurance"});
  suite.description = map.text("description");
  if (!map.has("target")) fail(node, "the suite has no target; add target: with a command");
  suite.target = program_of(map.node("target"), "target", "target");
  suite.is_recorded = map.truth("record", true);
  map.each("dependencies", [&](const YAML::Node& item) {
    suite.dependencies.push_back(program_of(item, "a dependency", "dependency"));
  });
  for (auto& [key, value] : map.pairs("files")) {
    if (key.find('/') != std::string::npos)
      map.fail_at("files", fmt::format("{}: files lie in ${{dir}}; leave out slashes", key));
    suite.files[key] = value;
  }
  map.each("proxies", [&](const YAML::Node& item) {
    YamlMap proxy(item, "a proxy");
    suite.proxies.push_back({proxy.needed_text("name"), proxy.needed_text("listen"), proxy.needed_text("to")});
    proxy.done();
  });
  if (!map.has("load")) fail(node, "the suite has no load; add load: with a tool and a base");
  suite.load = load_of(map.node("load"));
  map.each("scenarios", [&](const YAML::Node& item) { suite.scenarios.push_back(scenario_of(item)); });
  suite.scenario = map.text("scenario");
  map.each("phases", [&](const YAML::Node& item) { suite.phases.push_back(phase_of(item)); });
  map.each("checks", [&](const YAML::Node& item) {
    YamlMap check(item, "a check");
    Check made;
    made.request = request_in(check);
    made.name = check.text("name", made.request.method + " " + made.request.path);
    made.status = static_cast<int>(check.whole("status", 100, 599).value_or(200));
    check.done();
    suite.checks.push_back(made);
  });
  suite.stats = map.text("stats");
  suite.counted = map.text("counted");
  suite.span = map.text("span");
  map.each("figures", [&](const YAML::Node& item) { suite.figures.push_back(figure_of(item)); });
  suite.gates = gates_of(map.node("gates"), file_name);
  map.each("baselines", [&](const YAML::Node& item) { suite.baselines.push_back(baseline_of(item, suite)); });
  suite.cores = counts_of(map, "cores");
  suite.instances = counts_of(map, "instances");
  suite.repeats = static_cast<int>(map.whole("repeats", 1, 100).value_or(1));
  suite.seed = static_cast<std::uint64_t>(map.whole("seed", 0, 1'000'000'000).value_or(1));
  map.done();
  if (suite.phases.empty()) fail(node, "the suite has no phases; add phases: with a name, a duration and users");
  if (suite.scenarios.empty() && suite.load.file.empty() && suite.load.command.empty())
    fail(node, "the suite has no scenarios; add scenarios: with requests, or load.file for the tool's own");
  const auto is_it = [&](const Scenario& scenario) { return scenario.name == suite.scenario; };
  if (!suite.scenario.empty() && std::none_of(suite.scenarios.begin(), suite.scenarios.end(), is_it))
    map.fail_at("scenario", fmt::format("there is no scenario {} in this suite", suite.scenario));
  return suite;
}

}  // namespace

std::optional<double> seconds_of(std::string_view text) {
  double number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(rest - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  double factor = 0;
  for (const auto& [name, seconds] : {std::pair<std::string_view, double>{"", 1},
                                      {"s", 1},
                                      {"ms", 1e-3},
                                      {"m", 60},
                                      {"min", 60},
                                      {"h", 3600},
                                      {"d", 86400}}) {
    if (unit == name) factor = seconds;
  }
  if (factor == 0 || number * factor > 30 * 86400.0) return std::nullopt;
  return number * factor;
}

run::Result<std::vector<Suite>> suites_of_text(const std::string& text, const std::string& file_name) {
  const auto error = [&](const YAML::Mark& at, const std::string& sentence) {
    return run::Error{
        fmt::format("{}:{}:{}: {}", file_name, std::max(at.line, 0) + 1, std::max(at.column, 0) + 1, sentence)};
  };
  try {
    std::vector<Suite> suites;
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      if (!document.IsNull()) suites.push_back(suite_of(document, file_name));
    }
    if (suites.empty()) return run::Error{fmt::format("{}:1:1: there is no suite in this file", file_name)};
    return suites;
  } catch (const Wrong& wrong) {
    return error(wrong.at, wrong.sentence);
  } catch (const YAML::Exception& broken) {
    return error(broken.mark,
                 fmt::format("this is not YAML: {}; look at the line's indentation, quotes and colons", broken.msg));
  }
}

run::Result<std::vector<Suite>> read_suite_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return run::Error{fmt::format("{}: cannot be read", path)};
  std::string text(kLargestFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.empty()) return run::Error{fmt::format("{}: is empty, or a directory", path)};
  if (text.size() > kLargestFile) return run::Error{fmt::format("{}: is larger than a suite can be (1 MiB)", path)};
  return suites_of_text(text, path);
}

}  // namespace camprobe::suite
