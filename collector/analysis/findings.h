// collector/analysis/findings.h
//
// Verdicts into findings: what an engineer reads, with where, how much, since when, why it is believed and what to do.
// The numbers come from the judgement; here are the words.
#pragma once

#include <vector>

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

// `run::ReportFrame`s of a stack, leaf first, from the program's own innermost frame on.
std::vector<run::ReportFrame> report_stack(run::Reader& reader, run::StackId stack);

std::vector<run::Finding> leak_findings(run::Reader& reader, const RunInput& input, const LeakAnalysis& leaks,
                                        const Thresholds& thresholds);
std::vector<run::Finding> degradation_findings(run::Reader& reader, const RunInput& input,
                                               const Degradation& degradation, const Thresholds& thresholds);
// RSS that the live heap does not explain. `leaks` are the leak findings made already.
std::vector<run::Finding> memory_findings(const RunInput& input, const MemoryVerdict& memory,
                                          const std::vector<run::Finding>& leaks, const Thresholds& thresholds);

}  // namespace camprobe::analysis
