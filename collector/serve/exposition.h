// collector/serve/exposition.h
//
// Targets' figures as Prometheus metrics, and those as text (prometheus-cpp's serializer writes it). Which metric means
// what stands in the HELP texts and in docs/serving.md; names follow Prometheus' rules: base units, counters end in
// _total, process_* only where the standard names mean just that.
//
// Labels are words from a fixed list, a process's number and program, and the names of spans and providers; never a
// stack, an address or a descriptor. So the series of a target are bounded (kMostSeriesOfATarget), whatever it does.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "collector/serve/family_set.h"
#include "collector/serve/target.h"

namespace camprobe::serve {

inline constexpr std::size_t kMostSeriesOfATarget = 1500;

// What is known of the serving process itself.
struct ExporterFigures {
  std::string tier;  // as the user gave it; "" where there is none
  double cpu_seconds = 0, resident_bytes = 0;
  double collect_seconds = 0;        // what the last collection took
  double answered = 0, refused = 0;  // requests
  std::size_t most_targets = 0, targets_left_out = 0;
};

// One process's.
void add_target(FamilySet& set, const Target& target);

// Those of all, and of the serving process itself.
std::vector<prometheus::MetricFamily> metric_families(const std::vector<const Target*>& targets,
                                                      const ExporterFigures& exporter);

// In the text format, version 0.0.4.
std::string exposition_text(const std::vector<prometheus::MetricFamily>& families);

}  // namespace camprobe::serve
