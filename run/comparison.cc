// run/comparison.cc
#include "run/comparison.h"

#include <cmath>

namespace camprobe::run {

using Json = nlohmann::ordered_json;

namespace {

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json estimate_or_null(const std::optional<Estimate>& e) {
  if (!e) return nullptr;
  return {{"value", number(e->value)}, {"low", number(e->low)}, {"high", number(e->high)}, {"unit", e->unit}};
}

Json runs(const std::vector<ComparedRun>& side) {
  Json list = Json::array();
  for (const ComparedRun& r : side) {
    list.push_back({{"file", r.file},
                    {"run_id", r.run_id},
                    {"started_at", text_or_null(r.started_at)},
                    {"host", r.host},
                    {"seconds", number(r.seconds)},
                    {"requests_per_second", number(r.requests_per_second)}});
  }
  return list;
}

Json stacks(const std::vector<ComparedStack>& list) {
  Json out = Json::array();
  for (const ComparedStack& s : list)
    out.push_back({{"kind", s.kind}, {"share", number(s.share)}, {"samples", s.samples}, {"frames", s.frames}});
  return out;
}

Json findings(const std::vector<ComparedFinding>& list) {
  Json out = Json::array();
  for (const ComparedFinding& f : list) out.push_back({{"id", f.id}, {"title", f.title}});
  return out;
}

}  // namespace

Json to_json(const Comparison& c) {
  Json figures = Json::array();
  for (const ComparedFigure& f : c.figures) {
    figures.push_back({{"metric", f.metric},
                       {"endpoint", text_or_null(f.endpoint)},
                       {"unit", f.unit},
                       {"verdict", f.verdict},
                       {"base", estimate_or_null(f.base)},
                       {"other", estimate_or_null(f.other)},
                       {"change", estimate_or_null(f.change)},
                       {"change_is", f.is_ratio ? "relative" : "absolute"},
                       {"minimum", number(f.minimum)},
                       {"why", text_or_null(f.why)}});
  }
  return {{"schema", kComparisonSchema},
          {"verdict", c.verdict},
          {"summary", c.summary},
          {"base", runs(c.base)},
          {"other", runs(c.other)},
          {"load",
           {{"same", c.same_load},
            {"base_requests_per_second", number(c.base_requests_per_second)},
            {"other_requests_per_second", number(c.other_requests_per_second)},
            {"mix_distance", number(c.mix_distance)},
            {"text", c.load}}},
          {"figures", figures},
          {"stacks", {{"new", stacks(c.new_stacks)}, {"vanished", stacks(c.vanished_stacks)}}},
          {"findings", {{"new", findings(c.new_findings)}, {"gone", findings(c.gone_findings)}}},
          {"notes", c.notes}};
}

}  // namespace camprobe::run
