// viewer/page_data.cc: see page_data.h.
#include "viewer/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/slice.h"
#include "exporters/stacks.h"

namespace camprobe::viewer {

using exporters::FrameIndex;
using exporters::Query;
using exporters::RunFile;
using exporters::printable_utf8;
using nlohmann::json;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }
json seconds_or_null(const Query& row, int column) { return row.is_null(column) ? json() : json(seconds(row.integer(column))); }
json integer_or_null(const Query& row, int column) { return row.is_null(column) ? json() : json(row.integer(column)); }
std::string safe(const Query& row, int column) { return printable_utf8(row.text(column)); }

json number_of(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? json(value) : json();
}

// The next wider bucket a reader of clocks would choose.
std::int64_t wider(std::int64_t width) {
  static constexpr std::array<std::int64_t, 14> kWidths{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200};
  const auto* next = std::upper_bound(kWidths.begin(), kWidths.end(), width);
  return next == kWidths.end() ? width * 2 : *next;
}

std::string width_text(std::int64_t width) {
  if (width % 3600 == 0) return fmt::format("{} h", width / 3600);
  if (width % 60 == 0) return fmt::format("{} min", width / 60);
  return fmt::format("{} s", width);
}

// ---- facts ---------------------------------------------------------------------------------------------------------

std::string command_text(const std::string& meta_command) {
  const json words = json::parse(meta_command, nullptr, false);
  if (!words.is_array()) return printable_utf8(meta_command);
  std::string text;
  for (const json& word : words) {
    if (!text.empty()) text += ' ';
    text += printable_utf8(word.is_string() ? word.get<std::string>() : word.dump());
  }
  return text;
}

json run_facts(const RunFile& run) {
  const json started_ns = number_of(run.meta("started_realtime_ns"));
  return {
      {"file", printable_utf8(run.path().filename().string())},
      {"command", command_text(run.meta("command"))},
      {"started_ms", started_ns.is_null() ? json() : json(started_ns.get<std::int64_t>() / 1'000'000)},
      {"duration_s", seconds(run.duration_ns())},
      {"host", printable_utf8(run.meta("host"))},
      {"kernel", printable_utf8(run.meta("kernel"))},
      {"cpus", number_of(run.meta("cpus"))},
      {"memory_bytes", number_of(run.meta("memory_bytes"))},
      {"state", printable_utf8(run.meta("state"))},
      {"version", printable_utf8(run.meta("camprobe_version"))},
  };
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

json processes(const RunFile& run) {
  json list = json::array();
  Query rows = run.query(
      "SELECT id, pid, parent_pid, executable, command, began_ns, ended_ns, ended_how, exit_status, probe_state, "
      "memory_limit_bytes, note FROM process WHERE id <> 0 ORDER BY id");
  while (rows.next()) {
    list.push_back({{"id", rows.integer(0)},
                    {"pid", rows.integer(1)},
                    {"parent_pid", integer_or_null(rows, 2)},
                    {"name", base_name(safe(rows, 3))},
                    {"command", safe(rows, 4)},
                    {"began_s", seconds(rows.integer(5))},
                    {"ended_s", seconds_or_null(rows, 6)},
                    {"ended_how", safe(rows, 7)},
                    {"exit_status", integer_or_null(rows, 8)},
                    {"probe_state", safe(rows, 9)},
                    {"memory_limit_bytes", integer_or_null(rows, 10)},
                    {"note", safe(rows, 11)}});
  }
  return list;
}

// ---- timeline ------------------------------------------------------------------------------------------------------

// The mean, over each bucket, of values that hold for stretches of whole seconds.
class Buckets {
 public:
  Buckets(std::int64_t width, std::size_t count) : width_(width), sum_(count), covered_(count) {}

  void add(std::int64_t from, std::int64_t to, double value) {  // value holds over [from, to) seconds
    from = std::max<std::int64_t>(from, 0);
    to = std::min(to, width_ * static_cast<std::int64_t>(sum_.size()));
    while (from < to) {
      const std::int64_t bucket = from / width_;
      const std::int64_t end = std::min(to, (bucket + 1) * width_);
      sum_[static_cast<std::size_t>(bucket)] += value * static_cast<double>(end - from);
      covered_[static_cast<std::size_t>(bucket)] += static_cast<double>(end - from);
      from = end;
    }
  }
  [[nodiscard]] std::optional<double> mean(std::size_t bucket) const {
    if (covered_[bucket] <= 0) return std::nullopt;
    return sum_[bucket] / covered_[bucket];
  }
  [[nodiscard]] std::size_t size() const { return sum_.size(); }

 private:
  std::int64_t width_;
  std::vector<double> sum_;
  std::vector<double> covered_;
};

// Six digits draw a chart; seventeen fill a page.
json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  const double scale = std::pow(10, 6 - std::ceil(std::log10(std::abs(value))));
  const double rounded = scale >= 1 ? std::round(value * scale) / scale : std::round(value / (1 / scale)) * (1 / scale);
  if (std::abs(rounded) < 9e15 && rounded == std::floor(rounded)) return static_cast<std::int64_t>(rounded);
  return rounded;
}

