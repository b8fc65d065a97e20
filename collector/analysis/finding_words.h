// collector/analysis/finding_words.h
//
// The words of a finding: how a resource, a place, a verdict and its reason read, and what to do about it. No figure is
// made here.
#pragma once

#include <string>
#include <vector>

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

const char* resource_name(Resource resource);
bool counts_bytes(Resource resource);
std::string amount_text(Resource resource, double amount);

// Without arguments: "cam::(anonymous namespace)::Cache::put" of "cam::(anonymous namespace)::Cache::put(int)".
std::string name_of(const std::string& function);
std::string place_text(const std::vector<run::ReportFrame>& stack);
// The name of the load window that an instant lies in; empty: in none.
std::string window_at(const std::vector<run::LoadWindow>& windows, Seconds at);

// `kind`: of descriptors (accept, connect, file, ...).
std::string title_of(const LeakFinding& finding, const std::string& kind, const std::vector<run::ReportFrame>& stack);
std::string advice_of(const LeakFinding& finding, const std::string& kind, const std::string& place);
std::string why_of(const LeakFinding& finding);

}  // namespace camprobe::analysis
