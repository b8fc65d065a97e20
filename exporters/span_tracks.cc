// exporters/span_tracks.cc: see span_tracks.h.
#include "exporters/span_tracks.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <unordered_map>

#include "exporters/span_key.h"

namespace camprobe::exporters {

namespace {

using Places = std::unordered_map<SpanKey, std::size_t, SpanKeyHash>;

Places places_of(const std::vector<run::Span>& spans) {
  Places places;
  for (std::size_t i = 0; i < spans.size(); ++i) places.emplace(SpanKey{spans[i].process, spans[i].span}, i);
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

// Leaves the slowest trees of about `most` spans in all: each outermost span with all that is inside it.
void keep_slowest(std::vector<run::Span>& spans, std::size_t most) {
  struct Tree {
    std::size_t root;
    std::size_t spans = 0;
    std::int64_t ns = 0;
  };
  const Places places = places_of(spans);
  std::vector<std::size_t> root_of(spans.size());
  std::unordered_map<std::size_t, Tree> trees;
  constexpr int kDeepest = 512;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    std::size_t at = i;
    for (int depth = 0; depth < kDeepest; ++depth) {
      const auto parent = places.find({spans[at].process, spans[at].parent});
      if (parent == places.end() || parent->second == at) break;
      at = parent->second;
    }
    root_of[i] = at;
    Tree& tree = trees.try_emplace(at, Tree{at}).first->second;
    ++tree.spans;
    // One that never ended is what one would look for.
    tree.ns = spans[at].ended_ns ? *spans[at].ended_ns - spans[at].began_ns : std::numeric_limits<std::int64_t>::max();
  }
  std::vector<Tree> order;
  for (const auto& [root, tree] : trees) order.push_back(tree);
  std::sort(order.begin(), order.end(),
            [](const Tree& a, const Tree& b) { return a.ns != b.ns ? a.ns > b.ns : a.root < b.root; });
  std::vector<bool> is_kept(spans.size(), false);
  std::size_t kept = 0;
  for (const Tree& tree : order) {
    if (kept + tree.spans > most) break;
    is_kept[tree.root] = true;
    kept += tree.spans;
  }
  std::size_t to = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!is_kept[root_of[i]]) continue;
    if (to != i) spans[to] = std::move(spans[i]);
    ++to;
  }
  spans.resize(to);
}

}  // namespace

ChosenSpans spans_of(run::Reader& run, const Filter& filter, std::size_t most) {
  // Days are read in parts, each a scan of the table: of an hour at least, and no more than 24.
  constexpr std::int64_t kHour = 3600ll * 1'000'000'000, kMostParts = 24;
  const TimeRange outer{bounded_ns(filter.outer().from_ns), bounded_ns(filter.outer().to_ns)};
  const std::int64_t length = std::max(kHour, (outer.to_ns - outer.from_ns) / kMostParts + 1);
  const std::int64_t parts = std::max<std::int64_t>(1, (outer.to_ns - outer.from_ns + length - 1) / length);
  ChosenSpans chosen;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t from_ns = outer.from_ns + part * length;
    std::vector<run::Span> all = run.spans({.from_ns = from_ns, .to_ns = std::min(outer.to_ns, from_ns + length)});
    const Places places = filter.span ? places_of(all) : Places();
    std::vector<run::Span> here;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (part > 0 && all[i].began_ns < from_ns) continue;  // was in an earlier part
      if (!filter.has(all[i].process) || !filter.has(all[i].begin_thread) || !overlaps(all[i], filter)) continue;
      if (filter.span && !is_inside(all, places, i, *filter.span)) continue;
      here.push_back(all[i]);
      here.back().began_ns = bounded_ns(here.back().began_ns);
      if (here.back().ended_ns) here.back().ended_ns = bounded_ns(*here.back().ended_ns);
    }
    // What one part does not use is for those after it.
    const std::size_t share = (most - chosen.spans.size()) / static_cast<std::size_t>(parts - part);
    const std::size_t before = here.size();
    if (here.size() > share) keep_slowest(here, share);
    chosen.left_out += before - here.size();
    chosen.spans.insert(chosen.spans.end(), std::make_move_iterator(here.begin()), std::make_move_iterator(here.end()));
  }
  return chosen;
}

std::string note_of_spans(std::size_t chosen, std::size_t left_out) {
  if (left_out == 0) return "";
  return fmt::format("{} of {} spans are in it, the slowest with all inside them; choose a shorter range to have all",
                     chosen, chosen + left_out);
}

SpanTracks span_tracks(run::Reader& run, const Filter& filter) {
  SpanTracks out;
  const std::int64_t end_of_run = bounded_ns(run.duration_ns());
  ChosenSpans chosen = spans_of(run, filter);
  out.left_out = chosen.left_out;
  for (run::Span& span : chosen.spans) {
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
    places.emplace(SpanKey{at.span.process, at.span.span}, i);
  }
  return out;
}

}  // namespace camprobe::exporters
