// suite/trend.cc: past runs of the same suite, from the directories beside this one: how its figures went, and what
// became worse since the newest of them.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "collector/compare/baseline.h"
#include "collector/compare/compare.h"
#include "run/units.h"
#include "suite/analyses.h"
#include "suite/report.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Past {
  std::string directory;
  Json report;
};

// The target's own runs that ended well; of several numbers of cores or instances those of the first run's.
std::vector<const Json*> target_runs(const Json& report) {
  std::vector<const Json*> list;
  for (const Json& run : report["runs"]) {
    if (run["variant"] != "" || (run["state"] != "complete" && run["state"] != "decided")) continue;
    list.push_back(&run);
  }
  std::sort(list.begin(), list.end(), [](const Json* a, const Json* b) { return (*a)["name"] < (*b)["name"]; });
  if (!list.empty()) {
    const Json &cores = (*list.front())["cores"], &instances = (*list.front())["instances"];
    std::erase_if(list, [&](const Json* run) { return (*run)["cores"] != cores || (*run)["instances"] != instances; });
  }
  return list;
}

// Of the same suite, asked for in the same way, begun earlier; oldest first.
std::vector<Past> past_runs(const Json& report, const std::string& directory) {
  std::vector<Past> list;
  std::error_code none;
  const fs::path here = fs::absolute(directory, none).lexically_normal();
  const fs::path parent = here.has_filename() ? here.parent_path() : here.parent_path().parent_path();
  for (const auto& entry : fs::directory_iterator(parent, none)) {
    if (!entry.is_directory(none) || fs::equivalent(entry.path(), here, none) ||
        !fs::exists(entry.path() / "report.json", none))
      continue;
    auto other = read_report(entry.path());
    if (other && (*other)["suite"] == report["suite"] && (*other)["time_scale"] == report["time_scale"] &&
        (*other)["overrides"] == report["overrides"] && (*other)["started_at"] < report["started_at"] &&
        !target_runs(*other).empty())
      list.push_back({entry.path(), std::move(*other)});
  }
  std::sort(list.begin(), list.end(),
            [](const Past& a, const Past& b) { return a.report["started_at"] < b.report["started_at"]; });
  return list;
}

// Of the target's repeats.
std::optional<double> mean_of(const Json& report, const std::function<Json(const Json&)>& value) {
  double sum = 0, n = 0;
  for (const Json* run : target_runs(report)) {
    const Json found = value(*run);
    if (!found.is_number()) continue;
    sum += found.get<double>();
    ++n;
  }
  return n > 0 ? std::optional(sum / n) : std::nullopt;
}

run::Result<std::vector<compare::RunSummary>> summaries_of(const Json& report, const std::string& directory) {
  std::vector<compare::RunSummary> list;
  for (const Json* run : target_runs(report)) {
    if (!(*run)["run"].is_string()) continue;
    auto side = compare::load_side(directory + "/runs/" + (*run)["run"].get<std::string>());
    if (!side) return side;
    for (compare::RunSummary& one : *side) list.push_back(std::move(one));
  }
  if (list.empty()) return run::Error{"nothing was recorded"};
  return list;
}

std::string changed(const run::ComparedFigure& figure) {
  if (!figure.change) return figure.why.empty() ? "-" : figure.why;
  const auto shown = [&](double value) {
    return fmt::format("{}{}", value > 0 ? "+" : "", run::in_unit(value, figure.is_ratio ? "ratio" : figure.unit));
  };
  return fmt::format("{} [{}, {}]", shown(figure.change->value), shown(figure.change->low), shown(figure.change->high));
}

}  // namespace

