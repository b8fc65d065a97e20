// suite/scaling_section.cc: throughput over cores or instances, the laws fitted to it, and what grows in the profiles.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "collector/naming/stack_namer.h"
#include "run/reader.h"
#include "run/units.h"
#include "suite/analyses.h"
#include "suite/scaling.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

// Who waits in these has nothing to do: more of it a request is no contention.
bool is_idle(std::string_view call) {
  for (const char* idle : {"epoll", "poll", "ppoll", "select", "pselect", "accept", "nanosleep", "clock_nanosleep",
                           "sig", "rt_sig", "wait", "pause"}) {
    if (call.starts_with(idle)) return true;
  }
  return false;
}

// The function that took a lock: the first that is not the C library's or C++'s own.
std::string who_took(run::Reader& reader, const std::vector<run::FrameId>& frames) {
  for (const run::FrameId id : frames) {
    const std::string& function = reader.frame(id).function;
    const bool is_library = function.starts_with("__") || function.starts_with("std::") ||
                            function.starts_with("pthread_") || function.find("futex") != std::string::npos ||
                            function.starts_with("___pthread") || function == "syscall";
    if (!is_library) return function;
  }
  return reader.frame(frames.front()).function;
}

// Nanoseconds a request: CPU time by leaf function, or waiting by call and by who waits.
std::map<std::string, double> by_function(const std::string& file, bool waiting, double requests) {
  std::map<std::string, double> sums;
  auto reader = naming::open_named(file);
  if (!reader || requests <= 0) return sums;
  if (waiting) {
    reader->each_wait({}, [&](const run::WaitRow& row) {
      const std::string call = reader->name(row.call);
      const auto& frames = reader->stack(row.stack).frames;
      if (is_idle(call) || frames.empty()) return;
      const std::string what = call == "futex" ? "for a lock (futex) of " : "in " + call + " of ";
      sums[what + who_took(*reader, frames)] += row.weight_ns / requests;
    });
    return sums;
  }
  for (const run::StackWeight& stack : reader->cpu()) {
    const auto& frames = reader->stack(stack.stack).frames;
    if (!frames.empty()) sums["in " + reader->frame(frames.front()).function] += stack.weight / requests;
  }
  return sums;
}

std::vector<std::string> what_grows(const Json& few, const Json& many, const std::string& directory) {
  std::vector<std::string> sentences;
  for (const bool waiting : {false, true}) {
    const auto path = [&](const Json& run) { return directory + "/runs/" + run["run"].get<std::string>(); };
    const auto before = by_function(path(few), waiting, few["load"]["requests"]),
               after = by_function(path(many), waiting, many["load"]["requests"]);
    std::vector<std::pair<double, std::string>> grown;
    for (const auto& [function, ns] : after) {
      const auto was = before.find(function);
      grown.emplace_back(ns - (was == before.end() ? 0 : was->second), function);
    }
    std::sort(grown.rbegin(), grown.rend());
    if (waiting && (grown.empty() || grown.front().first <= 1000))
      sentences.emplace_back(
          "waiting for locks or I/O did not grow by more than 1 us a request in any function: what is "
          "shared is outside these programs, such as the processors");
    for (std::size_t i = 0; i < std::min<std::size_t>(3, grown.size()) && grown[i].first > 1000; ++i)
      sentences.push_back(fmt::format("{} a request grew by {} {}", waiting ? "waiting" : "CPU time",
                                      run::in_unit(grown[i].first, "ns"), grown[i].second));
  }
  return sentences;
}

Json points_json(const std::vector<ScalePoint>& points) {
  Json list = Json::array();
  for (const ScalePoint& point : points) list.push_back({point.n, point.throughput});
  return list;
}

Json curve(const ScaleFit& fit, double to) {
  Json list = Json::array();
  for (int i = 0; i <= 30; ++i) {
    const double n = 1 + (to - 1) * i / 30;
    list.push_back({n, fit.at(n)});
  }
  return list;
}

}  // namespace

