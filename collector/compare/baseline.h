// collector/compare/baseline.h
//
// Summaries of runs kept as small JSON files that can live in git: NAME.json in a directory, one figure, function and
// stack a line, always in the same order, so that a change of a baseline reads as what changed.
// docs/baseline.schema.json describes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collector/compare/run_summary.h"
#include "run/result.h"

namespace camprobe::compare {

inline constexpr const char* kBaselineSchema = "camprobe.baseline/1";
inline constexpr const char* kDefaultStore = ".camprobe/baselines";

std::string baseline_text(const std::vector<RunSummary>& runs);
run::Result<std::vector<RunSummary>> baseline_of_text(std::string_view text, const std::string& file_name);

// "" where the name may be a file's; else why not.
std::string wrong_name(std::string_view name);
std::string baseline_path(const std::string& store, const std::string& name);
run::Result<void> save_baseline(const std::string& store, const std::string& name, const std::vector<RunSummary>& runs,
                                bool may_replace);
std::vector<std::string> baseline_names(const std::string& store);  // sorted

// A run file or a baseline's, told by its content.
run::Result<std::vector<RunSummary>> load_side(const std::string& path);

}  // namespace camprobe::compare