json values_of(const Buckets& buckets) {
  json values = json::array();
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const auto mean = buckets.mean(i);
    values.push_back(mean ? short_number(*mean) : json());
  }
  return values;
}

json summed_values(const std::vector<const Buckets*>& parts) {
  json values = json::array();
  for (std::size_t i = 0; i < parts.front()->size(); ++i) {
    std::optional<double> sum;
    for (const Buckets* part : parts) {
      if (const auto mean = part->mean(i)) sum = sum.value_or(0) + *mean;
    }
    values.push_back(sum ? short_number(*sum) : json());
  }
  return values;
}

void add_metric_series(const RunFile& run, std::int64_t width, std::size_t count, const PageLimits& limits, json& series) {
  Query metrics = run.query("SELECT id, name, unit, kind FROM metric ORDER BY id");
  while (metrics.next()) {
    const bool is_counter = metrics.text(3) == "counter";
    std::map<std::int64_t, Buckets> by_process;
    Query points = run.query("SELECT process, second, width, value FROM point WHERE metric = ? ORDER BY process, second");
    points.bind(1, metrics.integer(0));
    std::optional<std::tuple<std::int64_t, std::int64_t, double>> before;  // process, second, value
    while (points.next()) {
      const std::int64_t process = points.integer(0);
      const std::int64_t second = points.integer(1);
      const double value = points.real(3);
      if (!std::isfinite(value)) continue;
      Buckets& buckets = by_process.try_emplace(process, width, count).first->second;
      if (!is_counter) {
        buckets.add(second, second + std::max<std::int64_t>(1, points.integer(2)), value);
      } else {
        if (before && std::get<0>(*before) == process && second > std::get<1>(*before) && value >= std::get<2>(*before)) {
          const std::int64_t since = std::get<1>(*before);
          buckets.add(since, second, (value - std::get<2>(*before)) / static_cast<double>(second - since));
        }
        before = {process, second, value};
      }
    }
    const json name = safe(metrics, 1);
    const json unit = safe(metrics, 2);
    std::vector<const Buckets*> program;
    for (const auto& [process, buckets] : by_process) {
      if (process != 0) program.push_back(&buckets);
    }
    if (!program.empty()) {
      series.push_back({{"name", name}, {"unit", unit}, {"process", nullptr}, {"values", summed_values(program)}});
    }
    for (const auto& [process, buckets] : by_process) {
      const bool alone = process != 0 && program.size() == 1;
      if (alone || (process != 0 && program.size() > limits.processes_drawn)) continue;
      series.push_back({{"name", name}, {"unit", unit}, {"process", process}, {"values", values_of(buckets)}});
    }
  }
}

