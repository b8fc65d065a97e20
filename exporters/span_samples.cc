// exporters/span_samples.cc: see span_samples.h.
#include "exporters/span_samples.h"

#include <algorithm>
#include <map>
#include <utility>

#include "exporters/span_attributes.h"

namespace camprobe::exporters {

namespace {

struct Node {
  std::int64_t parent = 0;
  run::NameId name{};
  run::ThreadId thread{};
  std::int64_t began_ns = 0;
  std::int64_t ns = 0;
  double inside_ns = 0;
  std::string provider;
};
using Spans = std::map<std::pair<run::ProcessId, std::int64_t>, Node>;

}  // namespace

void each_span_sample(run::Reader& run, const Filter& filter, const std::function<void(const SpanSample&)>& use) {
  Spans spans;
  for (const run::Span& row : run.spans({.from_ns = 0, .to_ns = filter.outer().to_ns})) {
    if (!row.ended_ns || !filter.has(row.process)) continue;
    spans.emplace(std::pair{row.process, row.span},
                  Node{row.parent, row.name, row.begin_thread, row.began_ns,
                       std::max<std::int64_t>(0, bounded_ns(*row.ended_ns) - bounded_ns(row.began_ns)), 0,
                       text_attribute(row.attributes, "provider")});
  }
  for (auto& [key, node] : spans) {
    const auto parent = spans.find({key.first, node.parent});
    if (parent != spans.end() && parent->first != key) parent->second.inside_ns += static_cast<double>(node.ns);
  }
  constexpr int kDeepest = 512;  // and no way to hang on parents that form a ring
  for (const auto& [key, node] : spans) {
    if (!filter.has_time(node.began_ns)) continue;
    const auto called = [&](run::NameId id) {
      const std::string& name = run.name(id);
      return name.empty() ? std::string("[unnamed span]") : name;
    };
    SpanSample sample{key.first, node.thread, node.name, node.began_ns, 0, {called(node.name)}, {}};
    std::string provider = node.provider;
    bool is_inside = filter.has(node.name);
    auto at = spans.find({key.first, node.parent});
    for (int depth = 0; at != spans.end() && at->first != key && depth < kDeepest; ++depth) {
      sample.path.push_back(called(at->second.name));
      if (provider.empty()) provider = at->second.provider;
      is_inside |= filter.has(at->second.name);
      at = spans.find({key.first, at->second.parent});
    }
    if (!is_inside) continue;
    std::reverse(sample.path.begin(), sample.path.end());
    if (!provider.empty()) sample.labels.emplace_back("provider", provider);
    sample.own_ns = std::max(0.0, static_cast<double>(node.ns) - node.inside_ns);
    use(sample);
  }
}

}  // namespace camprobe::exporters
