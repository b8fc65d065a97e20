// viewer/page_data.cc: see page_data.h.
#include "viewer/page_data.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "exporters/safe_text.h"
#include "viewer/page_profiles.h"
#include "viewer/page_stack_tree.h"
#include "viewer/page_tables.h"
#include "viewer/page_timeline.h"
#include "viewer/page_traces.h"
#include "viewer/page_values.h"

namespace camprobe::viewer {

using exporters::printable_utf8;
using nlohmann::json;

namespace {

json run_facts(run::Reader& run) {
  const run::Meta meta = run.meta();
  std::string command;
  for (const std::string& word : meta.command) command += (command.empty() ? "" : " ") + printable_utf8(word);
  return {
      {"file", printable_utf8(run.path().substr(run.path().rfind('/') + 1))},
      {"command", exporters::shortened(command, 2000)},
      {"started_ms", meta.started_realtime_ns > 0 ? json(meta.started_realtime_ns / 1'000'000) : json()},
      {"duration_s", seconds(run.duration_ns())},
      {"host", printable_utf8(meta.host)},
      {"kernel", printable_utf8(meta.kernel)},
      {"cpus", positive_or_null(meta.cpus)},
      {"memory_bytes", positive_or_null(meta.memory_bytes)},
      {"state", printable_utf8(meta.state)},
      {"version", printable_utf8(meta.camprobe_version)},
  };
}

}  // namespace

json page_data(run::Reader& run, const json& report, const PageLimits& limits, const PageContext& context) {
  json notes = json::array();
  run.pin();
  json page{{"schema", "camprobe.page/1"}, {"run", run_facts(run)}, {"report", report}, {"processes", processes(run)}};
  if (page["report"].is_object()) page["report"].erase("top");  // the flame graphs say it, and better
  page["comparison"] = context.comparison;
  page["history"] = context.history;
  page["timeline"] = timeline(run, limits, notes);

  constexpr std::size_t kMostLines = 500;  // of windows and of marks: more would hide the charts
  json windows = json::array();
  for (const run::LoadWindow& window : run.load_windows()) {
    if (windows.size() >= kMostLines) break;
    windows.push_back({{"name", exporters::shortened(printable_utf8(window.name), 200)},
                       {"kind", printable_utf8(window.kind)},
                       {"from_s", seconds(window.from_ns)},
                       {"to_s", seconds(window.to_ns)}});
  }
  page["windows"] = std::move(windows);
  json marks = json::array();
  for (const run::Mark& mark : run.marks()) {
    if (marks.size() >= kMostLines) break;
    marks.push_back({{"at_s", seconds(mark.at_ns)},
                     {"text", exporters::shortened(printable_utf8(mark.text), 500)},
                     {"source", printable_utf8(mark.source)}});
  }
  page["marks"] = std::move(marks);
  json sources = json::array();
  for (const run::LoadSource& source : run.load_sources()) {
    sources.push_back({{"tool", printable_utf8(source.tool)},
                       {"requests", or_null(source.requests)},
                       {"errors", or_null(source.errors)},
                       {"latency_basis", printable_utf8(source.latency_basis)},
                       {"skipped", source.skipped}});
  }
  page["load_sources"] = std::move(sources);

  StackTree tree(run, limits.stack_nodes);
  page["profiles"] = profiles(run, tree, limits, notes);
  page["sockets"] = sockets(run, tree.table(), limits, notes);
  page["nodes"] = tree.nodes_json();
  page["frames"] = tree.frames_json();
  page["spans"] = spans(run, limits, notes);
  page["traces"] = traces(run, limits, notes);

  std::map<std::string, std::int64_t> lost_by_kind;
  for (const run::Lost& row : run.lost()) lost_by_kind[printable_utf8(row.kind)] += row.records;
  json lost = json::array();
  for (const auto& [kind, records] : lost_by_kind) {
    if (records > 0) lost.push_back({{"kind", kind}, {"records", records}});
  }
  page["lost"] = std::move(lost);
  run.unpin();
  if (run.error())
    notes.push_back("The run file is damaged; this is what could be read of it. " +
                    printable_utf8(run.error()->sentence));
  page["notes"] = std::move(notes);
  return page;
}

}  // namespace camprobe::viewer