void add_load_series(const RunFile& run, std::int64_t width, std::size_t count, json& series) {
  std::map<std::int64_t, Buckets> requests;  // by source: several tools may drive one server
  std::map<std::int64_t, Buckets> errors;
  std::map<std::int64_t, Buckets> users;
  struct Worst {
    std::vector<std::optional<double>> values;
    void add(std::int64_t bucket, double value) {
      if (bucket < 0 || bucket >= static_cast<std::int64_t>(values.size())) return;
      auto& at = values[static_cast<std::size_t>(bucket)];
      at = std::max(at.value_or(value), value);
    }
  };
  static constexpr std::array<const char*, 3> kQuantiles{"latency_p50_ms", "latency_p95_ms", "latency_p99_ms"};
  std::array<Worst, 3> quantiles;
  for (Worst& quantile : quantiles) quantile.values.resize(count);
  Query rows = run.query(
      "SELECT source, second, width, requests, errors, users, p50_ms, p95_ms, p99_ms FROM load_bucket WHERE endpoint = ''");
  while (rows.next()) {
    const std::int64_t source = rows.integer(0);
    const std::int64_t from = rows.integer(1);
    const std::int64_t span = std::max<std::int64_t>(1, rows.integer(2));
    requests.try_emplace(source, width, count).first->second.add(from, from + span, rows.real(3) / static_cast<double>(span));
    errors.try_emplace(source, width, count).first->second.add(from, from + span, rows.real(4) / static_cast<double>(span));
    if (!rows.is_null(5)) users.try_emplace(source, width, count).first->second.add(from, from + span, rows.real(5));
    for (int q = 0; q < 3; ++q) {
      if (!rows.is_null(6 + q)) quantiles[static_cast<std::size_t>(q)].add(from / width, rows.real(6 + q));
    }
  }
  const auto sum_of = [&](const char* name, const char* unit, const std::map<std::int64_t, Buckets>& parts) {
    if (parts.empty()) return;
    std::vector<const Buckets*> list;
    for (const auto& [source, buckets] : parts) list.push_back(&buckets);
    series.push_back({{"name", name}, {"unit", unit}, {"process", nullptr}, {"values", summed_values(list)}});
  };
  sum_of("load_requests", "per_second", requests);
  sum_of("load_errors", "per_second", errors);
  sum_of("load_users", "count", users);
  for (std::size_t q = 0; q < quantiles.size(); ++q) {
    if (std::none_of(quantiles[q].values.begin(), quantiles[q].values.end(), [](const auto& v) { return v.has_value(); })) continue;
    json values = json::array();
    for (const auto& value : quantiles[q].values) values.push_back(value ? short_number(*value) : json());
    series.push_back({{"name", kQuantiles[q]}, {"unit", "ms"}, {"process", nullptr}, {"values", std::move(values)}});
  }
}

json timeline(const RunFile& run, const PageLimits& limits, json& notes) {
  const std::int64_t length = std::max<std::int64_t>(1, (run.duration_ns() + kSecond - 1) / kSecond);
  std::int64_t width = 1;
  const auto count_at = [&](std::int64_t w) { return static_cast<std::size_t>((length + w - 1) / w); };
  while (count_at(width) > limits.timeline_buckets) width = wider(width);
  json series = json::array();
  add_load_series(run, width, count_at(width), series);
  add_metric_series(run, width, count_at(width), limits, series);
  if (width > 1) {
    notes.push_back(fmt::format(
        "Each point of the timeline is the mean of {}; where the load tool gave only quantiles, it is the worst of them.",
        width_text(width)));
  }
  return {{"width_s", width}, {"buckets", count_at(width)}, {"series", std::move(series)}};
}

// ---- stacks --------------------------------------------------------------------------------------------------------

// The tree all stacks of the page share, and the node each (process, stack) ends in.
class StackTree {
 public:
  StackTree(const RunFile& run, std::size_t most_nodes) : table_(run), most_nodes_(most_nodes) {
    Query rows = run.query("SELECT id, pid, executable FROM process WHERE id <> 0");
    while (rows.next()) labels_.emplace(rows.integer(0), exporters::process_label(rows.text(2), rows.integer(1)));
  }

