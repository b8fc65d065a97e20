// collector/compare/compare.h
//
// Runs against runs: every metric that both sides have, each with its verdict; stacks and findings that came or went.
//
// At the same load only: latency, CPU and memory at another load are other quantities. Where the load differs by more
// than 5 % the verdict says so, with one exception that no load explains: worse at less load is worse, better at more
// is better. Less throughput counts as worse only where latency rose with it (a closed loop of a slower server); else
// the load asked for less.
#pragma once

#include <vector>

#include "collector/compare/run_summary.h"
#include "run/comparison.h"

namespace camprobe::compare {

run::Comparison compare(const std::vector<RunSummary>& base, const std::vector<RunSummary>& other);

}  // namespace camprobe::compare
