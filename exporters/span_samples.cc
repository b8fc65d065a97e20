// exporters/span_samples.cc: see span_samples.h.
#include "exporters/span_samples.h"

#include <algorithm>
#include <map>
#include <queue>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "exporters/span_attributes.h"
#include "exporters/span_key.h"

namespace camprobe::exporters {

namespace {

// Spans come in the order of their beginnings, so those around one are known when it comes, and what lies inside it has
// come soon after it ended. Two threads' clocks may differ by so much; and a span may be begun under one that has
// ended, so ended ones are forgotten only where there are many.
constexpr std::int64_t kClocksDiffer = 10'000'000;
constexpr std::size_t kMostKnown = 100'000;
constexpr std::uint32_t kDeepest = 512;

struct Node {
  std::int64_t parent = 0;
  run::NameId name{};
  run::ThreadId thread{};
  std::int64_t began_ns = 0, ns = 0;
  double inside_ns = 0;
  std::uint32_t provider = 0;  // in Sweep::providers_; 0: none, here or around
  std::uint32_t path = 0;      // in Sweep::paths_; 0: not known yet
  bool is_inside = false;      // the span that is asked for, or one inside it
  bool is_being_placed = false;
};

class Sweep {
 public:
  Sweep(run::Reader& run, const Filter& filter, const std::function<void(const SpanSample&)>& use)
      : run_(run), filter_(filter), use_(use) {}

  void take(const run::Span& row) {
    if (!row.ended_ns || !filter_.has(row.process)) return;
    Node node;
    node.parent = row.parent;
    node.name = row.name;
    node.thread = row.begin_thread;
    node.began_ns = row.began_ns;
    node.ns = std::max<std::int64_t>(0, bounded_ns(*row.ended_ns) - bounded_ns(row.began_ns));
    node.provider = provider_number(text_attribute(row.attributes, "provider"));
    const SpanKey key{row.process, row.span};
    if (!known_.emplace(key, node).second) return;
    to_place_.push(key);
    const std::int64_t now = bounded_ns(row.began_ns);
    while (bounded_ns(known_.at(to_place_.front()).began_ns) + kClocksDiffer < now) place_next();
    while (known_.size() > kMostKnown && !by_end_.empty() && std::get<0>(by_end_.top()) + 2 * kClocksDiffer < now)
      let_go();
  }

  void finish() {
    while (!to_place_.empty()) place_next();
    while (!by_end_.empty()) let_go();
  }

 private:
  struct Step {
    std::uint32_t above = 0;
    run::NameId name{};
    std::uint32_t depth = 0;
  };

  void place_next() {
    const SpanKey key = to_place_.front();
    to_place_.pop();
    Node& node = known_.at(key);
    place(key.first, node, 0);
    by_end_.emplace(bounded_ns(node.began_ns) + node.ns, key.first, key.second);
  }

  // Parents may form a ring in a damaged run; then one of them is the outermost.
  void place(run::ProcessId process, Node& node, std::uint32_t depth) {
    if (node.path != 0) return;
    node.is_being_placed = true;
    node.is_inside = filter_.has(node.name);
    std::uint32_t above = 0;
    const auto parent = known_.find({process, node.parent});
    if (parent != known_.end() && !parent->second.is_being_placed && depth < kDeepest) {
      place(process, parent->second, depth + 1);
      above = parent->second.path;
      if (node.provider == 0) node.provider = parent->second.provider;
      node.is_inside |= parent->second.is_inside;
      parent->second.inside_ns += static_cast<double>(node.ns);
    }
    node.path = path_number(above, node.name);
    node.is_being_placed = false;
  }

  void let_go() {
    const auto [ended_ns, process, span] = by_end_.top();
    by_end_.pop();
    const auto found = known_.find({process, span});
    const Node& node = found->second;
    if (node.is_inside && filter_.has_time(node.began_ns)) {
      SpanSample sample{process, node.thread, node.name, node.began_ns, 0, {}, {}};
      for (std::uint32_t at = node.path; at != 0; at = paths_[at].above) {
        const std::string& name = run_.name(paths_[at].name);
        sample.path.push_back(name.empty() ? "[unnamed span]" : name);
      }
      std::reverse(sample.path.begin(), sample.path.end());
      if (node.provider != 0) sample.labels.emplace_back("provider", providers_[node.provider]);
      sample.own_ns = std::max(0.0, static_cast<double>(node.ns) - node.inside_ns);
      use_(sample);
    }
    known_.erase(found);
  }

  std::uint32_t path_number(std::uint32_t above, run::NameId name) {
    if (paths_[above].depth >= kDeepest) above = 0;
    const auto [found, is_new] = path_numbers_.try_emplace({above, name}, static_cast<std::uint32_t>(paths_.size()));
    if (is_new) paths_.push_back({above, name, paths_[above].depth + 1});
    return found->second;
  }
  std::uint32_t provider_number(const std::string& provider) {
    if (provider.empty()) return 0;
    const auto [found, is_new] = provider_numbers_.try_emplace(provider, static_cast<std::uint32_t>(providers_.size()));
    if (is_new) providers_.push_back(provider);
    return found->second;
  }

  run::Reader& run_;
  const Filter& filter_;
  const std::function<void(const SpanSample&)>& use_;
  std::unordered_map<SpanKey, Node, SpanKeyHash> known_;
  std::queue<SpanKey> to_place_;  // in the order of their beginnings
  using ByEnd = std::tuple<std::int64_t, run::ProcessId, std::int64_t>;
  std::priority_queue<ByEnd, std::vector<ByEnd>, std::greater<>> by_end_;  // placed, the first to end on top
  std::vector<Step> paths_{Step{}};
  std::map<std::pair<std::uint32_t, run::NameId>, std::uint32_t> path_numbers_;
  std::vector<std::string> providers_{""};
  std::map<std::string, std::uint32_t> provider_numbers_;
};

}  // namespace

void each_span_sample(run::Reader& run, const Filter& filter, const std::function<void(const SpanSample&)>& use) {
  Sweep sweep(run, filter, use);
  run.each_span({.from_ns = 0, .to_ns = filter.outer().to_ns}, run::Reader::SpanOrder::kByBegin,
                [&](const run::Span& row) { sweep.take(row); });
  sweep.finish();
}

}  // namespace camprobe::exporters
