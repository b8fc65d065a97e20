// suite/tools/locust.cc: one Locust process for the whole load; a shape steps through the stages.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

// JSON is Python but for null, true and false: the data goes in as a JSON text.
std::string script_of(const Work& work) {
  Json requests = Json::array(), stages = Json::array();
  for (const Request& request : in_turn(work.requests)) {
    Json headers = Json::object();
    for (const auto& [name, value] : request.headers) headers[name] = value;
    requests.push_back(
        {{"method", request.method}, {"path", request.path}, {"body", request.body}, {"headers", headers}});
  }
  double at = 0;
  for (const Stage& stage : work.stages) {
    at += stage.duration_s;
    stages.push_back({{"until", at}, {"users", stage.users}, {"rate", stage.rate ? Json(*stage.rate) : Json(nullptr)}});
  }
  return fmt::format(R"(import itertools, json, time
from locust import LoadTestShape, events, task
from locust.contrib.fasthttp import FastHttpUser

REQUESTS = json.loads({})
STAGES = json.loads({})
TURN = itertools.cycle(REQUESTS)
NOW = [STAGES[0]]
# Locust's own tables are flushed every ten seconds and hold no single latencies: a line for each request instead.
LOG = open({}, "w", buffering=1)
LOG.write("timeStamp,elapsed,label,responseCode,success\n")


def note(request_type, name, response_time, failed):
    sent = time.time() * 1000 - response_time
    LOG.write(f"{{sent:.0f}},{{response_time:.0f}},{{request_type}} {{name.split('?')[0]}},{{0 if failed else 200}},{{'false' if failed else 'true'}}\n")


if hasattr(events, "request"):
    events.request.add_listener(lambda request_type, name, response_time, exception=None, **_: note(request_type, name, response_time, exception is not None))
else:  # before version 2
    events.request_success.add_listener(lambda request_type, name, response_time, **_: note(request_type, name, response_time, False))
    events.request_failure.add_listener(lambda request_type, name, response_time, **_: note(request_type, name, response_time, True))


class User(FastHttpUser):
    def wait_time(self):
        """Each user keeps its share of the stage's rate; without a rate it asks as fast as answers come."""
        stage = NOW[0]
        if not stage["rate"] or not stage["users"]:
            return 0
        due = getattr(self, "due", None) or time.monotonic()
        self.due = due + stage["users"] / stage["rate"]
        return max(0, self.due - time.monotonic())

    @task
    def work(self):
        r = next(TURN)
        self.client.request(r["method"], r["path"], data=r["body"] or None, headers=r["headers"])


class Shape(LoadTestShape):
    def tick(self):
        for stage in STAGES:
            if self.get_run_time() < stage["until"]:
                NOW[0] = stage
                return stage["users"], max(1, stage["users"])
        return None
)",
                     Json(requests.dump()).dump(), Json(stages.dump()).dump(),
                     Json(work.directory + "/locust.csv").dump());
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  Invocation one;
  const std::string stem = work.directory + "/locust";
  std::string script = work.file;
  if (script.empty()) {
    script = stem + "file.py";
    one.files.emplace_back(script, script_of(work));
  }
  one.arguments = {"-f",
                   script,
                   "--headless",
                   "--host",
                   work.base,
                   "--csv",
                   stem,
                   "--csv-full-history",
                   "--only-summary",
                   "--stop-timeout",
                   "2",
                   "--exit-code-on-error",
                   "0"};
  if (!work.file.empty() && !work.stages.empty()) {
    double seconds = 0;
    int users = 1;
    for (const Stage& stage : work.stages) {
      seconds += stage.duration_s;
      users = std::max(users, stage.users);
    }
    one.arguments.insert(one.arguments.end(), {"-u", std::to_string(users), "-r", std::to_string(users), "-t",
                                               fmt::format("{:.0f}s", seconds)});
  }
  // Users that are taken away, and those there at the end, are stopped in the middle of a request.
  for (std::size_t i = 0; i < work.stages.size(); ++i)
    one.most_under_way +=
        std::max(0, work.stages[i].users - (i + 1 < work.stages.size() ? work.stages[i + 1].users : 0));
  one.results = work.file.empty() ? stem + ".csv" : stem + "_stats_history.csv";
  out.notes.emplace_back(
      "Locust's user waits for its answer: latencies count from when a request was sent (coordinated omission)");
  if (!work.file.empty())
    out.notes.emplace_back(
        "Locust runs the file as it is; its history gives quantiles of the run so far, no single latencies");
  out.steps.push_back({0, work.stages.size() - 1, {std::move(one)}});
  return out;
}

}  // namespace

const Tool kLocustTool = {"locust", "locust", "apt-get install python3-locust", {"--version"}, true, true, translate};

}  // namespace camprobe::suite