  // Several processes stand side by side at the root, each under its name.
  void show_processes() { shows_processes_ = true; }

  // To be called heaviest stack first: the first ones get nodes of their own, whatever comes when those are used up ends
  // in the deepest caller it shares with them.
  void insert(std::int64_t process, std::int64_t stack, FrameIndex leaf_frame, bool has_leaf) {
    std::uint32_t node = 0;
    const std::vector<FrameIndex>& path = table_.root_first(stack);
    const auto step = [&](FrameIndex frame) {
      const std::uint64_t key = (static_cast<std::uint64_t>(node) << 32) | frame;
      if (const auto found = children_.find(key); found != children_.end()) {
        node = found->second;
        return true;
      }
      if (parent_.size() >= most_nodes_) return false;
      const auto made = static_cast<std::uint32_t>(parent_.size());
      parent_.push_back(node);
      frame_.push_back(frame);
      children_.emplace(key, made);
      node = made;
      return true;
    };
    bool whole = !shows_processes_ || step(process_frame(process));
    for (std::size_t i = 0; whole && i < path.size() && i < kDeepest; ++i) whole = step(path[i]);
    if (whole && has_leaf && table_.frame(frame_[node]).function != table_.frame(leaf_frame).function) whole = step(leaf_frame);
    if (!whole || path.size() > kDeepest) ++folded_;
    ends_[{process, stack, has_leaf ? leaf_frame : 0}] = node;
  }

  [[nodiscard]] std::optional<std::uint32_t> end_of(std::int64_t process, std::int64_t stack, FrameIndex leaf) const {
    const auto found = ends_.find({process, stack, leaf});
    return found == ends_.end() ? std::nullopt : std::optional(found->second);
  }

  exporters::StackTable& table() { return table_; }
  [[nodiscard]] std::size_t folded() const { return folded_; }

  [[nodiscard]] json nodes_json() const { return {{"parent", parent_}, {"frame", frame_}}; }

  [[nodiscard]] json frames_json() const {
    std::unordered_map<std::string, std::size_t> index{{"", 0}};
    json strings = json::array({""});
    const auto intern = [&](const std::string& text) {
      const auto [found, is_new] = index.try_emplace(text, strings.size());
      if (is_new) strings.push_back(text);
      return found->second;
    };
    json function = json::array(), file = json::array(), line = json::array(), module = json::array(), kind = json::array();
    for (const exporters::Frame& frame : table_.frames()) {
      function.push_back(exporters::shortened(frame.function, kLongestName));
      file.push_back(intern(exporters::shortened(frame.file, kLongestName)));
      line.push_back(frame.line);
      module.push_back(intern(exporters::shortened(frame.module, kLongestName)));
      kind.push_back(printable_utf8(frame.kind));
    }
    return {{"strings", strings}, {"function", function}, {"file", file}, {"line", line}, {"module", module}, {"kind", kind}};
  }

 private:
  static constexpr std::size_t kDeepest = 250;       // no screen is higher, and the page walks the tree by recursion
  static constexpr std::size_t kLongestName = 2000;  // a template may be longer; nobody reads it

  FrameIndex process_frame(std::int64_t process) {
    const auto found = labels_.find(process);
    return table_.made_up(found == labels_.end() ? fmt::format("process {}", process) : found->second);
  }

  exporters::StackTable table_;
  std::size_t most_nodes_;
  bool shows_processes_ = false;
  std::unordered_map<std::int64_t, std::string> labels_;
  std::vector<std::uint32_t> parent_{0};
  std::vector<FrameIndex> frame_{0};
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::map<std::tuple<std::int64_t, std::int64_t, FrameIndex>, std::uint32_t> ends_;
  std::size_t folded_ = 0;
};

struct Entry {
  std::int64_t at;    // bucket
  std::int64_t gone;  // bucket, or -1
  std::uint32_t node;
  auto operator<=>(const Entry&) const = default;
};

