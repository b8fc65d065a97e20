// exporters/span_tracks.cc: see span_tracks.h.
#include "exporters/span_tracks.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace camprobe::exporters {

namespace {

using Key = std::pair<run::ProcessId, std::int64_t>;

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(key.second) * 0x9e3779b97f4a7c15ull) ^
           static_cast<std::size_t>(run::number(key.first));
  }
};
using Places = std::unordered_map<Key, std::size_t, KeyHash>;

Places places_of(const std::vector<run::Span>& spans) {
  Places places;
  for (std::size_t i = 0; i < spans.size(); ++i) places.emplace(Key{spans[i].process, spans[i].span}, i);
  return places;
}

// Whether it or one around it has the name. Parents may form a ring in a damaged run.
bool is_inside(const std::vector<run::Span>& spans, const Places& places, std::size_t at, run::NameId name) {
  constexpr int kDeepest = 512;
  for (int depth = 0; depth < kDeepest; ++depth) {
    if (spans[at].name == name) return true;
    const auto parent = places.find({spans[at].process, spans[at].parent});
    if (parent == places.end() || parent->second == at) return false;
    at = parent->second;
  }
  return false;
}

bool overlaps(const run::Span& span, const Filter& filter) {
  return std::any_of(filter.ranges.begin(), filter.ranges.end(), [&](const TimeRange& range) {
    return span.began_ns < range.to_ns && (!span.ended_ns || *span.ended_ns >= range.from_ns);
  });
}

}  // namespace

std::vector<run::Span> spans_of(run::Reader& run, const Filter& filter) {
  const TimeRange outer = filter.outer();
  std::vector<run::Span> all = run.spans({.from_ns = outer.from_ns, .to_ns = outer.to_ns});
  const Places places = filter.span ? places_of(all) : Places();
  std::vector<run::Span> chosen;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].began_ns = bounded_ns(all[i].began_ns);
    if (all[i].ended_ns) all[i].ended_ns = bounded_ns(*all[i].ended_ns);
    if (!filter.has(all[i].process) || !filter.has(all[i].begin_thread) || !overlaps(all[i], filter)) continue;
    if (filter.span && !is_inside(all, places, i, *filter.span)) continue;
    chosen.push_back(all[i]);
  }
  return chosen;
}

SpanTracks span_tracks(run::Reader& run, const Filter& filter) {
  SpanTracks out;
  const std::int64_t end_of_run = bounded_ns(run.duration_ns());
  for (run::Span& span : spans_of(run, filter)) {
    const std::int64_t ended_ns = std::max(span.began_ns, span.ended_ns.value_or(std::max(end_of_run, span.began_ns)));
    out.spans.push_back({std::move(span), ended_ns, 0});
  }
  std::stable_sort(out.spans.begin(), out.spans.end(), [](const TrackedSpan& a, const TrackedSpan& b) {
    return a.span.began_ns != b.span.began_ns ? a.span.began_ns < b.span.began_ns : a.ended_ns > b.ended_ns;
  });

  Places places;
  std::map<std::pair<run::ProcessId, run::ThreadId>, std::vector<std::uint32_t>> lanes_of;
  std::vector<std::vector<std::size_t>> open;  // by track: spans around the present one, innermost last
  for (std::size_t i = 0; i < out.spans.size(); ++i) {
    TrackedSpan& at = out.spans[i];
    std::vector<std::uint32_t>& lanes = lanes_of[{at.span.process, at.span.begin_thread}];
    const auto parent = places.find({at.span.process, at.span.parent});
    std::optional<std::uint32_t> empty, inside;
    for (const std::uint32_t track : lanes) {
      std::vector<std::size_t>& around = open[track];
      while (!around.empty() && out.spans[around.back()].ended_ns <= at.span.began_ns) around.pop_back();
      if (around.empty()) {
        if (!empty) empty = track;
      } else if (parent != places.end() && around.back() == parent->second &&
                 out.spans[around.back()].ended_ns >= at.ended_ns) {
        inside = track;
      }
    }
    if (inside) {
      at.track = *inside;
    } else if (empty) {
      at.track = *empty;
    } else {
      at.track = static_cast<std::uint32_t>(out.tracks.size());
      out.tracks.push_back({at.span.process, at.span.begin_thread, static_cast<std::uint32_t>(lanes.size())});
      lanes.push_back(at.track);
      open.emplace_back();
    }
    open[at.track].push_back(i);
    if (parent != places.end() && out.spans[parent->second].track != at.track)
      out.flows.emplace_back(parent->second, i);
    places.emplace(Key{at.span.process, at.span.span}, i);
  }
  return out;
}

}  // namespace camprobe::exporters
