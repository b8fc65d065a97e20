// suite/tools/wrk.cc: one wrk process a stage; a Lua script takes the requests in turn.
#include <fmt/format.h>

#include <algorithm>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

// A Lua string: every byte that is not plain becomes \ddd.
std::string lua(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte > 126 || c == '"' || c == '\\')
      out += fmt::format("\\{:03}", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string script_of(const Work& work) {
  std::string text = "-- The suite's requests, in turn.\nlocal list = {\n";
  for (const Request& request : in_turn(work.requests)) {
    text += fmt::format("  {{{}, {}, {{", lua(request.method), lua(request.path));
    for (const auto& [name, value] : request.headers) text += fmt::format("[{}] = {}, ", lua(name), lua(value));
    text += fmt::format("}}, {}}},\n", request.body.empty() ? "nil" : lua(request.body));
  }
  return text +
         "}\nlocal i = 0\nfunction request()\n  i = i % #list + 1\n  local r = list[i]\n"
         "  return wrk.format(r[1], r[2], r[3], r[4])\nend\n";
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  for (std::size_t i = 0; i < work.stages.size(); ++i) {
    const Stage& stage = work.stages[i];
    if (stage.rate)
      return run::Error{
          fmt::format("wrk cannot keep a rate (phase {}); leave rate out, or choose h2load or vegeta", stage.phase)};
    Step step{i, i, {}};
    if (stage.users > 0) {
      Invocation one;
      const std::string stem = fmt::format("{}/wrk-{}", work.directory, i + 1);
      const int threads = std::min(work.threads, stage.users);
      one.files.emplace_back(stem + ".lua", script_of(work));
      one.arguments = {"-t",          std::to_string(threads),
                       "-c",          std::to_string(std::max(stage.users, threads)),
                       "-d",          fmt::format("{:.0f}s", std::max(1.0, stage.duration_s)),
                       "--latency",   "-s",
                       stem + ".lua", work.base};
      one.results = stem + ".txt";
      one.results_are_stdout = true;
      one.cpus = threads;
      one.most_under_way = stage.users;
      step.together.push_back(std::move(one));
    }
    out.steps.push_back(std::move(step));
  }
  out.notes.emplace_back("wrk gives quantiles of each stage and no p95, no single latencies and nothing by the second");
  out.notes.emplace_back(
      "wrk waits for an answer before a connection's next request: latencies count from when it was sent (coordinated "
      "omission)");
  return out;
}

}  // namespace

const Tool kWrkTool = {"wrk", "wrk", "apt-get install wrk", {"--version"}, false, false, translate};

}  // namespace camprobe::suite