// Adds weights up by (bucket, node); when there are too many, the buckets become wider, as often as it takes.
class Folder {
 public:
  explicit Folder(std::size_t most) : most_(most) {}

  void add(std::int64_t second, std::int64_t gone_second, std::uint32_t node, double weight) {
    put(weights_, second / width_, gone_second < 0 ? -1 : gone_second / width_, node, weight);
    while (weights_.size() > most_ && width_ < kWidest) refold();
  }

  [[nodiscard]] std::int64_t width() const { return width_; }

  void write(json& profile, double scale, bool has_gone) const {
    std::vector<std::int64_t> at, gone, weight;
    std::vector<std::uint32_t> node;
    for (const auto& [entry, sum] : weights_) {
      const std::int64_t scaled = std::llround(sum / scale);
      if (scaled <= 0) continue;
      at.push_back(entry.at);
      gone.push_back(entry.gone);
      node.push_back(entry.node);
      weight.push_back(scaled);
    }
    profile["width_s"] = width_;
    profile["scale"] = scale;
    profile["at"] = std::move(at);
    if (has_gone) profile["gone"] = std::move(gone);
    profile["node"] = std::move(node);
    profile["weight"] = std::move(weight);
  }

 private:
  static constexpr std::int64_t kWidest = 1 << 24;
  using Weights = std::map<Entry, double>;

  static void put(Weights& weights, std::int64_t at, std::int64_t gone, std::uint32_t node, double weight) {
    if (at == gone) return;  // came and went within one bucket: never seen at a bucket's edge
    weights[{at, gone, node}] += weight;
  }

  void refold() {
    const std::int64_t next = wider(width_);
    Weights folded;
    for (const auto& [entry, weight] : weights_) {
      put(folded, entry.at * width_ / next, entry.gone < 0 ? -1 : entry.gone * width_ / next, entry.node, weight);
    }
    weights_ = std::move(folded);
    width_ = next;
  }

  std::size_t most_;
  std::int64_t width_ = 1;
  Weights weights_;
};

struct ProfileKind {
  const char* what;
  const char* unit;
  double scale;
  const char* totals;  // process, stack, call, weight, samples: heaviest first
  const char* rows;    // process, stack, call, second, gone second or -1, weight
  const char* absent;
};
constexpr std::array<ProfileKind, 4> kProfiles{{
    {"cpu", "ns", 1000, "SELECT process, stack, 0, SUM(weight_ns) AS w, SUM(samples) FROM cpu GROUP BY process, stack ORDER BY w DESC",
     "SELECT process, stack, 0, second, -1, SUM(weight_ns) FROM cpu GROUP BY second, process, stack",
     "No CPU sample was taken. The server was idle, or ran with CAMPROBE_CPU_HZ=0."},
    {"alloc", "bytes", 1, "SELECT process, stack, 0, SUM(bytes) AS w, SUM(samples) FROM alloc GROUP BY process, stack ORDER BY w DESC",
     "SELECT process, stack, 0, second, -1, SUM(bytes) FROM alloc GROUP BY second, process, stack",
     "No allocation was sampled. The server allocated little, or ran with CAMPROBE_HEAP_INTERVAL=0."},
    {"live", "bytes", 1, "SELECT process, stack, 0, SUM(bytes) AS w, count(*) FROM heap_object GROUP BY process, stack ORDER BY w DESC",
     "SELECT process, stack, 0, born_ns / 1000000000, coalesce(died_ns / 1000000000, -1), bytes FROM heap_object",
     "No sampled object lived a second or longer."},
    {"wait", "ns", 1000, "SELECT process, stack, call, SUM(weight_ns) AS w, SUM(samples) FROM wait GROUP BY process, stack, call ORDER BY w DESC",
     "SELECT process, stack, call, second, -1, SUM(weight_ns) FROM wait GROUP BY second, process, stack, call",
     "No wait was recorded."},
}};

