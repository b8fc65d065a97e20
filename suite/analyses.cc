#include "suite/analyses.h"

#include <nlohmann/json.hpp>

namespace camprobe::suite {

const nlohmann::ordered_json& measured_load(const nlohmann::ordered_json& run) {
  const auto& load = run["load"];
  const bool is_known = load.contains("measured") && load["measured"].is_object() &&
                        (load["measured"]["latency_ms"].is_object() || !load["latency_ms"].is_object());
  return is_known ? load["measured"] : load;
}

nlohmann::ordered_json analyses_of(const Suite& suite, const nlohmann::ordered_json& report,
                                   const std::string& directory) {
  nlohmann::ordered_json sections = nlohmann::ordered_json::array();
  for (auto&& section :
       {comparison_section(suite, report["runs"]), scaling_section(report["runs"], directory),
        knee_section(suite, report["runs"]), trend_section(report, directory), regression_section(report, directory)}) {
    if (!section.is_null()) sections.push_back(section);
  }
  return sections;
}

}  // namespace camprobe::suite
