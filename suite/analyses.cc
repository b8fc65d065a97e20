#include "suite/analyses.h"

#include <nlohmann/json.hpp>

namespace camprobe::suite {

nlohmann::ordered_json analyses_of(const Suite& suite, const nlohmann::ordered_json& report,
                                   const std::string& directory) {
  nlohmann::ordered_json sections = nlohmann::ordered_json::array();
  for (auto&& section : {comparison_section(suite, report["runs"]), scaling_section(report["runs"], directory),
                         knee_section(suite, report["runs"]), trend_section(report, directory)}) {
    if (!section.is_null()) sections.push_back(section);
  }
  return sections;
}

}  // namespace camprobe::suite
