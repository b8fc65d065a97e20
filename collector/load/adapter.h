// collector/load/adapter.h
//
// One adapter reads one format of one load tool. To add one: write <tool>.cc with a `const Adapter k<Tool>`, declare it
// below, list it in registry.cc, and give it a fixture, a test and a fuzz target in tests/load/.
//
// An adapter streams: it keeps sums, never rows. What it cannot use it counts in `skipped` with the line and the
// reason, and goes on; a file that stops in the middle of a row yields everything before it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "collector/load/input.h"
#include "collector/load/timeline.h"
#include "run/result.h"

namespace camprobe::load {

struct Adapter {
  const char* tool;
  const char* format;  // what a user would call it: "h2load --log-file"
  // Whether the beginning of a file (at least its first lines, at most kHeadSize bytes) is this format.
  bool (*recognises)(std::string_view head);
  run::Result<LoadTimeline> (*read)(Input& input);
};

inline constexpr std::size_t kHeadSize = 1 << 16;

extern const Adapter kH2load;
extern const Adapter kAutocannon;
extern const Adapter kArtillery;
extern const Adapter kK6Json;
extern const Adapter kK6Csv;
extern const Adapter kJmeterCsv;
extern const Adapter kJmeterXml;
extern const Adapter kLocustHistory;
extern const Adapter kLocustRequests;
extern const Adapter kVegetaGob;
extern const Adapter kVegetaJson;
extern const Adapter kVegetaCsv;
extern const Adapter kGatlingText;
extern const Adapter kGatlingBinary;
extern const Adapter kWrk;
extern const Adapter kAb;
extern const Adapter kAbGnuplot;
extern const Adapter kSiege;

std::span<const Adapter* const> adapters();

// Reads whatever format the content is in. `name` is how errors call the input.
run::Result<LoadTimeline> read_load_results(std::unique_ptr<Input> input, const std::string& name);
run::Result<LoadTimeline> read_load_file(const std::string& path);

}  // namespace camprobe::load
