// viewer/page_data.cc: see page_data.h.
#include "viewer/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/stacks.h"
#include "run/histogram.h"

namespace camprobe::viewer {

using exporters::FrameIndex;
using exporters::printable_utf8;
using nlohmann::json;
using run::number;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

double seconds(std::int64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json();
}
json seconds_or_null(const std::optional<std::int64_t>& ns) {
  return ns ? json(seconds(*ns)) : json();
}
json positive_or_null(std::int64_t value) {
  return value > 0 ? json(value) : json();
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

// One metric by process, counters as what they grew by per second.
std::map<run::ProcessId, Buckets> resampled(run::Reader& run, const run::Metric& metric, std::int64_t width,
                                            std::size_t count) {
  std::map<run::ProcessId, Buckets> by_process;
  const run::Point* before = nullptr;
  const std::vector<run::Point> points = run.series(metric.name);
  for (const run::Point& point : points) {
    if (!std::isfinite(point.value)) continue;
    Buckets& buckets = by_process.try_emplace(point.process, width, count).first->second;
    if (metric.kind != "counter") {
      buckets.add(point.second, point.second + std::max<std::int64_t>(1, point.width), point.value);
      continue;
    }
    // A counter that fell began anew (another process image): what happened in between is not known.
    if (before != nullptr && before->process == point.process && point.second > before->second &&
        point.value >= before->value) {
      const double rate = (point.value - before->value) / static_cast<double>(point.second - before->second);
      buckets.add(before->second + 1, point.second + 1, rate);
    }
    before = &point;
  }
  return by_process;
}

void add_metric_series(run::Reader& run, std::int64_t width, std::size_t count, const PageLimits& limits,
                       json& series) {
  for (const run::Metric& metric : run.metrics()) {
    const std::map<run::ProcessId, Buckets> by_process = resampled(run, metric, width, count);
    const auto add = [&](const json& process, json values) {
      const std::string unit = metric.kind == "counter" ? metric.unit + "_per_second" : metric.unit;
      series.push_back({{"name", printable_utf8(metric.name)},
                        {"unit", printable_utf8(unit)},
                        {"process", process},
                        {"values", std::move(values)}});
    };
    std::vector<const Buckets*> programs;
    for (const auto& [process, buckets] : by_process) {
      if (process != run::kMachine) programs.push_back(&buckets);
    }
    if (!programs.empty()) add(nullptr, summed_values(programs));
    for (const auto& [process, buckets] : by_process) {
      const bool shown_already =
          process != run::kMachine && (programs.size() == 1 || programs.size() > limits.processes_drawn);
      if (!shown_already) add(number(process), values_of(buckets));
    }
  }
}

// What the load tools said, all of them together. Histograms add up; where a tool gave only quantiles, the worst of a
// bucket stands for it, since quantiles of quantiles mean nothing.
void add_load_series(run::Reader& run, std::int64_t width, std::size_t count, json& series) {
  std::map<run::SourceId, Buckets> requests, errors, users;
  std::vector<run::Histogram> latency(count);
  std::array<std::vector<std::optional<double>>, 3> worst;
  for (auto& values : worst) values.resize(count);
  for (const run::LoadBucket& row : run.load_buckets("")) {
    const std::int64_t span = std::max<std::int64_t>(1, row.width);
    const auto rate = [&](std::int64_t n) { return static_cast<double>(n) / static_cast<double>(span); };
    requests.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, rate(row.requests));
    errors.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, rate(row.errors));
    if (row.users)
      users.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, *row.users);
    const std::int64_t bucket = row.second / width;
    if (row.second < 0 || bucket >= static_cast<std::int64_t>(count)) continue;
    const auto at = static_cast<std::size_t>(bucket);
    if (row.latency) {
      if (const auto histogram = run::Histogram::from_json(*row.latency)) {
        latency[at].merge(histogram.value());
        continue;
      }
    }
    const std::array<std::optional<double>, 3> given{row.p50_ms, row.p95_ms, row.p99_ms};
    for (std::size_t q = 0; q < given.size(); ++q) {
      if (given[q]) worst[q][at] = std::max(worst[q][at].value_or(*given[q]), *given[q]);
    }
  }
  const auto add = [&](const char* name, const char* unit, json values) {
    series.push_back({{"name", name}, {"unit", unit}, {"process", nullptr}, {"values", std::move(values)}});
  };
  const auto add_sum = [&](const char* name, const char* unit, const std::map<run::SourceId, Buckets>& parts) {
    if (parts.empty()) return;
    std::vector<const Buckets*> list;
    for (const auto& [source, buckets] : parts) list.push_back(&buckets);
    add(name, unit, summed_values(list));
  };
  add_sum("load_requests", "per_second", requests);
  add_sum("load_errors", "per_second", errors);
  add_sum("load_users", "count", users);
  static constexpr std::array<std::pair<const char*, double>, 3> kQuantiles{
      {{"latency_p50_ms", 0.5}, {"latency_p95_ms", 0.95}, {"latency_p99_ms", 0.99}}};
  for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
    json values = json::array();
    bool any = false;
    for (std::size_t i = 0; i < count; ++i) {
      std::optional<double> ms = worst[q][i];
      if (const auto ns = latency[i].quantile(kQuantiles[q].second))
        ms = std::max(ms.value_or(0), static_cast<double>(*ns) / 1e6);
      any = any || ms.has_value();
      values.push_back(ms ? short_number(*ms) : json());
    }
    if (any) add(kQuantiles[q].first, "ms", std::move(values));
  }
}