json profiles(const RunFile& run, StackTree& tree, const PageLimits& limits, json& notes) {
  std::set<std::int64_t> seen_processes;
  for (const ProfileKind& kind : kProfiles) {
    Query rows = run.query(kind.totals);
    while (rows.next()) seen_processes.insert(rows.integer(0));
  }
  if (seen_processes.size() > 1) tree.show_processes();

  std::unordered_map<std::int64_t, std::string> call_names;
  Query names = run.query("SELECT id, text FROM name WHERE id IN (SELECT DISTINCT call FROM wait)");
  while (names.next()) call_names.emplace(names.integer(0), names.text(1));
  const auto leaf_of = [&](std::int64_t call) -> FrameIndex {
    const auto found = call_names.find(call);
    return found == call_names.end() || found->second.empty() ? 0 : tree.table().made_up(found->second);
  };
  tree.table().made_up("all");  // frame 0: the root, and in keys "no leaf of its own"

  json list = json::array();
  for (const ProfileKind& kind : kProfiles) {
    std::int64_t samples = 0;
    std::size_t stacks = 0;
    Query totals = run.query(kind.totals);
    while (totals.next()) {
      const FrameIndex leaf = leaf_of(totals.integer(2));
      tree.insert(totals.integer(0), totals.integer(1), leaf, leaf != 0);
      samples += totals.integer(4);
      ++stacks;
    }
    Folder folder(limits.profile_entries);
    Query rows = run.query(kind.rows);
    while (rows.next()) {
      const auto node = tree.end_of(rows.integer(0), rows.integer(1), leaf_of(rows.integer(2)));
      const double weight = rows.real(5);
      if (node && std::isfinite(weight) && weight > 0) {
        folder.add(std::max<std::int64_t>(0, rows.integer(3)), rows.integer(4), *node, weight);
      }
    }
    json profile{{"what", kind.what}, {"unit", kind.unit}, {"samples", samples}};
    folder.write(profile, kind.scale, std::string_view(kind.what) == "live");
    if (profile["node"].empty()) profile["absent"] = kind.absent;
    if (folder.width() > 1) {
      notes.push_back(fmt::format("The {} flame graph knows its {} stacks by {}: a range dragged on the timeline is rounded to that.",
                                  kind.what, stacks, width_text(folder.width())));
    }
    list.push_back(std::move(profile));
  }
  if (tree.folded() > 0) {
    notes.push_back(fmt::format(
        "{} light stacks are shown only down to the callers they share with heavier ones; `camprobe export` has them whole.",
        tree.folded()));
  }
  return list;
}

// ---- tables --------------------------------------------------------------------------------------------------------

// Clients come from a new port each time: an accepted peer is its address alone.
std::string peer_shown(const std::string& kind, const std::string& peer) {
  if (kind != "accept") return peer;
  const std::size_t colon = peer.rfind(':');
  return colon == std::string::npos || peer.starts_with("unix:") ? peer : peer.substr(0, colon);
}

