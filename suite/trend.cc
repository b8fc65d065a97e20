// suite/trend.cc: past runs of the same suite, from the directories beside this one.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "run/units.h"
#include "suite/analyses.h"
#include "suite/report.h"

namespace camprobe::suite {

nlohmann::ordered_json trend_section(const nlohmann::ordered_json& report, const std::string& directory) {
  using Json = nlohmann::ordered_json;
  namespace fs = std::filesystem;
  struct Past {
    std::string at;
    double p95 = 0, rps = 0;
  };
  std::vector<Past> list;
  const auto add = [&](const Json& other) {
    for (const Json& run : other["runs"]) {
      if (run["variant"] != "" || !run["load"]["latency_ms"].is_object() ||
          !run["load"]["latency_ms"]["p95"].is_number())
        continue;
      list.push_back({other["started_at"], run["load"]["latency_ms"]["p95"], run["load"]["throughput_rps"]});
      return;
    }
  };
  std::error_code none;
  const fs::path here = fs::absolute(directory, none).lexically_normal();
  for (const auto& entry : fs::directory_iterator(here.parent_path(), none)) {
    if (!entry.is_directory(none) || fs::equivalent(entry.path(), here, none) ||
        !fs::exists(entry.path() / "report.json", none))
      continue;
    const auto other = read_report(entry.path());
    if (other && (*other)["suite"] == report["suite"] && (*other)["time_scale"] == report["time_scale"] &&
        (*other)["overrides"] == report["overrides"])
      add(*other);
  }
  if (list.empty()) return nullptr;
  add(report);
  std::sort(list.begin(), list.end(), [](const Past& a, const Past& b) { return a.at < b.at; });
  Json rows = Json::array(), p95 = Json::array(), rps = Json::array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    rows.push_back({list[i].at, run::in_unit(list[i].rps, "per second"), run::in_unit(list[i].p95, "ms")});
    p95.push_back({i + 1, list[i].p95});
    rps.push_back({i + 1, list[i].rps});
  }
  return Json{{"title", "Past runs of this suite"},
              {"headline", nullptr},
              {"text",
               {"Figures of single runs, side by side; whether one is a regression is camprobe compare's to say, with "
                "the runs' own errors."}},
              {"table", {{"head", {"started", "throughput", "p95"}}, {"rows", rows}}},
              {"charts",
               {{{"title", "p95"}, {"x", "run"}, {"y", "ms"}, {"lines", {{{"name", "p95"}, {"points", p95}}}}},
                {{"title", "Throughput"},
                 {"x", "run"},
                 {"y", "requests/s"},
                 {"lines", {{{"name", "requests/s"}, {"points", rps}}}}}}}};
}

}  // namespace camprobe::suite