json timeline(run::Reader& run, const PageLimits& limits, json& notes) {
  const std::int64_t length = std::max<std::int64_t>(1, (run.duration_ns() + kSecond - 1) / kSecond);
  std::int64_t width = 1;
  const auto count_at = [&](std::int64_t w) { return static_cast<std::size_t>((length + w - 1) / w); };
  while (count_at(width) > limits.timeline_buckets) width = wider(width);
  json series = json::array();
  add_load_series(run, width, count_at(width), series);
  add_metric_series(run, width, count_at(width), limits, series);
  if (width > 1) {
    notes.push_back(
        fmt::format("Each point of the timeline is the mean of {}; where the load tool gave only quantiles, it is the "
                    "worst of them.",
                    width_text(width)));
  }
  return {{"width_s", width}, {"buckets", count_at(width)}, {"series", std::move(series)}};
}

// ---- stacks --------------------------------------------------------------------------------------------------------

// Names of deeply templated code run to thousands of letters. Beyond what anyone reads, template arguments become
// "<…>".
std::string readable_name(const std::string& function) {
  constexpr std::size_t kLongestWhole = 400;
  constexpr std::size_t kLongest = 2000;
  if (function.size() <= kLongestWhole) return function;
  std::string out;
  int depth = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    const bool is_operator = out.ends_with("operator") || out.ends_with("operator<") || out.ends_with("operator>");
    if (c == '<' && !(depth == 0 && is_operator)) {
      if (depth++ == 0) out += "<\xE2\x80\xA6";
    } else if (c == '>' && depth > 0 && function[i - 1] != '-') {
      if (--depth == 0) out += '>';
    } else if (depth == 0) {
      out += c;
    }
  }
  return exporters::shortened(depth == 0 ? out : function, kLongest);
}

// The tree all stacks of the page share, and the node each (process, stack) ends in.
class StackTree {
 public:
  StackTree(run::Reader& run, std::size_t most_nodes) : table_(run), most_nodes_(most_nodes) {
    table_.made_up("all");  // frame 0: the root, and "no leaf of its own"
    for (const run::Process& process : run.processes()) labels_.emplace(process.id, exporters::process_label(process));
  }

  // Several processes stand side by side at the root, each under its name.
  void show_processes() { shows_processes_ = true; }

  // To be called heaviest stack first: the first ones get nodes of their own, whatever comes when those are used up
  // ends in the deepest caller it shares with them. `leaf`, where not 0, stands below the stack.
  void insert(run::ProcessId process, run::StackId stack, FrameIndex leaf) {
    const auto [end, is_new] = ends_.try_emplace({process, stack, leaf}, 0);
    if (!is_new) return;
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
    if (whole && leaf != 0 && table_.frame(frame_[node]).function != table_.frame(leaf).function) whole = step(leaf);
    if (!whole || path.size() > kDeepest) ++folded_;
    end->second = node;
  }

