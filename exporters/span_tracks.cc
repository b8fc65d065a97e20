// exporters/span_tracks.cc: see span_tracks.h.
#include "exporters/span_tracks.h"

#include <functional>
#include <map>
#include <optional>
#include <queue>

#include "exporters/span_places.h"

namespace camprobe::exporters {

namespace {

// The tracks of one thread, of which there are as many as it ever had spans open beside one another: thousands, in a
// server that forgets to end them.
class Lanes {
 public:
  std::uint32_t count() const { return static_cast<std::uint32_t>(tracks_.size()); }
  // The first lane's track on which nothing is open any more at `now_ns`; times must not fall.
  std::optional<std::uint32_t> take_empty(std::int64_t now_ns) {
    for (; !busy_.empty() && busy_.top().first <= now_ns; busy_.pop()) empty_.push(busy_.top().second);
    if (empty_.empty()) return std::nullopt;
    const std::uint32_t lane = empty_.top();
    empty_.pop();
    taken_ = lane;
    return tracks_[lane];
  }
  void add(std::uint32_t track) {
    taken_ = count();
    tracks_.push_back(track);
  }
  // What was just taken or added holds spans until then: all others on it lie in its first one.
  void hold_until(std::int64_t ended_ns) { busy_.emplace(ended_ns, taken_); }

 private:
  using Busy = std::pair<std::int64_t, std::uint32_t>;
  std::vector<std::uint32_t> tracks_;  // by lane
  std::priority_queue<Busy, std::vector<Busy>, std::greater<>> busy_;
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> empty_;
  std::uint32_t taken_ = 0;
};

}  // namespace

SpanTracks span_tracks(run::Reader& run, const Filter& filter) {
  SpanTracks out;
  ChosenSpans chosen = chosen_spans(run, filter);
  out.left_out = chosen.left_out;
  out.spans = std::move(chosen.spans);
  const SpanPlaces places(out.spans);
  std::map<std::pair<run::ProcessId, run::ThreadId>, Lanes> lanes_of;
  std::vector<std::vector<std::uint32_t>> open;  // by track: spans around the present one, innermost last
  for (std::uint32_t i = 0; i < out.spans.size(); ++i) {
    const ChosenSpan& at = out.spans[i];
    const auto close_ended = [&](std::uint32_t track) {
      std::vector<std::uint32_t>& around = open[track];
      while (!around.empty() && out.spans[around.back()].ended_ns <= at.began_ns) around.pop_back();
    };
    const std::optional<std::uint32_t> parent = places.before(i, at.process, at.parent);
    const auto lies_in_parent = [&](std::uint32_t track) {
      const SpanTrack& on = out.tracks[track];
      if (on.process != at.process || on.thread != at.thread || out.spans[*parent].ended_ns < at.ended_ns) return false;
      close_ended(track);
      return !open[track].empty() && open[track].back() == *parent;
    };
    std::uint32_t track = 0;
    if (parent && lies_in_parent(out.track_of[*parent])) {
      track = out.track_of[*parent];
    } else {
      Lanes& lanes = lanes_of[{at.process, at.thread}];
      if (const auto empty = lanes.take_empty(at.began_ns)) {
        track = *empty;
        close_ended(track);
      } else {
        track = static_cast<std::uint32_t>(out.tracks.size());
        out.tracks.push_back({at.process, at.thread, lanes.count()});
        lanes.add(track);
        open.emplace_back();
      }
      lanes.hold_until(at.ended_ns);
    }
    open[track].push_back(i);
    out.track_of.push_back(track);
    if (parent && out.track_of[*parent] != track) out.flows.emplace_back(*parent, i);
  }
  return out;
}

}  // namespace camprobe::exporters