json sockets(const RunFile& run, exporters::StackTable& stacks, const PageLimits& limits, json& notes) {
  struct Row {
    std::int64_t opened = 0, open = 0, read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;
    std::map<std::int64_t, std::int64_t> by_stack;
  };
  std::map<std::pair<std::string, std::string>, Row> table;
  Query rows = run.query(
      "SELECT kind, coalesce(peer, ''), stack, count(*), sum(closed_ns IS NULL), sum(read_ops), sum(read_bytes), "
      "sum(write_ops), sum(write_bytes) FROM descriptor WHERE kind IN ('listen', 'accept', 'connect', 'socket') GROUP BY 1, 2, 3 "
      "UNION ALL SELECT kind, peer, stack, sum(opened), 0, sum(read_ops), sum(read_bytes), sum(write_ops), sum(write_bytes) "
      "FROM descriptor_sum WHERE kind IN ('listen', 'accept', 'connect', 'socket') GROUP BY 1, 2, 3");
  while (rows.next()) {
    const std::string kind = safe(rows, 0);
    Row& row = table[{kind, peer_shown(kind, safe(rows, 1))}];
    row.by_stack[rows.integer(2)] += rows.integer(3);
    row.opened += rows.integer(3);
    row.open += rows.integer(4);
    row.read_ops += rows.integer(5);
    row.read_bytes += rows.integer(6);
    row.write_ops += rows.integer(7);
    row.write_bytes += rows.integer(8);
  }
  using Line = std::pair<std::pair<std::string, std::string>, Row>;
  std::vector<Line> lines(table.begin(), table.end());
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return a.second.read_bytes + a.second.write_bytes > b.second.read_bytes + b.second.write_bytes;
  });
  if (lines.size() > limits.table_rows) {
    notes.push_back(fmt::format("Of {} peers the {} with the most traffic are listed.", lines.size(), limits.table_rows));
    lines.resize(limits.table_rows);
  }
  json list = json::array();
  for (const auto& [key, row] : lines) {
    const auto most = std::max_element(row.by_stack.begin(), row.by_stack.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    std::string opened_by;
    if (most != row.by_stack.end() && most->first != 0) {
      const std::vector<FrameIndex>& path = stacks.root_first(most->first);
      for (std::size_t i = 0; i < 4 && i < path.size(); ++i) {
        const std::string& function = stacks.frame(path[path.size() - 1 - i]).function;
        opened_by += (i == 0 ? "" : " \xE2\x86\x90 ") + exporters::shortened(function, 120);  // an arrow to the left
      }
    }
    list.push_back({{"kind", key.first}, {"peer", exporters::shortened(key.second, 200)}, {"opened", row.opened}, {"open", row.open},
                    {"read_ops", row.read_ops}, {"read_bytes", row.read_bytes}, {"write_ops", row.write_ops},
                    {"write_bytes", row.write_bytes}, {"opened_by", opened_by}});
  }
  return list;
}

json spans(const RunFile& run, const PageLimits& limits, json& notes) {
  json list = json::array();
  Query rows = run.query(
      "SELECT coalesce(text, ''), sum(spans), sum(total_ns), max(max_ns) FROM span_stat LEFT JOIN name ON name.id = span_stat.name "
      "GROUP BY span_stat.name ORDER BY sum(total_ns) DESC");
  std::size_t all = 0;
  while (rows.next()) {
    if (++all > limits.table_rows) continue;
    list.push_back({{"name", exporters::shortened(safe(rows, 0), 200)}, {"spans", rows.integer(1)}, {"total_ms", rows.real(2) / 1e6},
                    {"max_ms", rows.real(3) / 1e6}, {"p50_ms", nullptr}, {"p95_ms", nullptr}, {"p99_ms", nullptr}});
  }
  if (all > limits.table_rows) notes.push_back(fmt::format("Of {} span names the {} with the most time are listed.", all, limits.table_rows));
  return list;
}