  [[nodiscard]] std::optional<std::uint32_t> end_of(run::ProcessId process, run::StackId stack, FrameIndex leaf) const {
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
    json function = json::array(), file = json::array(), line = json::array(), module = json::array(),
         kind = json::array();
    for (const exporters::Frame& frame : table_.frames()) {
      function.push_back(readable_name(frame.function));
      file.push_back(intern(exporters::shortened(frame.file, kLongestPath)));
      line.push_back(frame.line);
      module.push_back(intern(exporters::shortened(frame.module, kLongestPath)));
      kind.push_back(printable_utf8(frame.kind));
    }
    return {{"strings", strings}, {"function", function}, {"file", file},
            {"line", line},       {"module", module},     {"kind", kind}};
  }

 private:
  static constexpr std::size_t kDeepest = 250;  // no screen is higher, and the page walks the tree by recursion
  static constexpr std::size_t kLongestPath = 2000;

  FrameIndex process_frame(run::ProcessId process) {
    const auto found = labels_.find(process);
    return table_.made_up(found == labels_.end() ? fmt::format("process {}", number(process)) : found->second);
  }

  exporters::StackTable table_;
  std::size_t most_nodes_;
  bool shows_processes_ = false;
  std::map<run::ProcessId, std::string> labels_;
  std::vector<std::uint32_t> parent_{0};
  std::vector<FrameIndex> frame_{0};
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::map<std::tuple<run::ProcessId, run::StackId, FrameIndex>, std::uint32_t> ends_;
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

  [[nodiscard]] bool empty() const { return weights_.empty(); }

