// suite/suite_file.h
//
// A suite's YAML file, read. An error is one sentence that begins with FILE:LINE:COLUMN and says what to write instead.
#pragma once

#include <string>
#include <vector>

#include "run/result.h"
#include "suite/suite.h"

namespace camprobe::suite {

// A file may hold several suites, as YAML documents (---).
run::Result<std::vector<Suite>> suites_of_text(const std::string& text, const std::string& file_name);
run::Result<std::vector<Suite>> read_suite_file(const std::string& path);

// Times as people write them: "90 s", "5 m", "2 h", "500 ms", or seconds as a number. Nothing where it is none.
std::optional<double> seconds_of(std::string_view text);

}  // namespace camprobe::suite
