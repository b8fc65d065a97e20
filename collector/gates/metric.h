// collector/gates/metric.h
//
// The figures of a run that a gate can hold to a limit and a comparison compares, by stable names. docs/gates.md prints
// this very list, and a test holds the two together; how each is computed is measure.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace camprobe::gates {

enum class Better { kLower, kHigher };

// Which parts of a run a metric can be asked of, besides the whole.
enum class Scopes { kRun, kWindow, kEndpointAndWindow };

struct Metric {
  std::string_view name;
  std::string_view unit;  // ms | ratio | per second | cores | bytes | bytes per hour | count | per hour
  Better better;
  Scopes scopes;
  std::string_view how;  // a sentence: how it is computed
};

const std::vector<Metric>& all_metrics();
const Metric* metric_named(std::string_view name);  // nullptr: there is none

// The list as a table of Markdown, as docs/gates.md has it.
std::string metrics_table();

}  // namespace camprobe::gates