  [[nodiscard]] json layer(double scale, bool has_gone) const {
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
    json layer{{"width_s", width_}, {"at", std::move(at)}, {"node", std::move(node)}, {"weight", std::move(weight)}};
    if (has_gone) layer["gone"] = std::move(gone);
    return layer;
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

// One row of what a profile is made of, whichever table it comes from.
struct Weight {
  run::ProcessId process{};
  run::StackId stack{};
  FrameIndex leaf = 0;
  std::int64_t second = 0;
  std::int64_t gone_second = -1;
  double weight = 0;
  std::int64_t samples = 0;
};
using EachWeight = std::function<void(const std::function<void(const Weight&)>&)>;

struct ProfileKind {
  const char* what;
  const char* unit;
  double scale;
  bool has_gone;
  const char* absent;
  EachWeight each;
};

// A table is read twice: once to know which stacks are heavy, once to spread them over time. So memory holds stacks and
// buckets, never rows.
struct Totals {
  using Key = std::tuple<run::ProcessId, run::StackId, FrameIndex>;
  std::vector<std::pair<Key, double>> heaviest_first;
  std::int64_t samples = 0;
};

Totals totals_of(const ProfileKind& kind) {
  std::map<Totals::Key, double> sums;
  Totals totals;
  kind.each([&](const Weight& row) {
    sums[{row.process, row.stack, row.leaf}] += row.weight;
    totals.samples += row.samples;
  });
  totals.heaviest_first.assign(sums.begin(), sums.end());
  std::stable_sort(totals.heaviest_first.begin(), totals.heaviest_first.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return totals;
}

json profile(const ProfileKind& kind, const Totals& totals, StackTree& tree, const PageLimits& limits, json& notes) {
  for (const auto& [key, weight] : totals.heaviest_first) std::apply([&](auto... part) { tree.insert(part...); }, key);
  // What matters is known finely, the long tail coarsely: the heaviest stacks get most of the room, and each of the two
  // layers widens its buckets on its own.
  constexpr std::size_t kFineBuckets = 240;
  const std::size_t room_for_heavy = limits.profile_entries * 7 / 10;
  const std::size_t heavy_count =
      std::min(totals.heaviest_first.size(), std::max<std::size_t>(1, room_for_heavy / kFineBuckets));
  std::set<Totals::Key> heavy;
  for (std::size_t i = 0; i < heavy_count; ++i) heavy.insert(totals.heaviest_first[i].first);
  Folder fine(room_for_heavy);
  Folder coarse(limits.profile_entries - room_for_heavy);
  kind.each([&](const Weight& row) {
    const auto node = tree.end_of(row.process, row.stack, row.leaf);
    if (!node || !std::isfinite(row.weight) || row.weight <= 0) return;
    Folder& folder = heavy.contains({row.process, row.stack, row.leaf}) ? fine : coarse;
    folder.add(std::max<std::int64_t>(0, row.second), row.gone_second, *node, row.weight);
  });
  json out{{"what", kind.what},
           {"unit", kind.unit},
           {"scale", kind.scale},
           {"samples", totals.samples},
           {"layers", json::array()}};
  for (const Folder* folder : {&fine, &coarse}) {
    if (!folder->empty()) out["layers"].push_back(folder->layer(kind.scale, kind.has_gone));
  }
  if (out["layers"].empty()) out["absent"] = kind.absent;
  if (fine.width() > 1) {
    notes.push_back(fmt::format("The {} flame graph knows its stacks by {}: within that they count as even.", kind.what,
                                width_text(fine.width())));
  }
  if (coarse.width() > fine.width()) {
    notes.push_back(fmt::format("The {} lightest stacks of the {} flame graph are known by {} only.",
                                totals.heaviest_first.size() - heavy_count, kind.what, width_text(coarse.width())));
  }
  return out;
}

json profiles(run::Reader& run, StackTree& tree, const PageLimits& limits, json& notes) {
  const auto leaf_of = [&](run::NameId call) -> FrameIndex {
    const std::string& name = run.name(call);
    return name.empty() ? 0 : tree.table().made_up(name);
  };
  const std::vector<ProfileKind> kinds{
      {"cpu", "ns", 1000, false, "No CPU sample was taken. The server was idle, or ran with CAMPROBE_CPU_HZ=0.",
       [&](const auto& row) {
         run.each_cpu({}, [&](const run::CpuRow& r) {
           row({r.process, r.stack, 0, r.second, -1, r.weight_ns, r.samples});
         });
       }},
      {"alloc", "bytes", 1, false,
       "No allocation was sampled. The server allocated little, or ran with CAMPROBE_HEAP_INTERVAL=0.",
       [&](const auto& row) {
         run.each_alloc({}, [&](const run::AllocRow& r) {
           row({r.process, r.stack, 0, r.second, -1, r.bytes, r.samples});
         });
       }},
      {"live", "bytes", 1, true, "No sampled object lived a second or longer.",
       [&](const auto& row) {
         run.each_heap_object({}, [&](const run::HeapObject& r) {
           row({r.process, r.stack, 0, r.born_ns / kSecond, r.died_ns ? *r.died_ns / kSecond : -1, r.bytes, 1});
         });
       }},
      {"wait", "ns", 1000, false, "No wait was recorded.",
       [&](const auto& row) {
         run.each_wait({}, [&](const run::WaitRow& r) {
           row({r.process, r.stack, leaf_of(r.call), r.second, -1, r.weight_ns, r.samples});
         });
       }},
  };
  std::vector<Totals> totals;
  std::set<run::ProcessId> seen;
  for (const ProfileKind& kind : kinds) {
    totals.push_back(totals_of(kind));
    for (const auto& [key, weight] : totals.back().heaviest_first) seen.insert(std::get<0>(key));
  }
  if (seen.size() > 1) tree.show_processes();

  json list = json::array();
  for (std::size_t i = 0; i < kinds.size(); ++i) list.push_back(profile(kinds[i], totals[i], tree, limits, notes));
  if (tree.folded() > 0) {
    notes.push_back(
        fmt::format("{} light stacks are shown only down to the callers they share with heavier ones; `camprobe "
                    "export` has them whole.",
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

}  // namespace

json page_data(run::Reader& run, const json& report, const PageLimits& limits) {
  json notes = json::array();
  run.pin();
  json page{{"schema", "camprobe.page/1"}, {"run", run_facts(run)}, {"report", report}, {"processes", processes(run)}};
  if (page["report"].is_object()) page["report"].erase("top");  // the flame graphs say it, and better
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
