// suite/tools/k6.cc: one k6 process for the whole load; each stage is a k6 scenario that begins when the one before
// ends.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

Json scenario_of(const Stage& stage, double start_s) {
  const std::string duration = fmt::format("{:.0f}ms", stage.duration_s * 1000),
                    start = fmt::format("{:.0f}ms", start_s * 1000);
  Json made{{"startTime", start}, {"gracefulStop", "2s"}, {"exec", "work"}, {"tags", {{"phase", stage.phase}}}};
  if (stage.rate) {
    // Rates are whole numbers a time unit: per minute, for fractions of one a second.
    const auto per_minute = [](double rate) { return std::lround(rate * 60); };
    made["executor"] = "ramping-arrival-rate";
    made["timeUnit"] = "1m";
    made["startRate"] = per_minute(*stage.rate_from);
    made["preAllocatedVUs"] = stage.users;
    made["maxVUs"] = stage.users;
    made["stages"] = Json::array({{{"duration", duration}, {"target", per_minute(*stage.rate)}}});
  } else if (stage.users_from != stage.users) {
    made["executor"] = "ramping-vus";
    made["startVUs"] = stage.users_from;
    made["stages"] = Json::array({{{"duration", duration}, {"target", stage.users}}});
  } else {
    made["executor"] = "constant-vus";
    made["vus"] = stage.users;
    made["duration"] = duration;
  }
  return made;
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  Invocation one;
  one.results = work.directory + "/k6.json";
  one.environment = {"BASE=" + work.base};
  std::string script = work.file;
  if (script.empty()) {
    Json scenarios = Json::object(), list = Json::array();
    double at = 0;
    for (std::size_t i = 0; i < work.stages.size(); ++i) {
      if (work.stages[i].users > 0) scenarios[fmt::format("stage_{}", i + 1)] = scenario_of(work.stages[i], at);
      at += work.stages[i].duration_s;
    }
    for (const Request& request : in_turn(work.requests)) {
      Json headers = Json::object();
      for (const auto& [name, value] : request.headers) headers[name] = value;
      list.push_back({{"method", request.method},
                      {"url", work.base + request.path},
                      {"body", request.body.empty() ? Json(nullptr) : Json(request.body)},
                      {"params", {{"headers", headers}, {"tags", {{"name", request.method + " " + request.path}}}}}});
    }
    script = work.directory + "/k6-script.js";
    one.files.emplace_back(
        script, "import http from \"k6/http\";\n\nexport const options = { scenarios: " + scenarios.dump(1) +
                    " };\nconst requests = " + list.dump(1) +
                    ";\n\nlet turn = 0;\nexport function work() {\n  const r = requests[turn++ % requests.length];\n"
                    "  http.request(r.method, r.url, r.body, r.params);\n}\n");
    out.notes.emplace_back(
        "with a rate k6 begins requests when they are due and drops those for which no user is free "
        "(dropped_iterations); "
        "without one a user waits for its answer (coordinated omission)");
  } else {
    out.notes.emplace_back(
        "k6 runs the script as it is, with BASE in its environment; its stages are the script's own");
  }
  one.arguments = {"run", "--quiet", "--out", "json=" + one.results, script};
  one.cpus = std::max(1, work.threads);
  out.steps.push_back({0, work.stages.size() - 1, {std::move(one)}});
  return out;
}

}  // namespace

const Tool kK6Tool = {"k6", "k6", "https://k6.io/docs/get-started/installation", {"version"}, true, true, translate};

}  // namespace camprobe::suite
