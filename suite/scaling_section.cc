// suite/scaling_section.cc: throughput over cores or instances, the laws fitted to it, and what grows in the profiles.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

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

// Of a function, in all runs of one number: nanoseconds, and by how many samples they are known.
struct Spent {
  double ns = 0, samples = 0;
};

// CPU time by leaf function, or waiting by call and by who waits.
void add_by_function(const std::string& file, bool waiting, std::map<std::string, Spent>& sums) {
  auto reader = naming::open_named(file);
  if (!reader) return;
  const auto add = [&](const std::string& what, double ns, std::int64_t samples) {
    sums[what].ns += ns;
    sums[what].samples += static_cast<double>(samples);
  };
  if (waiting) {
    reader->each_wait({}, [&](const run::WaitRow& row) {
      const std::string call = reader->name(row.call);
      const auto& frames = reader->stack(row.stack).frames;
      if (is_idle(call) || frames.empty()) return;
      const std::string what = call == "futex" ? "for a lock (futex) of " : "in " + call + " of ";
      add(what + who_took(*reader, frames), row.weight_ns, row.samples);
    });
    return;
  }
  for (const run::StackWeight& stack : reader->cpu()) {
    const auto& frames = reader->stack(stack.stack).frames;
    if (!frames.empty()) add("in " + reader->frame(frames.front()).function, stack.weight, stack.samples);
  }
}

// Of the runs of the lowest number beside those of the highest. Samples are counted: what grew by less than three
// standard errors of a count (Poisson) may be chance, and is not named.
std::vector<std::string> what_grows(const std::vector<const Json*>& few, const std::vector<const Json*>& many,
                                    const std::string& directory) {
  constexpr double kSure = 3, kLeast = 1000;  // standard errors, ns a request
  std::vector<std::string> sentences;
  for (const bool waiting : {false, true}) {
    std::map<std::string, Spent> before, after;
    double before_requests = 0, after_requests = 0;
    for (const auto& [runs, sums, requests] :
         {std::tuple{&few, &before, &before_requests}, {&many, &after, &after_requests}}) {
      for (const Json* run : *runs) {
        *requests += (*run)["load"]["requests"].get<double>();
        add_by_function(directory + "/runs/" + (*run)["run"].get<std::string>(), waiting, *sums);
      }
    }
    if (before_requests <= 0 || after_requests <= 0) continue;
    std::vector<std::pair<double, std::string>> grown;
    for (const auto& [function, now] : after) {
      const Spent was = before.contains(function) ? before.at(function) : Spent{};
      const double more = now.ns / after_requests - was.ns / before_requests;
      // A sum of n samples of w each has the standard error w sqrt(n); none seen is known no better than one.
      const double weight = now.ns / std::max(1.0, now.samples);
      const double error = std::hypot(weight * std::sqrt(now.samples) / after_requests,
                                      weight * std::sqrt(std::max(1.0, was.samples)) / before_requests);
      if (more > kLeast && more > kSure * error) grown.emplace_back(more, function);
    }
    std::sort(grown.rbegin(), grown.rend());
    if (grown.empty())
      sentences.emplace_back(waiting ? "waiting for locks or I/O a request grew in no function by more than 1 us and "
                                       "than chance: what is shared is outside these programs, such as the processors"
                                     : "CPU time a request grew in no function by more than 1 us and than chance");
    for (std::size_t i = 0; i < std::min<std::size_t>(3, grown.size()); ++i)
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
  std::vector<const Json*> few, many;  // recorded runs of the lowest number, and of the highest
  std::vector<const Json*> counted;
  for (const Json& run : runs) {
    if (run[key].is_number() && run["state"] == "complete") counted.push_back(&run);
  }
  std::stable_sort(counted.begin(), counted.end(),
                   [&](const Json* a, const Json* b) { return (*a)[key].get<int>() < (*b)[key].get<int>(); });
  Json rows = Json::array();
  for (const Json* one : counted) {
    const Json& run = *one;
    const Json& load = measured_load(run);
    points.push_back({run[key].get<double>(), load["throughput_rps"].get<double>()});
    const bool has_p95 = load["latency_ms"].is_object() && load["latency_ms"]["p95"].is_number();
    if (has_p95) latencies.push_back({points.back().n, load["latency_ms"]["p95"].get<double>()});
    rows.push_back({run["name"], fmt::format("{}", run[key].get<int>()),
                    run::in_unit(points.back().throughput, "per second"),
                    has_p95 ? run::in_unit(latencies.back().throughput, "ms") : "-",
                    run["generator"]["was_bottleneck"] == true ? "yes" : "no"});
    if (!run["run"].is_string()) continue;
    if (few.empty() || run[key] == (*few.front())[key]) few.push_back(&run);
    if (!many.empty() && run[key] != (*many.front())[key]) many.clear();
    many.push_back(&run);
  }
  Json text = Json::array({"Throughput and latency without warm-up and ramps."}),
       lines = Json::array({{{"name", "measured"}, {"points", points_json(points)}, {"points_only", true}}});
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
                   {"contention_low", fit->contention_low},
                   {"contention_high", fit->contention_high},
                   {"coherency", fit->coherency},
                   {"coherency_low", fit->coherency_low},
                   {"coherency_high", fit->coherency_high},
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
    data["amdahl"] = {{"contention", fit->contention},
                      {"contention_low", fit->contention_low},
                      {"contention_high", fit->contention_high},
                      {"single_rps", fit->single},
                      {"r_squared", fit->r_squared}};
  } else {
    text.push_back(fmt::format("Amdahl's law has two terms and needs at least three different numbers of {}.", key));
  }
  if (!few.empty() && (*few.front())[key] != (*many.front())[key]) {
    for (const std::string& sentence : what_grows(few, many, directory))
      text.push_back(fmt::format("From {} to {} {}: {}.", (*few.front())[key].get<int>(),
                                 (*many.front())[key].get<int>(), key, sentence));
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
