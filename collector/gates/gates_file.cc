// collector/gates/gates_file.cc
#include "collector/gates/gates_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "collector/gates/limit.h"
#include "collector/gates/nearest_name.h"
#include "collector/gates/tiers.h"

namespace camprobe::gates {

namespace {

constexpr std::size_t kLargestFile = 1 << 20;
constexpr std::size_t kMostGates = 1000;

struct Wrong {
  YAML::Mark at;
  std::string sentence;
};

[[noreturn]] void fail(const YAML::Node& node, const std::string& sentence) {
  throw Wrong{node.Mark(), sentence};
}

std::string did_you_mean(std::string_view written, const std::vector<std::string_view>& known,
                         std::string_view or_else) {
  const std::string_view nearest = nearest_name(written, known);
  return nearest.empty() ? std::string(or_else) : fmt::format("did you mean {}?", nearest);
}

std::string joined(const std::vector<std::string_view>& names) {
  std::string list;
  for (const std::string_view name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

// Text from a stranger, for a message of one line.
std::string quoted(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

std::string text_of(const YAML::Node& node, std::string_view key) {
  if (!node.IsScalar()) fail(node, fmt::format("{} must be a text or a number", key));
  return node.Scalar();
}

// Every key is known and stands once: YAML itself would silently keep one of two.
void check_keys(const YAML::Node& map, const std::vector<std::string_view>& known) {
  std::set<std::string> seen;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) fail(entry.first, "a key must be a text");
    const std::string& key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(entry.first,
           fmt::format("there is no key {}; {}", quoted(key), did_you_mean(key, known, "known are " + joined(known))));
    }
    if (!seen.insert(key).second) fail(entry.first, fmt::format("{} stands here a second time; leave one", key));
  }
}

bool missing_passes(const YAML::Node& node, bool otherwise) {
  if (!node) return otherwise;
  const std::string text = text_of(node, "when_missing");
  if (text != "pass" && text != "fail") fail(node, fmt::format("when_missing is pass or fail, not {}", quoted(text)));
  return text == "pass";
}

const Metric* metric_of(const YAML::Node& node) {
  const std::string name = text_of(node, "metric");
  if (const Metric* metric = metric_named(name)) return metric;
  std::vector<std::string_view> names;
  for (const Metric& metric : all_metrics()) names.push_back(metric.name);
  fail(node, fmt::format("there is no metric {}; {} (camprobe gate --list-metrics lists all)", quoted(name),
                         did_you_mean(name, names, "")));
}

std::optional<double> limit_in(const YAML::Node& node, const Metric& metric, std::string_view key) {
  if (!node) return std::nullopt;
  const auto limit = limit_of(text_of(node, key), metric.unit);
  if (!limit) fail(node, limit.error());
  return *limit;
}

Gate gate_of(const YAML::Node& node, bool missing_passes_by_default) {
  if (!node.IsMap()) fail(node, "a gate is a map, like: - {metric: latency_p95_ms, max: 100}");
  check_keys(node, {"name", "metric", "endpoint", "window", "min", "max", "when_missing"});
  if (!node["metric"]) fail(node, "this gate has no metric; add one, like metric: latency_p95_ms");
  Gate gate;
  gate.metric = metric_of(node["metric"]);
  if (node["name"]) gate.name = text_of(node["name"], "name");
  if (node["endpoint"]) {
    gate.endpoint = text_of(node["endpoint"], "endpoint");
    if (gate.metric->scopes != Scopes::kEndpointAndWindow)
      fail(node["endpoint"], fmt::format("{} is not known of single endpoints; leave endpoint out", gate.metric->name));
  }
  if (node["window"]) {
    gate.window = text_of(node["window"], "window");
    if (gate.metric->scopes == Scopes::kRun)
      fail(node["window"], fmt::format("{} is of the whole run; leave window out", gate.metric->name));
  }
  gate.min = limit_in(node["min"], *gate.metric, "min");
  gate.max = limit_in(node["max"], *gate.metric, "max");
  if (!gate.min && !gate.max)
    fail(node, fmt::format("the gate on {} has no limit; add {}", gate.metric->name,
                           gate.metric->better == Better::kLower ? "max" : "min"));
  if (gate.min && gate.max && *gate.min > *gate.max)
    fail(node["min"], fmt::format("min is above max, so that nothing passes {}", gate.metric->name));
  gate.missing_passes = missing_passes(node["when_missing"], missing_passes_by_default);
  return gate;
}

std::vector<Gate> gates_of(const YAML::Node& root) {
  if (!root.IsMap()) fail(root, "the file must begin with gates: (docs/gates.md has examples)");
  check_keys(root, {"schema", "tier", "when_missing", "gates"});
  if (root["schema"] && text_of(root["schema"], "schema") != "camprobe.gates/1") {
    fail(root["schema"],
         fmt::format("schema {} is not known; this camprobe reads camprobe.gates/1", quoted(root["schema"].Scalar())));
  }
  std::vector<Gate> gates;
  if (const YAML::Node tier = root["tier"]) {
    const auto of_tier = gates_of_tier(text_of(tier, "tier"));
    if (!of_tier) fail(tier, fmt::format("there is no tier {}; choose one of {}", quoted(tier.Scalar()), kTierNames));
    gates = *of_tier;
  }
  const bool passes = missing_passes(root["when_missing"], false);
  if (const YAML::Node list = root["gates"]) {
    if (!list.IsSequence()) fail(list, "gates must be a list: begin each gate with a dash");
    if (list.size() > kMostGates)
      fail(list, fmt::format("{} gates are too many; {} is the most", list.size(), kMostGates));
    for (const YAML::Node& node : list) gates.push_back(gate_of(node, passes));
  }
  if (gates.empty()) fail(root, "there is no gate in this file; add gates: or tier:");
  return gates;
}

}  // namespace

run::Result<std::vector<Gate>> gates_of_text(const std::string& text, const std::string& file_name) {
  const auto error = [&](const YAML::Mark& at, const std::string& sentence) {
    return run::Error{
        fmt::format("{}:{}:{}: {}", file_name, std::max(at.line, 0) + 1, std::max(at.column, 0) + 1, sentence)};
  };
  try {
    return gates_of(YAML::Load(text));
  } catch (const Wrong& wrong) {
    return error(wrong.at, wrong.sentence);
  } catch (const YAML::Exception& broken) {
    return error(broken.mark, fmt::format("this is not YAML: {}; look at the line's indentation, quotes and colons",
                                          quoted(broken.msg)));
  }
}

run::Result<std::vector<Gate>> read_gates_file(const std::string& path) {
  std::error_code failed;
  if (std::filesystem::is_directory(path, failed))
    return run::Error{fmt::format("{}: is a directory; name a file of gates", path)};
  std::ifstream file(path, std::ios::binary);
  if (!file) return run::Error{fmt::format("{}: cannot be read: {}", path, std::strerror(errno))};
  std::string text(kLargestFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLargestFile)
    return run::Error{fmt::format("{}: is larger than a file of gates can be (1 MiB)", path)};
  return gates_of_text(text, path);
}

run::Result<std::vector<Gate>> chosen_gates(const std::string& tier, const std::string& file) {
  std::vector<Gate> gates;
  if (!tier.empty()) {
    auto of_tier = gates_of_tier(tier);
    if (!of_tier)
      return run::Error{fmt::format("--tier {}: there is no such tier; choose one of {}", tier, kTierNames)};
    gates = std::move(*of_tier);
  }
  if (!file.empty()) {
    auto of_file = read_gates_file(file);
    if (!of_file) return of_file;
    gates.insert(gates.end(), of_file->begin(), of_file->end());
  }
  return gates;
}

}  // namespace camprobe::gates
