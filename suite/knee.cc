// suite/knee.cc
//
// More and more users, as fast as answers come: where does it stop paying? The knee is where throughput over p95
// latency, Kleinrock's power (ICC 1979), is highest: beyond it users only wait for each other. What ran out there is
// looked for among what was measured in the first phase beyond it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "run/units.h"
#include "suite/analyses.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

double number(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0;
}

std::string what_ran_out(const Suite& suite, const Json& run, const Json& phase) {
  const double cpus =
      run["cores"].is_number() ? run["cores"].get<double>() : static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  const double machine = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  const double target = number(phase, "cpu_average_cores"), generator = number(phase, "generator_cpus"),
               capacity = number(run["generator"], "capacity_cpus");
  if (capacity > 0 && generator > 0.85 * capacity)
    return fmt::format("the load generator's CPU ({:.2f} of the {:.0f} it can use): the server's own knee lies beyond",
                       generator, capacity);
  if (target > 0.85 * cpus) return fmt::format("the target's CPU ({:.2f} of {:.0f} cores)", target, cpus);
  if (suite.target.limits.open_files &&
      number(phase, "fds_peak") > 0.9 * static_cast<double>(*suite.target.limits.open_files))
    return fmt::format("descriptors ({:.0f} of {})", number(phase, "fds_peak"), *suite.target.limits.open_files);
  if (suite.target.limits.memory_bytes &&
      number(phase, "rss_peak_bytes") > 0.9 * static_cast<double>(*suite.target.limits.memory_bytes))
    return fmt::format("memory ({} of {})", run::in_bytes(number(phase, "rss_peak_bytes")),
                       run::in_bytes(static_cast<double>(*suite.target.limits.memory_bytes)));
  if (machine > 0 && number(phase, "machine_cpus") > 0.9 * machine)
    return fmt::format(
        "the machine's CPU ({:.2f} of {:.0f}; the target took {:.2f}, the load generator {:.2f}, the rest others such "
        "as the providers)",
        number(phase, "machine_cpus"), machine, target, generator);
  for (const Json& found : run["diagnosis"]) {
    if (found["cause"] == "pool size" || found["cause"] == "provider time")
      return found["cause"].get<std::string>() + " (" + found["evidence"][0].get<std::string>() + ")";
  }
  return "nothing that was measured: CPU, descriptors and memory had room";
}

}  // namespace

Json knee_section(const Suite& suite, const Json& runs) {
  constexpr std::size_t kFewest = 4;
  Json text = Json::array(), rows = Json::array(), charts = Json::array(), data = Json::array();
  std::string headline;
  for (const Json& run : runs) {
    std::vector<const Json*> steps;
    for (const Json& phase : run["phases"]) {
      if (phase["kind"] != "steady" || !phase["asked_rps"].is_null() || number(phase, "throughput_rps") <= 0 ||
          number(phase, "latency_p95_ms") <= 0)
        continue;
      if (steps.empty() || number(phase, "users") > number(*steps.back(), "users")) steps.push_back(&phase);
    }
    if (steps.size() < kFewest) continue;
    std::size_t knee = 0, most = 0;
    const auto power = [&](std::size_t i) {
      return number(*steps[i], "throughput_rps") / number(*steps[i], "latency_p95_ms");
    };
    Json rate = Json::array(), p95 = Json::array();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (power(i) > power(knee)) knee = i;
      if (number(*steps[i], "throughput_rps") > number(*steps[most], "throughput_rps")) most = i;
      rate.push_back({number(*steps[i], "users"), number(*steps[i], "throughput_rps")});
      p95.push_back({number(*steps[i], "users"), number(*steps[i], "latency_p95_ms")});
      rows.push_back({run["name"], fmt::format("{:.0f}", number(*steps[i], "users")),
                      run::in_unit(number(*steps[i], "throughput_rps"), "per second"),
                      run::in_unit(number(*steps[i], "latency_p95_ms"), "ms"),
                      fmt::format("{:.0f}", number(*steps[i], "errors")), fmt::format("{:.1f}", power(i))});
    }
    const Json& last = *steps.back();
    const std::string name = run["name"];
    if (knee + 1 == steps.size()) {
      text.push_back(fmt::format("{}: no knee up to {:.0f} users: throughput over latency still rises.", name,
                                 number(last, "users")));
    } else {
      const std::string resource = what_ran_out(suite, run, *steps[knee + 1]);
      text.push_back(fmt::format("{}: the knee is at {:.0f} users ({}, p95 {}). What ran out: {}.", name,
                                 number(*steps[knee], "users"),
                                 run::in_unit(number(*steps[knee], "throughput_rps"), "per second"),
                                 run::in_unit(number(*steps[knee], "latency_p95_ms"), "ms"), resource));
      headline = fmt::format("The knee is at {:.0f} users; what ran out: {}.", number(*steps[knee], "users"), resource);
      data.push_back({{"run", name}, {"users", number(*steps[knee], "users")}, {"resource", resource}});
    }
    const double kept = number(last, "throughput_rps") / number(*steps[most], "throughput_rps"),
                 failing = number(last, "errors") / std::max(1.0, number(last, "requests"));
    text.push_back(fmt::format(
        "{}: at {:.0f} users it still carries {:.0f} % of its highest throughput, with {:.3g} % errors: it degrades "
        "{}.",
        name, number(last, "users"), 100 * kept, 100 * failing, kept > 0.8 && failing < 0.01 ? "gracefully" : "badly"));
    charts.push_back({{"title", "Throughput of " + name},
                      {"x", "users"},
                      {"y", "requests/s"},
                      {"lines", {{{"name", "requests/s"}, {"points", rate}}}}});
    charts.push_back({{"title", "Latency of " + name},
                      {"x", "users"},
                      {"y", "ms"},
                      {"lines", {{{"name", "p95"}, {"points", p95}}}}});
  }
  if (rows.empty()) return nullptr;
  return Json{{"title", "Where it stops paying"},
              {"headline", headline.empty() ? Json(nullptr) : Json(headline)},
              {"text", text},
              {"table", {{"head", {"run", "users", "throughput", "p95", "errors", "power"}}, {"rows", rows}}},
              {"charts", charts},
              {"data", data}};
}

}  // namespace camprobe::suite
