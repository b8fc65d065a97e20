// exporters/report_text.h
//
// A report for the terminal: the verdict in one line, then each finding with where, how much, since when and what next,
// then tables. No line is longer than the width asked for, whatever the names in it.
#pragma once

#include <cstddef>
#include <string>

#include "run/report.h"

namespace camprobe::exporters {

struct TextStyle {
  std::size_t width = 100;  // characters; at least 40 is used
  bool colour = false;      // ANSI; for terminals only
};

std::string report_text(const run::Report& report, const TextStyle& style = {});

// The gates alone, failed ones first.
std::string gates_text(const run::Report& report, const TextStyle& style = {});

}  // namespace camprobe::exporters