Json trend_section(const Json& report, const std::string& directory) {
  const std::vector<Past> past = past_runs(report, directory);
  if (past.empty() || target_runs(report).empty()) return nullptr;
  struct Column {
    const char *name, *unit, *axis;
    std::function<Json(const Json&)> value;
  };
  const auto in = [](const char* part, const char* key) {
    return [part, key](const Json& run) {
      return run.contains(part) && run[part].is_object() && run[part].contains(key) ? run[part][key] : Json(nullptr);
    };
  };
  const Column columns[] = {
      {"throughput", "per second", "requests/s", [](const Json& run) { return measured_load(run)["throughput_rps"]; }},
      {"p95", "ms", "ms",
       [](const Json& run) {
         const Json& latency = measured_load(run)["latency_ms"];
         return latency.is_object() ? latency["p95"] : Json(nullptr);
       }},
      {"errors", "ratio", "share", in("load", "error_rate")},
      {"CPU per request", "ms", "ms", in("metrics", "cpu_per_request_ms")},
      {"memory peak", "bytes", "bytes", in("metrics", "rss_peak_bytes")}};
  std::vector<const Json*> reports;
  for (const Past& one : past) reports.push_back(&one.report);
  reports.push_back(&report);
  Json rows = Json::array(), head = Json::array({"started"}), charts = Json::array();
  for (const Json* one : reports) rows.push_back(Json::array({(*one)["started_at"]}));
  for (const Column& column : columns) {
    head.push_back(column.name);
    Json points = Json::array();
    for (std::size_t i = 0; i < reports.size(); ++i) {
      const auto value = mean_of(*reports[i], column.value);
      rows[i].push_back(value ? run::in_unit(*value, column.unit) : "-");
      if (value) points.push_back({i + 1, *value});
    }
    charts.push_back({{"title", std::string(column.name) + " over past runs"},
                      {"x", "run"},
                      {"y", column.axis},
                      {"lines", {{{"name", column.name}, {"points", points}}}}});
  }
  return Json{{"title", "Past runs of this suite"},
              {"headline", nullptr},
              {"text", {"Means of each run's repeats, without warm-up and ramps, oldest first."}},
              {"table", {{"head", head}, {"rows", rows}}},
              {"charts", charts}};
}

Json regression_section(const Json& report, const std::string& directory) {
  const std::vector<Past> past = past_runs(report, directory);
  if (past.empty()) return nullptr;
  const auto base = summaries_of(past.back().report, past.back().directory), now = summaries_of(report, directory);
  if (!base || !now) return nullptr;
  const run::Comparison comparison = compare::compare(*base, *now);
  Json rows = Json::array(), data = Json::array();
  for (const run::ComparedFigure& figure : comparison.figures) {
    if (!figure.endpoint.empty()) continue;
    const auto shown = [&](const std::optional<run::Estimate>& side) {
      return side ? run::in_unit(side->value, figure.unit) : std::string("-");
    };
    rows.push_back({figure.metric, shown(figure.base), shown(figure.other), changed(figure), figure.verdict});
    data.push_back({{"metric", figure.metric}, {"verdict", figure.verdict}});
    if (figure.change)
      data.back().update({{"change", figure.change->value},
                          {"low", figure.change->low},
                          {"high", figure.change->high},
                          {"is_ratio", figure.is_ratio}});
  }
  const std::string when = past.back().report["started_at"];
  return Json{
      {"title", "Beside the run before: regressions"},
      {"headline", comparison.verdict == "worse"
                       ? Json(fmt::format("Worse than the run of {}: {}", when, comparison.summary))
                       : Json(nullptr)},
      {"text",
       {fmt::format("Since the run of {} it is: {}. {} {}", when, comparison.verdict, comparison.summary,
                    comparison.load),
        "Changes with 95 % intervals. Same: the whole interval is within the smallest change that counts; worse and "
        "better: the whole interval is beyond it (docs/comparing.md). Several repeats a run tell more."}},
      {"table", {{"head", {"figure", "before", "now", "change", "verdict"}}, {"rows", rows}}},
      {"data", {{"verdict", comparison.verdict}, {"base", when}, {"figures", data}}}};
}

}  // namespace camprobe::suite
