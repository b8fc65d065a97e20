// suite/analyses.h
//
// What a suite's runs say together: sections of the report, each {title, headline, text: [...], table: {head, rows},
// charts: [{title, x, y, lines}], data}. One file a section; each gives null where the suite has nothing for it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "suite/suite.h"

namespace camprobe::suite {

// `directory` is the suite run's, where the recordings lie.
nlohmann::ordered_json analyses_of(const Suite& suite, const nlohmann::ordered_json& report,
                                   const std::string& directory);

// What of a run is held against others: its load without warm-up and ramps, or all of it where these cannot be told
// apart.
const nlohmann::ordered_json& measured_load(const nlohmann::ordered_json& run);

nlohmann::ordered_json comparison_section(const Suite& suite, const nlohmann::ordered_json& runs);
nlohmann::ordered_json scaling_section(const nlohmann::ordered_json& runs, const std::string& directory);
nlohmann::ordered_json knee_section(const Suite& suite, const nlohmann::ordered_json& runs);
// Past runs of the same suite at the same scale: those in directories beside this one.
nlohmann::ordered_json trend_section(const nlohmann::ordered_json& report, const std::string& directory);
// The newest of these beside this one's: what became worse, better or is the same, with intervals (docs/comparing.md).
nlohmann::ordered_json regression_section(const nlohmann::ordered_json& report, const std::string& directory);

}  // namespace camprobe::suite
