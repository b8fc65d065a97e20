// cli/duration.h: "90", "90s", "15m", "2h" on the command line, as a CLI11 transformation into seconds.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace camprobe::cli {

// For an option bound to a number of seconds.
inline CLI::AsNumberWithUnit duration_units() {
  return CLI::AsNumberWithUnit(std::map<std::string, std::int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}},
                               CLI::AsNumberWithUnit::DEFAULT);
}

}  // namespace camprobe::cli
