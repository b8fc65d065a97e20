// suite/comparison.cc: the target beside each baseline under the same load, from interleaved repeats.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "run/units.h"
#include "suite/analyses.h"
#include "suite/effect.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;
constexpr double kSmallest = 0.05;  // less of a difference is none

struct Compared {
  std::string name, unit;
  bool higher_is_better = false;
};

// A run's value of a metric; nothing where it did not end well.
std::optional<double> value_of(const Json& run, const std::string& name) {
  if (run["state"] != "complete" && run["state"] != "decided") return std::nullopt;
  const Json& load = measured_load(run);
  Json found;
  if (name == "throughput_rps")
    found = load["throughput_rps"];
  else if (name == "error_rate")
    found = run["load"]["error_rate"];  // as clients saw it, warm-up and all
  else if (name.starts_with("latency_") && load["latency_ms"].is_object())
    found = load["latency_ms"].value(name.substr(8, 3), Json(nullptr));
  else if (run["figures"].contains(name))
    found = run["figures"][name];
  return found.is_number() ? std::optional(found.get<double>()) : std::nullopt;
}

std::string in_words(double value, const std::string& unit) {
  return unit.empty() ? fmt::format("{:.4g}", value) : run::in_unit(value, unit);
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// `low` and `high` of the target less the baseline, on a scale on which `smallest` and less is no difference.
std::string verdict_of(double low, double high, double smallest, bool higher_is_better) {
  if (low > -smallest && high < smallest) return "same";
  if (low > 0) return higher_is_better ? "better" : "worse";
  if (high < 0) return higher_is_better ? "worse" : "better";
  return "cannot tell";
}

struct Judged {
  std::string difference = "-", g = "-", verdict = "cannot tell";
  Json data = Json::object();
};

// As a ratio; a figure that is zero somewhere, such as a share of errors, as a difference.
Judged judged(const std::vector<double>& ours, const std::vector<double>& theirs, const std::string& unit,
              bool higher_is_better) {
  Judged out;
  if (const auto effect = effect_of(ours, theirs)) {
    out.difference = fmt::format("x {:.3f} [{:.3f}, {:.3f}]", effect->ratio, effect->low, effect->high);
    if (effect->low < effect->high) out.g = fmt::format("{:.1f}", effect->hedges_g);  // else all runs were alike
    out.verdict = verdict_of(effect->low - 1, effect->high - 1, kSmallest, higher_is_better);
    out.data = {{"ratio", effect->ratio}, {"low", effect->low}, {"high", effect->high}, {"hedges_g", effect->hedges_g}};
  } else if (const auto difference = difference_of(ours, theirs)) {
    const auto shown = [&](double value) { return (value > 0 ? "+" : "") + in_words(value, unit); };
    out.difference =
        fmt::format("{} [{}, {}]", shown(difference->value), shown(difference->low), shown(difference->high));
    if (difference->low < difference->high) out.g = fmt::format("{:.1f}", difference->hedges_g);
    out.verdict =
        verdict_of(difference->low, difference->high,
                   kSmallest * std::max(std::abs(mean_of(ours)), std::abs(mean_of(theirs))), higher_is_better);
    if (difference->low == 0 && difference->high == 0) out.verdict = "same";
    out.data = {{"difference", difference->value},
                {"low", difference->low},
                {"high", difference->high},
                {"hedges_g", difference->hedges_g}};
  }
  return out;
}

}  // namespace

Json comparison_section(const Suite& suite, const Json& runs) {
  if (suite.baselines.empty()) return nullptr;
  std::vector<Compared> metrics{{"latency_p50", "ms", false},
                                {"latency_p95", "ms", false},
                                {"latency_p99", "ms", false},
                                {"throughput_rps", "per second", true},
                                {"error_rate", "ratio", false}};
  for (const Figure& figure : suite.figures) metrics.push_back({figure.name, figure.unit, figure.higher_is_better});
  std::map<std::string, std::map<std::string, std::vector<double>>> values;  // variant, metric
  for (const Json& run : runs) {
    for (const Compared& metric : metrics) {
      if (const auto value = value_of(run, metric.name)) values[run["variant"]][metric.name].push_back(*value);
    }
  }
  Json rows = Json::array(), data = Json::array();
  std::string headline;
  for (const Variant& variant : suite.baselines) {
    for (const Compared& metric : metrics) {
      const auto& ours = values[""][metric.name];
      const auto& theirs = values[variant.name][metric.name];
      if (ours.empty() || theirs.empty()) continue;
      const Judged found = judged(ours, theirs, metric.unit, metric.higher_is_better);
      rows.push_back({variant.name, metric.name, in_words(mean_of(ours), metric.unit),
                      in_words(mean_of(theirs), metric.unit), found.difference, found.g, found.verdict});
      Json one{{"baseline", variant.name},
               {"metric", metric.name},
               {"target", ours},
               {"baseline_values", theirs},
               {"verdict", found.verdict}};
      one.update(found.data);
      data.push_back(one);
      if (metric.name == "latency_p95" && found.data.contains("ratio"))
        headline += fmt::format("{}p95 is x {:.2f} [{:.2f}, {:.2f}] that of {}", headline.empty() ? "" : ", ",
                                found.data["ratio"].get<double>(), found.data["low"].get<double>(),
                                found.data["high"].get<double>(), variant.name);
    }
  }
  return Json{
      {"title", "The target beside its baselines"},
      {"headline", headline.empty() ? Json(nullptr) : Json(headline + ".")},
      {"text",
       {fmt::format(
            "{} runs of each under the same load, in an order drawn anew for each round (seed {}); means of the runs, "
            "without warm-up and ramps. Ratios are of the target to the baseline, with 95 % intervals of Welch's on "
            "logarithms (of figures that are zero somewhere: how much the target's is above the baseline's); g is "
            "Hedges' effect size. Below {:.0f} % a difference counts as none.",
            suite.repeats, suite.seed, 100 * kSmallest),
        suite.is_recorded ? "The target runs under the probe, the baselines do not, unless they say so: what the probe "
                            "costs is the target's to bear."
                          : "Neither runs under the probe."}},
      {"table",
       {{"head", {"baseline", "metric", "target", "baseline's", "difference", "g", "verdict"}}, {"rows", rows}}},
      {"data", data}};
}

}  // namespace camprobe::suite
