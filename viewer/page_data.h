// viewer/page_data.h
//
// A run and its report as the one JSON document the page reads (`camprobe.page/1`; its fields are described, with
// types, in viewer/app/src/data.ts, and nowhere else). The page draws; whatever has to be added up over a whole run is
// added up here, so that a run of days opens as fast as one of minutes.
//
// Everything that grows with the run has a bound: time is cut into fewer, wider buckets until it fits, the lightest
// stacks are attached to the caller they share with heavier ones, and `notes` says each time what was folded.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>

#include "run/reader.h"

namespace camprobe::viewer {

struct PageLimits {
  std::size_t timeline_buckets = 2400;
  std::size_t profile_entries = 120'000;  // per profile: (bucket, stack, weight)
  std::size_t stack_nodes = 200'000;      // of the tree all stacks share
  std::size_t table_rows = 200;
  std::size_t traces = 50;          // the slowest, and as many at random
  std::size_t trace_spans = 150;    // of one trace
  std::size_t processes_drawn = 8;  // with series of their own, besides the sum of all
};

// What other runs say: `comparison` is camprobe.comparison/1 of this run with a base, or null; `history` earlier runs
// and this one, as collector/compare/history.h has them.
struct PageContext {
  nlohmann::json comparison;
  nlohmann::json history = nlohmann::json::array();
};

// `report` is a camprobe.report/1 document, or null where there is none. A damaged run gives the page of what could be
// read of it; run.error() then says so, and so does the page.
nlohmann::json page_data(run::Reader& run, const nlohmann::json& report, const PageLimits& limits = {},
                         const PageContext& context = {});

}  // namespace camprobe::viewer
