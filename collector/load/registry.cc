// collector/load/registry.cc: all adapters, and the choice of one by a file's content.
#include <fmt/format.h>

#include <algorithm>

#include "collector/load/adapter.h"
#include "collector/load/locust_totals.h"

namespace camprobe::load {

std::span<const Adapter* const> adapters() {
  // The first that recognises a file reads it: those that look for a text anywhere in what was printed come last.
  static constexpr const Adapter* kAll[] = {
      &kH2load,        &kArtillery,      &kK6Json,     &kK6Csv,      &kJmeterCsv, &kJmeterXml,
      &kLocustHistory, &kLocustRequests, &kVegetaGob,  &kVegetaJson, &kVegetaCsv, &kGatlingText,
      &kGatlingBinary, &kAbGnuplot,      &kAutocannon, &kWrk,        &kAb,        &kSiege};
  return kAll;
}

run::Result<LoadTimeline> read_load_results(std::unique_ptr<Input> input, const std::string& name) {
  PeekableInput peekable(decompressed(std::move(input)));
  const std::string_view head = peekable.peek(kHeadSize);
  const auto refuse = [&](const std::string& why, const std::string& what_to_do) {
    return run::Error{fmt::format("load results {}: {}; {}", name, why, what_to_do)};
  };
  if (head.empty()) {
    if (const std::string problem = peekable.problem(); !problem.empty()) {
      return refuse(problem, "let the load tool write it again");
    }
    return refuse("the file is empty", "let the load tool finish, and see that its output goes to this file");
  }
  for (const Adapter* adapter : adapters()) {
    if (!adapter->recognises(head)) continue;
    run::Result<LoadTimeline> timeline = adapter->read(peekable);
    if (!timeline) return refuse(timeline.error(), "run the load tool again");
    return timeline;
  }
  std::string formats;
  for (const Adapter* adapter : adapters())
    formats += fmt::format("{}{}", formats.empty() ? "" : ", ", adapter->format);
  const bool is_text = head.find('\0') == std::string_view::npos;
  return refuse(
      is_text ? "this is no load tool's output that camprobe knows" : "this is a binary file, no load tool's output",
      "give it the output of one of: " + formats);
}

run::Result<LoadTimeline> read_load_file(const std::string& path) {
  run::Result<std::unique_ptr<Input>> input = file_input(path);
  if (!input) return run::Error{input.error()};
  auto timeline = read_load_results(std::move(input).value(), path);
  if (const std::string totals = locust_totals_beside(path); timeline && !totals.empty()) {
    if (const auto file = file_input(totals)) add_locust_totals(*timeline, **file);
  }
  return timeline;
}

}  // namespace camprobe::load
