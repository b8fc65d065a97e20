// suite/yaml_map.h
//
// A YAML map that is read key by key: what is asked for is what is known, and done() fails on what nobody asked for, so
// that a misspelt key is never silently ignored. Failures are thrown as Wrong, with their place, and become one
// sentence in suite_file.cc.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace camprobe::suite {

struct Wrong {
  YAML::Mark at;
  std::string sentence;
};

[[noreturn]] void fail(const YAML::Node& node, const std::string& sentence);

class YamlMap {
 public:
  // `what` is how errors call it: "target", "a phase".
  YamlMap(YAML::Node node, std::string what);

  bool has(const char* key) const;
  YAML::Node node(const char* key);  // undefined where it is not there
  std::string text(const char* key, const std::string& otherwise = "");
  std::string needed_text(const char* key);
  std::string one_of(const char* key, const std::vector<std::string>& choices);
  bool truth(const char* key, bool otherwise);
  std::optional<double> number(const char* key, double least, double most);
  std::optional<long> whole(const char* key, long least, long most);
  std::optional<double> seconds(const char* key);
  std::optional<double> bytes(const char* key);
  std::vector<std::string> texts(const char* key);  // a list, or one text alone
  std::vector<std::pair<std::string, std::string>> pairs(const char* key);
  void each(const char* key, const std::function<void(const YAML::Node&)>& visit);  // of a list
  [[noreturn]] void fail_at(const char* key, const std::string& sentence) const;
  void done() const;

 private:
  YAML::Node node_;
  std::string what_;
  std::vector<std::string> asked_;
};

}  // namespace camprobe::suite
