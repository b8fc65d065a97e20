// exporters/chosen_spans.cc: see chosen_spans.h.
#include "exporters/chosen_spans.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>
#include <unordered_map>

#include "exporters/span_key.h"

namespace camprobe::exporters {

namespace {

constexpr std::int64_t kMinute = 60ll * 1'000'000'000, kHour = 60 * kMinute;
// Parts are an hour at least, and no more than 24.
constexpr std::int64_t kMostParts = 24;
constexpr std::int64_t kLongestTree = kMinute;
// A span may be begun under one that has ended, so ended ones are forgotten only where there are many.
constexpr std::size_t kMostKnown = 100'000;

constexpr std::uint32_t kNoTree = std::numeric_limits<std::uint32_t>::max();  // what is inside is a tree of its own
constexpr std::uint32_t kLetGo = kNoTree - 1;                                 // and so is what is inside

bool overlaps(const run::Span& span, const Filter& filter) {
  return std::any_of(filter.ranges.begin(), filter.ranges.end(), [&](const TimeRange& range) {
    return span.began_ns < range.to_ns && (!span.ended_ns || *span.ended_ns >= range.from_ns);
  });
}

class Chooser {
 public:
  Chooser(run::Reader& run, const Filter& filter, std::size_t most)
      : filter_(filter),
        most_(most),
        end_of_run_(bounded_ns(run.duration_ns())),
        from_ns_(bounded_ns(filter.outer().from_ns)) {
    const std::int64_t whole = bounded_ns(filter.outer().to_ns) - from_ns_;
    part_length_ = std::max(kHour, whole / kMostParts + 1);
    parts_ = std::max<std::int64_t>(1, (whole + part_length_ - 1) / part_length_);
    out_.spans.reserve(most_ + slack() + 1);  // not touched before it is needed
    begin_part();
  }

  // In the order of their beginnings.
  void take(const run::Span& row) {
    if (!filter_.has(row.process)) return;
    ChosenSpan span{row.process, row.span, row.parent, row.name, row.begin_thread, bounded_ns(row.began_ns)};
    span.has_ended = row.ended_ns.has_value();
    span.ended_ns = std::max(span.began_ns, span.has_ended ? bounded_ns(*row.ended_ns) : end_of_run_);
    while (part_ + 1 < parts_ && span.began_ns >= from_ns_ + (part_ + 1) * part_length_) next_part();
    const auto around = known_.find({row.process, row.parent});
    const bool has_parent = row.parent != 0 && around != known_.end();
    Known known;
    known.is_inside = filter_.has(row.name) || (has_parent && around->second.is_inside);
    known.is_long = span.ended_ns - span.began_ns > kLongestTree;
    if (known.is_inside && filter_.has(row.begin_thread) && overlaps(row, filter_))
      known.tree = put(span, has_parent && !around->second.is_long ? around->second.tree : kNoTree);
    if (known_.emplace(SpanKey{row.process, row.span}, known).second)
      by_end_.emplace(span.has_ended ? span.ended_ns : std::numeric_limits<std::int64_t>::max(), row.process, row.span);
    if (known_.size() > kMostKnown) forget_one();
    if (out_.spans.size() - part_begins_ > share_ + slack()) keep_slowest();
  }

  ChosenSpans finish() {
    keep_slowest();
    return std::move(out_);
  }

 private:
  struct Known {
    std::uint32_t tree = kNoTree;
    bool is_inside = false;  // the span that is asked for, or one inside it
    bool is_long = false;
  };
  struct Tree {
    std::int64_t ns = 0;
    std::uint32_t spans = 0;
    std::uint32_t turn = 0;  // of those as slow as each other: as if drawn, so that they are not all of one minute
  };

  std::size_t slack() const { return most_ / 8; }

