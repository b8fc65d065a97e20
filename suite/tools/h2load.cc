// suite/tools/h2load.cc: one h2load process a stage; a second beside it for each other body, which h2load has but one
// of.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

struct Group {
  std::vector<Request> requests;  // of one body and the same headers
  double weight = 0;
};

std::vector<Group> groups_of(const std::vector<Request>& requests) {
  std::vector<Group> groups;
  for (const Request& request : requests) {
    const auto fits = [&](const Group& group) {
      const Request& first = group.requests.front();
      return first.method == request.method && first.body == request.body && first.headers == request.headers;
    };
    auto group = std::find_if(groups.begin(), groups.end(), fits);
    if (group == groups.end()) group = groups.insert(groups.end(), Group{});
    group->requests.push_back(request);
    group->weight += request.weight;
  }
  return groups;
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  const std::vector<Group> groups = groups_of(work.requests);
  double weights = 0;
  for (const Group& group : groups) {
    weights += group.weight;
    const std::string& method = group.requests.front().method;
    if (method != "GET" && method != "POST" && method != "HEAD")
      return run::Error{fmt::format("h2load sends GET, HEAD and POST, no {}; choose another tool", method)};
  }
  if (groups.size() > 1)
    out.notes.push_back(fmt::format(
        "h2load has one method and body a process: {} processes share the users by the requests' weights, so a closed "
        "loop keeps the shares of users, not of requests",
        groups.size()));
  out.notes.push_back(
      "h2load waits for an answer before the same user's next request, so latencies count from when a request was "
      "sent: what it sent late is not in them (coordinated omission)");
  for (std::size_t i = 0; i < work.stages.size(); ++i) {
    const Stage& stage = work.stages[i];
    Step step{i, i, {}};
    int left = stage.users;
    for (std::size_t g = 0; g < groups.size() && stage.users > 0; ++g) {
      const Group& group = groups[g];
      const double share = group.weight / weights;
      const bool is_last = g + 1 == groups.size();
      const int users = is_last
                            ? std::max(1, left)
                            : std::clamp(static_cast<int>(std::lround(share * stage.users)), 1, std::max(1, left - 1));
      left -= users;
      Invocation one;
      const std::string stem = fmt::format("{}/h2load-{}-{}", work.directory, i + 1, g + 1);
      std::string urls;
      for (const Request& request : in_turn(group.requests)) urls += work.base + request.path + "\n";
      one.files.emplace_back(stem + ".urls", urls);
      const int threads = std::min(work.threads, users);
      one.arguments = {"--h1",
                       "-c",
                       std::to_string(users),
                       "-t",
                       std::to_string(threads),
                       "-D",
                       fmt::format("{:.0f}ms", stage.duration_s * 1000),
                       "-i",
                       stem + ".urls"};
      if (stage.rate) {
        // A fraction of a request a second is held over a longer time by h2load's own timer.
        one.arguments.insert(one.arguments.end(), {"--rps", fmt::format("{:.4f}", *stage.rate * share / users)});
      }
      const Request& first = group.requests.front();
      if (first.method == "POST") {
        one.files.emplace_back(stem + ".body", first.body);
        one.arguments.insert(one.arguments.end(), {"-d", stem + ".body"});
      } else if (first.method == "HEAD") {
        one.arguments.insert(one.arguments.end(), {"-H", ":method: HEAD"});
      }
      for (const auto& [name, value] : first.headers)
        one.arguments.insert(one.arguments.end(), {"-H", name + ": " + value});
      one.results = stem + ".tsv";
      one.arguments.push_back("--log-file=" + one.results);
      one.cpus = threads;
      step.together.push_back(std::move(one));
    }
    out.steps.push_back(std::move(step));
  }
  return out;
}

}  // namespace

const Tool kH2loadTool = {"h2load", "h2load", "apt-get install nghttp2-client", "--version", false, false, translate};

}  // namespace camprobe::suite
