// viewer/page_profiles.cc: see page_profiles.h.
#include "viewer/page_profiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "viewer/page_values.h"

namespace camprobe::viewer {

using exporters::FrameIndex;
using nlohmann::json;

namespace {

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

}  // namespace

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

}  // namespace camprobe::viewer
