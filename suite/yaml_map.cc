#include "suite/yaml_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "collector/gates/limit.h"
#include "collector/gates/nearest_name.h"
#include "suite/suite_file.h"

namespace camprobe::suite {

namespace {

std::string shown(const std::string& text) {
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string nearest(const std::string& written, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string_view near = gates::nearest_name(written, views);
  return near.empty() ? "known are " + joined(known) : fmt::format("did you mean {}?", near);
}

}  // namespace

void fail(const YAML::Node& node, const std::string& sentence) {
  throw Wrong{node.Mark(), sentence};
}

YamlMap::YamlMap(YAML::Node node, std::string what) : node_(std::move(node)), what_(std::move(what)) {
  if (!node_.IsMap()) fail(node_, fmt::format("{} must be a map: key: value", what_));
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) fail(entry.first, "a key must be a text");
    if (!seen.insert(entry.first.Scalar()).second)
      fail(entry.first, fmt::format("{} stands here a second time; leave one", shown(entry.first.Scalar())));
  }
}

bool YamlMap::has(const char* key) const {
  return static_cast<bool>(std::as_const(node_)[key]);
}

YAML::Node YamlMap::node(const char* key) {
  asked_.emplace_back(key);
  return has(key) ? YAML::Node(std::as_const(node_)[key]) : YAML::Node(YAML::NodeType::Undefined);
}

void YamlMap::fail_at(const char* key, const std::string& sentence) const {
  fail(has(key) ? YAML::Node(std::as_const(node_)[key]) : node_, sentence);
}

std::string YamlMap::text(const char* key, const std::string& otherwise) {
  const YAML::Node value = node(key);
  if (!value.IsDefined()) return otherwise;
  if (!value.IsScalar()) fail(value, fmt::format("{} of {} must be a text or a number", key, what_));
  return value.Scalar();
}

std::string YamlMap::needed_text(const char* key) {
  const std::string value = text(key);
  if (value.empty()) fail_at(key, fmt::format("{} has no {}; add it", what_, key));
  return value;
}

std::string YamlMap::one_of(const char* key, const std::vector<std::string>& choices) {
  const std::string value = text(key, choices.front());
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    fail_at(key, fmt::format("there is no {} {}; {}", key, shown(value), nearest(value, choices)));
  return value;
}

bool YamlMap::truth(const char* key, bool otherwise) {
  const std::string value = text(key, otherwise ? "true" : "false");
  if (value != "true" && value != "false") fail_at(key, fmt::format("{} is true or false, not {}", key, shown(value)));
  return value == "true";
}

std::optional<double> YamlMap::number(const char* key, double least, double most) {
  const std::string value = text(key);
  if (value.empty()) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || !(number >= least && number <= most))
    fail_at(key, fmt::format("{} must be a number from {} to {}, not {}", key, least, most, shown(value)));
  return number;
}

std::optional<long> YamlMap::whole(const char* key, long least, long most) {
  const std::string value = text(key);
  if (value.empty()) return std::nullopt;
  long number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least || number > most)
    fail_at(key, fmt::format("{} must be a whole number from {} to {}, not {}", key, least, most, shown(value)));
  return number;
}

std::optional<double> YamlMap::seconds(const char* key) {
  const std::string value = text(key);
  if (value.empty()) return std::nullopt;
  const auto seconds = seconds_of(value);
  if (!seconds) fail_at(key, fmt::format("{} is a time: write 30 s, 5 m or 2 h, not {}", key, shown(value)));
  return seconds;
}

std::optional<double> YamlMap::bytes(const char* key) {
  const std::string value = text(key);
  if (value.empty()) return std::nullopt;
  const auto bytes = gates::limit_of(value, "bytes");
  if (!bytes || *bytes <= 0) fail_at(key, fmt::format("{} is a size: write 64 MiB, not {}", key, shown(value)));
  return *bytes;
}

std::vector<std::string> YamlMap::texts(const char* key) {
  const YAML::Node value = node(key);
  std::vector<std::string> list;
  if (!value.IsDefined()) return list;
  if (value.IsScalar()) return {value.Scalar()};
  if (!value.IsSequence()) fail(value, fmt::format("{} of {} must be a list: [one, two]", key, what_));
  for (const YAML::Node& item : value) {
    if (!item.IsScalar()) fail(item, fmt::format("{} of {} must be a list of texts", key, what_));
    list.push_back(item.Scalar());
  }
  return list;
}

std::vector<std::pair<std::string, std::string>> YamlMap::pairs(const char* key) {
  const YAML::Node value = node(key);
  std::vector<std::pair<std::string, std::string>> list;
  if (!value.IsDefined()) return list;
  if (!value.IsMap()) fail(value, fmt::format("{} of {} must be a map: NAME: value", key, what_));
  for (const auto& entry : value) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar())
      fail(entry.first, fmt::format("{} of {} must be a map of texts", key, what_));
    list.emplace_back(entry.first.Scalar(), entry.second.Scalar());
  }
  return list;
}

void YamlMap::each(const char* key, const std::function<void(const YAML::Node&)>& visit) {
  const YAML::Node value = node(key);
  if (!value.IsDefined()) return;
  if (!value.IsSequence()) fail(value, fmt::format("{} of {} must be a list: begin each item with a dash", key, what_));
  if (value.size() > 1000) fail(value, fmt::format("{} {} are too many; 1000 is the most", value.size(), key));
  for (const YAML::Node& item : value) visit(item);
}

void YamlMap::done() const {
  for (const auto& entry : node_) {
    const std::string& key = entry.first.Scalar();
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end())
      fail(entry.first, fmt::format("{} has no key {}; {}", what_, shown(key), nearest(key, asked_)));
  }
}

}  // namespace camprobe::suite
