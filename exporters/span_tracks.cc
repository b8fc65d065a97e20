// exporters/span_tracks.cc: see span_tracks.h.
#include "exporters/span_tracks.h"

#include <map>
#include <optional>

#include "exporters/span_places.h"

namespace camprobe::exporters {

SpanTracks span_tracks(run::Reader& run, const Filter& filter) {
  SpanTracks out;
  ChosenSpans chosen = chosen_spans(run, filter);
  out.left_out = chosen.left_out;
  out.spans = std::move(chosen.spans);
  const SpanPlaces places(out.spans);
  std::map<std::pair<run::ProcessId, run::ThreadId>, std::vector<std::uint32_t>> lanes_of;
  std::vector<std::vector<std::uint32_t>> open;  // by track: spans around the present one, innermost last
  for (std::uint32_t i = 0; i < out.spans.size(); ++i) {
    const ChosenSpan& at = out.spans[i];
    std::vector<std::uint32_t>& lanes = lanes_of[{at.process, at.thread}];
    const std::optional<std::uint32_t> parent = places.before(i, at.process, at.parent);
    std::optional<std::uint32_t> empty, inside;
    for (const std::uint32_t track : lanes) {
      std::vector<std::uint32_t>& around = open[track];
      while (!around.empty() && out.spans[around.back()].ended_ns <= at.began_ns) around.pop_back();
      if (around.empty()) {
        if (!empty) empty = track;
      } else if (parent && around.back() == *parent && out.spans[*parent].ended_ns >= at.ended_ns) {
        inside = track;
      }
    }
    std::uint32_t track = 0;
    if (inside) {
      track = *inside;
    } else if (empty) {
      track = *empty;
    } else {
      track = static_cast<std::uint32_t>(out.tracks.size());
      out.tracks.push_back({at.process, at.thread, static_cast<std::uint32_t>(lanes.size())});
      lanes.push_back(track);
      open.emplace_back();
    }
    open[track].push_back(i);
    out.track_of.push_back(track);
    if (parent && out.track_of[*parent] != track) out.flows.emplace_back(*parent, i);
  }
  return out;
}

}  // namespace camprobe::exporters
