// exporters/snapshot_text.cc
#include "exporters/snapshot_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "exporters/safe_text.h"
#include "run/units.h"

namespace camprobe::exporters {

namespace {

constexpr std::size_t kMostOfAKind = 4;

double last_of(run::Reader& run, std::string_view metric) {
  const auto points = run.series(metric);
  return points.empty() ? 0 : points.back().value;
}

// "12 accept, 3 file, 1 listen": the most frequent first.
std::string counted(const std::map<std::string, std::size_t>& counts) {
  std::vector<std::pair<std::size_t, std::string>> sorted;
  for (const auto& [name, count] : counts) sorted.emplace_back(count, name);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (std::size_t i = 0; i < sorted.size() && i < kMostOfAKind; ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].first, printable_utf8(sorted[i].second));
  if (sorted.size() > kMostOfAKind) text += fmt::format(", and {} more", sorted.size() - kMostOfAKind);
  return text;
}

std::string in_parentheses(const std::string& text) {
  return text.empty() ? "" : " (" + text + ")";
}

}  // namespace

std::string snapshot_text(run::Reader& run, const run::Report& report, const TextStyle& style) {
  std::vector<std::string> lines;
  for (const run::ReportProcess& process : report.processes) {
    std::string line = fmt::format("pid {}  {}, recorded since {}", process.pid,
                                   process.command.empty() ? process.executable : process.command,
                                   run::in_seconds(report.run.seconds) + " ago");
    if (process.last_rss_bytes) line += ", RSS " + run::in_bytes(*process.last_rss_bytes);
    lines.push_back(line);
  }
  lines.push_back(fmt::format(
      "heap         {} live in {} objects, estimated; {} in {} allocations ever",
      run::in_bytes(last_of(run, "heap_live_bytes")), run::in_count(last_of(run, "heap_live_objects")),
      run::in_bytes(last_of(run, "heap_allocated_bytes")), run::in_count(last_of(run, "heap_allocations"))));
  std::map<std::string, std::size_t> threads, kinds, peers, spans;
  std::size_t thread_count = 0, descriptor_count = 0, span_count = 0;
  for (const run::Thread& thread : run.threads()) {
    if (thread.ended_ns) continue;
    ++thread_count;
    ++threads[thread.name];
  }
  for (const run::Descriptor& descriptor : run.descriptors()) {
    if (descriptor.closed_ns) continue;
    ++descriptor_count;
    ++kinds[descriptor.kind];
    if (descriptor.peer.empty()) continue;
    // The port of a client says nothing.
    const bool is_client = descriptor.kind == "accept";
    ++peers["to " + (is_client ? descriptor.peer.substr(0, descriptor.peer.rfind(':')) : descriptor.peer)];
  }
  for (const run::Span& span : run.spans()) {
    if (span.ended_ns) continue;
    ++span_count;
    ++spans[run.name(span.name)];
  }
  lines.push_back(fmt::format("threads      {}{}", thread_count, in_parentheses(counted(threads))));
  lines.push_back(fmt::format("descriptors  {}{}", descriptor_count, in_parentheses(counted(kinds))));
  if (!peers.empty()) lines.push_back("peers        " + counted(peers));
  lines.push_back(fmt::format("open spans   {}{}", span_count, in_parentheses(counted(spans))));
  if (!report.top_live.empty()) lines.push_back("holds most");
  for (std::size_t i = 0; i < report.top_live.size() && i < 5; ++i) {
    const run::ReportStack& stack = report.top_live[i];
    lines.push_back(fmt::format("  {:>10}  {:>6}  {}", run::in_bytes(stack.weight), run::in_percent(stack.share),
                                stack.stack.empty() ? "[unknown]" : stack.stack.front().function));
  }
  std::string text;
  for (const std::string& line : lines) text += shortened(printable_utf8(line), style.width) + "\n";
  return text;
}

}  // namespace camprobe::exporters