// CAM's own figures, from whichever spans carry the attributes they are made of.
json cam_figures(const RunFile& run, const json& span_table) {
  json list = json::array();
  for (const auto& [prefix, label] : {std::pair{"arbitrat", "Arbitration decision time"}, std::pair{"consensus", "Consensus time"}}) {
    for (const json& span : span_table) {
      if (!span["name"].get<std::string>().starts_with(prefix)) continue;
      for (const char* quantile : {"p50", "p95", "p99"}) {
        list.push_back({{"name", fmt::format("{} {}", label, quantile)}, {"value", span[std::string(quantile) + "_ms"]}, {"unit", "ms"},
                        {"detail", fmt::format("{} spans \"{}\"", span["spans"].get<std::int64_t>(), span["name"].get<std::string>())}});
      }
      break;
    }
  }
  Query provider = run.query(
      "SELECT coalesce(sum(changes), 0), coalesce(sum(spans), 0) FROM span_attribute JOIN name k ON k.id = key "
      "WHERE k.text = 'provider' AND span_attribute.name = (SELECT a.name FROM span_attribute a JOIN name n ON n.id = a.name "
      "JOIN name k2 ON k2.id = a.key WHERE k2.text = 'provider' GROUP BY a.name ORDER BY n.text LIKE 'arbitrat%' DESC, sum(a.spans) DESC LIMIT 1)");
  if (provider.next() && provider.integer(1) > 0) {
    list.push_back({{"name", "Provider switch rate"}, {"value", provider.real(0) / provider.real(1)}, {"unit", "ratio"},
                    {"detail", fmt::format("{} of {} decisions chose another provider than the one before", provider.integer(0), provider.integer(1))}});
  }
  Query cost = run.query(
      "SELECT sum(CASE WHEN k.text = 'cost' THEN sum END), sum(CASE WHEN k.text = 'baseline_cost' THEN sum END) "
      "FROM span_attribute JOIN name k ON k.id = key WHERE k.text IN ('cost', 'baseline_cost') AND span_attribute.name IN ("
      "SELECT a.name FROM span_attribute a JOIN name k2 ON k2.id = a.key WHERE k2.text = 'baseline_cost')");
  if (cost.next() && !cost.is_null(0) && !cost.is_null(1) && cost.real(1) > 0) {
    list.push_back({{"name", "Cost optimization rate"}, {"value", 1 - cost.real(0) / cost.real(1)}, {"unit", "ratio"},
                    {"detail", fmt::format("paid {:.4g} where the baseline would have cost {:.4g}", cost.real(0), cost.real(1))}});
  }
  return list;
}

}  // namespace

json page_data(const RunFile& run, const json& report, const PageLimits& limits) {
  json notes = json::array();
  json page{{"schema", "camprobe.page/1"}, {"run", run_facts(run)}, {"report", report}, {"processes", processes(run)}};
  page["timeline"] = timeline(run, limits, notes);

  json windows = json::array();
  Query window = run.query("SELECT name, kind, from_ns, to_ns FROM load_window ORDER BY from_ns LIMIT 500");
  while (window.next()) {
    windows.push_back({{"name", safe(window, 0)}, {"kind", safe(window, 1)}, {"from_s", seconds(window.integer(2))}, {"to_s", seconds(window.integer(3))}});
  }
  page["windows"] = std::move(windows);
  json marks = json::array();
  Query mark = run.query("SELECT at_ns, text, source FROM mark ORDER BY at_ns LIMIT 500");
  while (mark.next()) {
    marks.push_back({{"at_s", seconds(mark.integer(0))}, {"text", exporters::shortened(safe(mark, 1), 500)}, {"source", safe(mark, 2)}});
  }
  page["marks"] = std::move(marks);
  json sources = json::array();
  Query source = run.query("SELECT tool, requests, errors, latency_basis, skipped FROM load_source ORDER BY id");
  while (source.next()) {
    sources.push_back({{"tool", safe(source, 0)}, {"requests", integer_or_null(source, 1)}, {"errors", integer_or_null(source, 2)},
                       {"latency_basis", safe(source, 3)}, {"skipped", source.integer(4)}});
  }
  page["load_sources"] = std::move(sources);

  StackTree tree(run, limits.stack_nodes);
  page["profiles"] = profiles(run, tree, limits, notes);
  page["nodes"] = tree.nodes_json();
  page["frames"] = tree.frames_json();
  page["sockets"] = sockets(run, tree.table(), limits, notes);
  page["spans"] = spans(run, limits, notes);
  page["cam"] = cam_figures(run, page["spans"]);

  json lost = json::array();
  Query lost_rows = run.query("SELECT kind, sum(records) FROM lost GROUP BY kind HAVING sum(records) > 0 ORDER BY 2 DESC");
  while (lost_rows.next()) lost.push_back({{"kind", safe(lost_rows, 0)}, {"records", lost_rows.integer(1)}});
  page["lost"] = std::move(lost);
  page["notes"] = std::move(notes);
  return page;
}

}  // namespace camprobe::viewer