Json scaling_section(const Json& runs, const std::string& directory) {
  const std::string key =
      std::any_of(runs.begin(), runs.end(), [](const Json& run) { return run["cores"].is_number(); }) ? "cores"
      : std::any_of(runs.begin(), runs.end(), [](const Json& run) { return run["instances"].is_number(); })
          ? "instances"
          : "";
  if (key.empty()) return nullptr;
  std::vector<ScalePoint> points, latencies;
  const Json *few = nullptr, *many = nullptr;
  Json rows = Json::array();
  for (const Json& run : runs) {
    if (!run[key].is_number() || run["state"] != "complete") continue;
    const Json& load = run["load"];
    points.push_back({run[key].get<double>(), load["throughput_rps"].get<double>()});
    if (load["latency_ms"].is_object() && load["latency_ms"]["p95"].is_number())
      latencies.push_back({points.back().n, load["latency_ms"]["p95"].get<double>()});
    rows.push_back({run["name"], fmt::format("{}", run[key].get<int>()),
                    run::in_unit(points.back().throughput, "per second"),
                    latencies.empty() ? "-" : run::in_unit(latencies.back().throughput, "ms"),
                    run["generator"]["was_bottleneck"] == true ? "yes" : "no"});
    if (run["run"].is_string()) {
      if (few == nullptr || run[key] < (*few)[key]) few = &run;
      if (many == nullptr || run[key] > (*many)[key]) many = &run;
    }
  }
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.n < b.n; });
  std::sort(latencies.begin(), latencies.end(), [](const auto& a, const auto& b) { return a.n < b.n; });
  Json text = Json::array(), lines = Json::array({{{"name", "measured"}, {"points", points_json(points)}}});
  Json data{{"by", key}, {"points", points_json(points)}, {"usl", nullptr}, {"amdahl", nullptr}};
  const double most = points.empty() ? 1 : points.back().n;
  if (const auto fit = fit_usl(points)) {
    text.push_back(
        fmt::format("Universal Scalability Law: contention {:.4f} [{:.4f}, {:.4f}], coherency {:.5f} [{:.5f}, {:.5f}], "
                    "{:.0f} requests/s for one (R2 {:.3f}).",
                    fit->contention, fit->contention_low, fit->contention_high, fit->coherency, fit->coherency_low,
                    fit->coherency_high, fit->single, fit->r_squared));
    if (fit->contention >= 1)
      text.push_back(
          fmt::format("A contention of one or more says that each of more {} takes from the others as much as "
                      "it brings, or more: they share what one alone uses up.",
                      key));
    if (fit->peak_at)
      text.push_back(
          fmt::format("By that law throughput is highest at {:.1f} {} and falls beyond.", *fit->peak_at, key));
    text.push_back(
        fmt::format("Forecast, not measured: {:.0f} requests/s at {:.0f} {}.", fit->at(2 * most), 2 * most, key));
    lines.push_back({{"name", "USL (beyond the points: forecast)"}, {"points", curve(*fit, 2 * most)}});
    data["usl"] = {{"contention", fit->contention},
                   {"coherency", fit->coherency},
                   {"single_rps", fit->single},
                   {"r_squared", fit->r_squared}};
  } else {
    text.push_back(
        fmt::format("The Universal Scalability Law has three terms and needs at least four different numbers of {}: it "
                    "is not fitted here.",
                    key));
  }
  if (const auto fit = fit_amdahl(points)) {
    std::string sentence = fmt::format("Amdahl's law: contention {:.4f} [{:.4f}, {:.4f}]", fit->contention,
                                       fit->contention_low, fit->contention_high);
    if (fit->contention >= 1)
      sentence += ", which is more than there can be: throughput falls, and this law has no term for that";
    else
      sentence += fmt::format(", so at most {} times one",
                              fit->contention > 0 ? fmt::format("{:.1f}", 1 / fit->contention) : "any number of");
    text.push_back(sentence + fmt::format(" (R2 {:.3f}).", fit->r_squared));
    lines.push_back({{"name", "Amdahl"}, {"points", curve(*fit, 2 * most)}});
    data["amdahl"] = {{"contention", fit->contention}, {"single_rps", fit->single}, {"r_squared", fit->r_squared}};
  } else {
    text.push_back(fmt::format("Amdahl's law has two terms and needs at least three different numbers of {}.", key));
  }
  if (few != nullptr && many != nullptr && few != many) {
    for (const std::string& sentence : what_grows(*few, *many, directory))
      text.push_back(
          fmt::format("From {} to {} {}: {}.", (*few)[key].get<int>(), (*many)[key].get<int>(), key, sentence));
  }
  Json charts = Json::array({{{"title", "Throughput"}, {"x", key}, {"y", "requests/s"}, {"lines", lines}},
                             {{"title", "Latency"},
                              {"x", key},
                              {"y", "p95, ms"},
                              {"lines", {{{"name", "p95"}, {"points", points_json(latencies)}}}}}});
  return Json{{"title", "How it scales"},
              {"headline", nullptr},
              {"text", text},
              {"table", {{"head", {"run", key, "throughput", "p95", "generator was the limit"}}, {"rows", rows}}},
              {"charts", charts},
              {"data", data}};
}

}  // namespace camprobe::suite
