// suite/tools/autocannon.cc: one autocannon process a stage; several requests go in a HAR file, which it takes in turn.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

std::string har_of(const Work& work) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const Request& request : in_turn(work.requests)) {
    nlohmann::ordered_json headers = nlohmann::ordered_json::array();
    for (const auto& [name, value] : request.headers) headers.push_back({{"name", name}, {"value", value}});
    nlohmann::ordered_json entry{{"method", request.method}, {"url", work.base + request.path}, {"headers", headers}};
    if (!request.body.empty()) entry["postData"] = {{"mimeType", "application/json"}, {"text", request.body}};
    entries.push_back({{"request", entry}});
  }
  return nlohmann::ordered_json{{"log", {{"version", "1.2"}, {"entries", entries}}}}.dump(1);
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  bool any_rate = false, any_free = false;
  for (std::size_t i = 0; i < work.stages.size(); ++i) {
    const Stage& stage = work.stages[i];
    Step step{i, i, {}};
    if (stage.users > 0) {
      Invocation one;
      const std::string stem = fmt::format("{}/autocannon-{}", work.directory, i + 1);
      one.arguments = {"--json", "-c", std::to_string(stage.users), "-d", number_text(std::ceil(stage.duration_s))};
      if (stage.rate)
        one.arguments.insert(one.arguments.end(), {"-R", number_text(std::max(1.0, std::round(*stage.rate))), "-C"});
      (stage.rate ? any_rate : any_free) = true;
      if (work.threads > 1) one.arguments.insert(one.arguments.end(), {"-w", std::to_string(work.threads)});
      one.files.emplace_back(stem + ".har", har_of(work));
      one.arguments.insert(one.arguments.end(), {"--har", stem + ".har", work.base});
      one.results = stem + ".json";
      one.results_are_stdout = true;
      one.cpus = work.threads;
      one.most_under_way = stage.users;
      step.together.push_back(std::move(one));
    }
    out.steps.push_back(std::move(step));
  }
  out.notes.emplace_back(
      "autocannon gives quantiles of each stage, no single latencies: nothing by the second, and a whole of several "
      "stages is their mean");
  if (any_rate)
    out.notes.emplace_back(
        "autocannon counts latencies from when each request was sent (-C): its own correction for coordinated omission "
        "takes an interval of 1 ms whatever the rate is, which biases every quantile");
  if (any_free)
    out.notes.emplace_back(
        "without a rate autocannon waits for an answer before a connection's next request: latencies count from when "
        "it "
        "was sent (coordinated omission)");
  return out;
}

}  // namespace

const Tool kAutocannonTool = {"autocannon", "autocannon", "npm install autocannon", {"--version"}, false,
                              false,        translate};

}  // namespace camprobe::suite