  // The number of its tree.
  std::uint32_t put(ChosenSpan& span, std::uint32_t tree) {
    if (tree == kLetGo) {
      ++out_.left_out;
      return kLetGo;
    }
    if (tree == kNoTree) {
      tree = static_cast<std::uint32_t>(trees_.size());
      // One that never ended is what one would look for.
      trees_.push_back(
          {span.has_ended ? span.ended_ns - span.began_ns : std::numeric_limits<std::int64_t>::max(), 0,
           static_cast<std::uint32_t>(static_cast<std::uint64_t>(span.began_ns) * 0x9e3779b97f4a7c15ull >> 32)});
    }
    span.tree = tree;
    ++trees_[tree].spans;
    out_.spans.push_back(span);
    return tree;
  }

  void begin_part() {
    part_begins_ = out_.spans.size();
    // What one part does not use is for those after it.
    share_ = (most_ - part_begins_) / static_cast<std::size_t>(parts_ - part_);
    trees_.clear();
    for (auto& [key, known] : known_) known.tree = kNoTree;
  }
  void next_part() {
    keep_slowest();
    ++part_;
    begin_part();
  }

  void forget_one() {
    const auto [ended_ns, process, span] = by_end_.top();
    by_end_.pop();
    known_.erase(SpanKey{process, span});
  }

  // Of the present part's trees the slowest that fit into its share. A tree is cut only where it alone is too large:
  // to those that began first, so that each has its parent.
  void keep_slowest() {
    if (out_.spans.size() - part_begins_ <= share_) return;
    std::vector<std::uint32_t> order(trees_.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tuple(-trees_[a].ns, trees_[a].turn, a) < std::tuple(-trees_[b].ns, trees_[b].turn, b);
    });
    std::vector<std::uint32_t> fits(trees_.size()), number(trees_.size(), kLetGo);  // spans; its number from now on
    std::size_t left = share_;
    for (const std::uint32_t tree : order) {
      if (trees_[tree].spans > left && left < share_) break;
      fits[tree] = static_cast<std::uint32_t>(std::min<std::size_t>(trees_[tree].spans, left));
      left -= fits[tree];
      if (left == 0) break;
    }
    std::uint32_t kept = 0;
    for (std::uint32_t tree = 0; tree < trees_.size(); ++tree) {
      if (fits[tree] == 0) continue;
      number[tree] = kept;
      trees_[kept] = trees_[tree];
      trees_[kept++].spans = fits[tree];
    }
    trees_.resize(kept);
    std::size_t to = part_begins_;
    for (std::size_t i = part_begins_; i < out_.spans.size(); ++i) {
      ChosenSpan& span = out_.spans[i];
      if (fits[span.tree] == 0) {
        ++out_.left_out;
        continue;
      }
      --fits[span.tree];
      span.tree = number[span.tree];
      out_.spans[to++] = span;
    }
    out_.spans.resize(to);
    for (auto& [key, known] : known_)
      if (known.tree < number.size()) known.tree = number[known.tree];
  }

  const Filter& filter_;
  const std::size_t most_;
  const std::int64_t end_of_run_, from_ns_;
  std::int64_t part_length_ = 0, parts_ = 1, part_ = 0;
  std::size_t share_ = 0, part_begins_ = 0;
  std::vector<Tree> trees_;  // of the present part
  ChosenSpans out_;
  std::unordered_map<SpanKey, Known, SpanKeyHash> known_;
  using ByEnd = std::tuple<std::int64_t, run::ProcessId, std::int64_t>;
  std::priority_queue<ByEnd, std::vector<ByEnd>, std::greater<>> by_end_;  // the first to end on top
};

}  // namespace

ChosenSpans chosen_spans(run::Reader& run, const Filter& filter, std::size_t most) {
  Chooser chooser(run, filter, most);
  run.each_span(
      {.from_ns = filter.outer().from_ns, .to_ns = filter.outer().to_ns}, run::Reader::SpanOrder::kByBegin,
      [&](const run::Span& row) { chooser.take(row); }, run::Reader::SpanAttributes::kLeaveForLater);
  return chooser.finish();
}

std::string note_of_spans(std::size_t chosen, std::size_t left_out) {
  if (left_out == 0) return "";
  return fmt::format("{} of {} spans are in it, the slowest with all inside them; choose a shorter range to have all",
                     chosen, chosen + left_out);
}

}  // namespace camprobe::exporters
