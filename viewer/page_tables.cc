// viewer/page_tables.cc: see page_tables.h.
#include "viewer/page_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "run/histogram.h"
#include "viewer/page_values.h"

namespace camprobe::viewer {

using exporters::FrameIndex;
using exporters::printable_utf8;
using nlohmann::json;
using run::number;

namespace {

// Clients come from a new port each time: an accepted peer is its address alone.
std::string peer_shown(const std::string& kind, const std::string& peer) {
  if (kind != "accept") return peer;
  const std::size_t colon = peer.rfind(':');
  return colon == std::string::npos || peer.starts_with("unix:") ? peer : peer.substr(0, colon);
}

}  // namespace

json processes(run::Reader& run) {
  json list = json::array();
  for (const run::Process& process : run.processes()) {
    if (process.id == run::kMachine) continue;
    list.push_back({{"id", number(process.id)},
                    {"pid", process.pid},
                    {"parent_pid", or_null(process.parent_pid)},
                    {"name", printable_utf8(process.executable.substr(process.executable.rfind('/') + 1))},
                    {"command", exporters::shortened(printable_utf8(process.command), 2000)},
                    {"began_s", seconds(process.began_ns)},
                    {"ended_s", seconds_or_null(process.ended_ns)},
                    {"ended_how", printable_utf8(process.ended_how)},
                    {"exit_status", or_null(process.exit_status)},
                    {"probe_state", printable_utf8(process.probe_state)},
                    {"memory_limit_bytes", or_null(process.memory_limit_bytes)},
                    {"note", printable_utf8(process.note)}});
  }
  return list;
}

json sockets(run::Reader& run, exporters::StackTable& stacks, const PageLimits& limits, json& notes) {
  struct Row {
    std::int64_t opened = 0, open = 0, read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;
    std::map<run::StackId, std::int64_t> by_stack;
  };
  std::map<std::pair<std::string, std::string>, Row> table;
  const auto add = [&](const auto& part, std::int64_t opened, std::int64_t open) {
    static const std::set<std::string> kSockets{"listen", "accept", "connect", "socket"};
    if (!kSockets.contains(part.kind)) return;
    Row& row = table[{part.kind, peer_shown(part.kind, printable_utf8(part.peer))}];
    row.by_stack[part.stack] += opened;
    row.opened += opened;
    row.open += open;
    row.read_ops += part.read_ops;
    row.read_bytes += part.read_bytes;
    row.write_ops += part.write_ops;
    row.write_bytes += part.write_bytes;
  };
  for (const run::Descriptor& part : run.descriptors()) add(part, 1, part.closed_ns ? 0 : 1);
  for (const run::DescriptorSum& part : run.descriptor_sums()) add(part, part.opened, 0);
  using Line = std::pair<std::pair<std::string, std::string>, Row>;
  std::vector<Line> lines(table.begin(), table.end());
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return a.second.read_bytes + a.second.write_bytes > b.second.read_bytes + b.second.write_bytes;
  });
  if (lines.size() > limits.table_rows) {
    notes.push_back(
        fmt::format("Of {} peers the {} with the most traffic are listed.", lines.size(), limits.table_rows));
    lines.resize(limits.table_rows);
  }
  json list = json::array();
  for (const auto& [key, row] : lines) {
    const auto most = std::max_element(row.by_stack.begin(), row.by_stack.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    std::string opened_by;
    if (most != row.by_stack.end() && most->first != run::kUnknownStack) {
      const std::vector<FrameIndex>& path = stacks.root_first(most->first);
      for (std::size_t i = 0; i < 4 && i < path.size(); ++i) {
        const std::string& function = stacks.frame(path[path.size() - 1 - i]).function;
        opened_by += (i == 0 ? "" : " \xE2\x86\x90 ") + exporters::shortened(function, 120);  // an arrow to the left
      }
    }
    list.push_back({{"kind", key.first},
                    {"peer", exporters::shortened(key.second, 200)},
                    {"opened", row.opened},
                    {"open", row.open},
                    {"read_ops", row.read_ops},
                    {"read_bytes", row.read_bytes},
                    {"write_ops", row.write_ops},
                    {"write_bytes", row.write_bytes},
                    {"opened_by", opened_by}});
  }
  return list;
}

json spans(run::Reader& run, const PageLimits& limits, json& notes) {
  struct Row {
    std::int64_t spans = 0, total_ns = 0, max_ns = 0;
    run::Histogram latency;
  };
  std::map<run::NameId, Row> table;
  for (const run::SpanStat& stat : run.span_stats()) {
    Row& row = table[stat.name];
    row.spans += stat.spans;
    row.total_ns += stat.total_ns;
    row.max_ns = std::max(row.max_ns, stat.max_ns);
    if (const auto histogram = run::Histogram::from_json(stat.latency)) row.latency.merge(histogram.value());
  }
  std::vector<std::pair<run::NameId, Row>> rows(table.begin(), table.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.total_ns > b.second.total_ns; });
  if (rows.size() > limits.table_rows) {
    notes.push_back(
        fmt::format("Of {} span names the {} with the most time are listed.", rows.size(), limits.table_rows));
    rows.resize(limits.table_rows);
  }
  json list = json::array();
  for (const auto& [id, row] : rows) {
    const auto quantile = [&row = row](double q) {
      const auto ns = row.latency.quantile(q);
      return ns ? json(static_cast<double>(
                           std::min(*ns, static_cast<std::uint64_t>(std::max<std::int64_t>(0, row.max_ns)))) /
                       1e6)
                : json();
    };
    list.push_back({{"name", exporters::shortened(printable_utf8(run.name(id)), 200)},
                    {"spans", row.spans},
                    {"total_ms", static_cast<double>(row.total_ns) / 1e6},
                    {"max_ms", static_cast<double>(row.max_ns) / 1e6},
                    {"p50_ms", quantile(0.5)},
                    {"p95_ms", quantile(0.95)},
                    {"p99_ms", quantile(0.99)}});
  }
  return list;
}

}  // namespace camprobe::viewer
