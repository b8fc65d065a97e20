// suite/analyses.h
//
// What a suite's runs say together: sections of the report, each {title, headline, text, table, charts, data}.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "suite/suite.h"

namespace camprobe::suite {

nlohmann::ordered_json analyses_of(const Suite& suite, const nlohmann::ordered_json& runs);

}  // namespace camprobe::suite
