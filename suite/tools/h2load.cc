// suite/tools/h2load.cc: h2load processes for each stage, with a method and body each, which h2load has but one of.
//
// Where a rate is kept, all users of an h2load process ask at the same moment, again and again: its timers begin when a
// connection does, and all begin at once. A thousand users at 2,000 requests a second are then a thousand requests
// every half a second, and what is measured is the queue they make. So the users are shared among processes that begin
// one after another within the time between two requests of a user. (h2load's own way to connect gradually, -r, ends by
// count instead of by time: a server that cannot keep the rate would be loaded for longer than asked.)
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

constexpr int kUsersAtOnce = 50, kMostProcesses = 20;

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

// One process; `shared` names the files that all processes of a group read, which `writes_shared` has it write.
Invocation invocation(const Work& work, const Group& group, const std::string& stem, const std::string& shared,
                      int users, bool writes_shared) {
  Invocation one;
  if (writes_shared) {
    std::string urls;
    for (const Request& request : in_turn(group.requests)) urls += work.base + request.path + "\n";
    one.files.emplace_back(shared + ".urls", urls);
  }
  const int threads = std::min(work.threads, users);
  one.arguments = {"--h1", "-c", std::to_string(users), "-t", std::to_string(threads), "-i", shared + ".urls"};
  const Request& first = group.requests.front();
  if (first.method == "POST") {
    if (writes_shared) one.files.emplace_back(shared + ".body", first.body);
    one.arguments.insert(one.arguments.end(), {"-d", shared + ".body"});
  } else if (first.method == "HEAD") {
    one.arguments.insert(one.arguments.end(), {"-H", ":method: HEAD"});
  }
  for (const auto& [name, value] : first.headers)
    one.arguments.insert(one.arguments.end(), {"-H", name + ": " + value});
  one.results = stem + ".tsv";
  one.arguments.push_back("--log-file=" + one.results);
  one.cpus = threads;
  return one;
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  int most_processes = 1;
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
      const double rate = stage.rate.value_or(0) * share;
      const int processes = rate > 0 ? std::clamp((users + kUsersAtOnce - 1) / kUsersAtOnce, 1, kMostProcesses) : 1;
      most_processes = std::max(most_processes, processes);
      const std::string stem = fmt::format("{}/h2load-{}-{}", work.directory, i + 1, g + 1);
      for (int p = 0; p < processes; ++p) {
        const int own = users * (p + 1) / processes - users * p / processes;
        Invocation one = invocation(work, group, p == 0 ? stem : fmt::format("{}-{}", stem, p + 1), stem, own, p == 0);
        one.arguments.insert(one.arguments.end(), {"-D", fmt::format("{:.0f}ms", stage.duration_s * 1000)});
        if (rate > 0) {
          // A fraction of a request a second is held over a longer time by h2load's own timer.
          one.arguments.insert(one.arguments.end(), {"--rps", fmt::format("{:.4f}", rate / users)});
          one.starts_after_s = std::min(users / rate, stage.duration_s) * p / processes;
        }
        step.together.push_back(std::move(one));
      }
    }
    std::stable_sort(step.together.begin(), step.together.end(),
                     [](const auto& a, const auto& b) { return a.starts_after_s < b.starts_after_s; });
    out.steps.push_back(std::move(step));
  }
  if (most_processes > 1)
    out.notes.push_back(fmt::format(
        "all users of an h2load process ask at the same moment: they are shared among up to {} processes, which begin "
        "one after another",
        most_processes));
  return out;
}

}  // namespace

const Tool kH2loadTool = {"h2load", "h2load", "apt-get install nghttp2-client", {"--version"}, false, false, translate};

}  // namespace camprobe::suite
