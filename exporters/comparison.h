// exporters/comparison.h
//
// A comparison of runs for people and programs: text for the terminal, Markdown for a pull request (under 65,000
// bytes), JSON by docs/comparison.schema.json.
#pragma once

#include <string>

#include "exporters/report_text.h"
#include "run/comparison.h"

namespace camprobe::exporters {

std::string comparison_text(const run::Comparison& comparison, const TextStyle& style = {});
// The base's figures alone, a line each.
std::string baseline_listing(const run::Comparison& comparison);
std::string comparison_markdown(const run::Comparison& comparison);
std::string comparison_json(const run::Comparison& comparison, int indent = 2);

}  // namespace camprobe::exporters
