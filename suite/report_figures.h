// suite/report_figures.h
//
// The figures of a report by name and unit: what each means in words, as tables of a page, and all of them as CSV.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "suite/document.h"

namespace camprobe::suite {

// What the load took of each recorded run: one line a run, for the summary.
void what_it_took(Document& page, const nlohmann::ordered_json& report);

// All figures of one run, and its spans.
void figures_of_run(Document& page, const nlohmann::ordered_json& run);

// One figure a row: run, variant, phase ("" the whole), figure, value, unit; what is not known is left out.
std::string csv_of(const nlohmann::ordered_json& report);

}  // namespace camprobe::suite
