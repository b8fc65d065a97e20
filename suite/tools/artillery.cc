// suite/tools/artillery.cc: one Artillery process for the whole load, its scenario as JSON, which is YAML too.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

// What Artillery's templates would take for theirs is no part of a suite's texts: variables have got their values.
Json flow_of(const Request& request) {
  std::string verb = request.method;
  std::transform(verb.begin(), verb.end(), verb.begin(), [](unsigned char c) { return std::tolower(c); });
  Json call{{"url", request.path}};
  if (!request.body.empty()) call["body"] = request.body;
  for (const auto& [name, value] : request.headers) call["headers"][name] = value;
  return Json::array({{{verb, call}}});
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  Invocation one;
  one.results = work.directory + "/artillery.json";
  if (!work.file.empty()) {
    one.arguments = {"run", "--output", one.results, "--target", work.base, work.file};
    out.notes.emplace_back(
        "Artillery runs the scenario file as it is: its phases are the file's own, the suite's say how long it may "
        "take");
  } else {
    Json config{{"target", work.base}, {"http", {{"timeout", 10}}}, {"phases", Json::array()}};
    for (const Stage& stage : work.stages) {
      const double seconds = std::max(1.0, std::round(stage.duration_s));
      if (stage.users == 0) {
        config["phases"].push_back({{"pause", seconds}});
        continue;
      }
      if (!stage.rate)
        return run::Error{fmt::format(
            "Artillery starts users at a rate and cannot keep a number of them busy: give phase {} a rate, or "
            "choose another tool",
            stage.phase)};
      Json phase{
          {"name", stage.phase}, {"duration", seconds}, {"arrivalRate", std::max(1.0, std::round(*stage.rate_from))}};
      if (stage.rate_from != stage.rate) phase["rampTo"] = std::max(1.0, std::round(*stage.rate));
      phase["maxVusers"] = stage.users;
      config["phases"].push_back(phase);
    }
    Json scenarios = Json::array();
    for (const Request& request : work.requests)
      scenarios.push_back(
          {{"name", request.method + " " + request.path}, {"weight", request.weight}, {"flow", flow_of(request)}});
    const std::string path = work.directory + "/artillery-scenario.json";
    one.files.emplace_back(path, Json{{"config", config}, {"scenarios", scenarios}}.dump(1));
    one.arguments = {"run", "--output", one.results, path};
    out.notes.emplace_back(
        "Artillery starts a user, with a connection of its own, for each request; where more than `users` would be at "
        "work it leaves requests out and says so in its results");
  }
  out.steps.push_back({0, work.stages.size() - 1, {std::move(one)}});
  return out;
}

}  // namespace

const Tool kArtilleryTool = {"artillery", "artillery", "npm install artillery", {"--version"}, true, true, translate};

}  // namespace camprobe::suite
