// viewer/page_traces.cc: see page_traces.h.
#include "viewer/page_traces.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/span_attributes.h"
#include "exporters/trace_ids.h"
#include "viewer/page_values.h"

namespace camprobe::viewer {

using exporters::printable_utf8;
using exporters::shortened;
using nlohmann::json;
using run::number;

namespace {

constexpr std::size_t kMostRows = 200'000;          // of spans in the time of the chosen
constexpr std::int64_t kLongest = 600ll * kSecond;  // of one request's time that is looked at
constexpr int kDeepest = 64;

// What a choice needs to know of a span that lies in no other.
struct Root {
  std::int64_t ns = 0;
  std::int64_t began_ns = 0;
  run::ProcessId process{};
  std::int64_t span = 0;

  bool operator<(const Root& other) const {
    return ns != other.ns ? ns > other.ns : std::pair(process, span) < std::pair(other.process, other.span);
  }
};

class Slowest {
 public:
  explicit Slowest(std::size_t most) : most_(most) {}
  void offer(const Root& root) {
    if (heap_.size() < most_) {
      heap_.push_back(root);
    } else if (most_ > 0 && root < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = root;
    } else {
      return;
    }
    std::push_heap(heap_.begin(), heap_.end());
  }
  const std::vector<Root>& chosen() const { return heap_; }

 private:
  std::size_t most_;
  std::vector<Root> heap_;  // the quickest in front
};

// Each as likely as any other (Vitter's algorithm R), and the same ones each time.
class AtRandom {
 public:
  explicit AtRandom(std::size_t most) : most_(most) {}
  void offer(const Root& root) {
    ++offered_;
    if (chosen_.size() < most_) {
      chosen_.push_back(root);
      return;
    }
    const std::size_t at = std::uniform_int_distribution<std::size_t>(0, offered_ - 1)(generator_);
    if (at < most_) chosen_[at] = root;
  }
  const std::vector<Root>& chosen() const { return chosen_; }

 private:
  std::size_t most_;
  std::size_t offered_ = 0;
  std::vector<Root> chosen_;
  std::mt19937_64 generator_{1};
};

// Indices instead of the same texts again and again.
class Texts {
 public:
  std::size_t at(const std::string& text) {
    const auto [found, is_new] = places_.try_emplace(text, list_.size());
    if (is_new) list_.push_back(text);
    return found->second;
  }
  json take() { return std::move(list_); }

 private:
  std::unordered_map<std::string, std::size_t> places_;
  json list_ = json::array();
};

class TraceWriter {
 public:
  TraceWriter(run::Reader& run, const std::vector<run::Span>& spans, const std::vector<exporters::TraceIds>& ids,
              std::size_t most_spans)
      : run_(run), spans_(spans), ids_(ids), most_spans_(most_spans), duration_ns_(run.duration_ns()) {
    for (const run::Thread& thread : run.threads())
      threads_.emplace(thread.id, fmt::format("{} {}", thread.tid, printable_utf8(thread.name)));
  }

  // `members`: places in `spans`, by their beginning.
  json write(const std::vector<std::size_t>& members) {
    std::unordered_map<std::uint64_t, std::size_t> place_of;  // by a span's id
    for (const std::size_t at : members) place_of.emplace(ids_[at].span, at);
    std::unordered_map<std::size_t, std::vector<std::size_t>> children;
    std::vector<std::size_t> tops;
    for (const std::size_t at : members) {
      const auto parent = place_of.find(ids_[at].parent);
      if (ids_[at].parent == 0 || parent == place_of.end() || parent->second == at)
        tops.push_back(at);
      else
        children[parent->second].push_back(at);
    }
    if (tops.empty()) return json();  // parents that form a ring
    const std::size_t first = tops.front();
    from_ns_ = spans_[first].began_ns;
    std::int64_t to_ns = 0;
    for (const std::size_t at : members) to_ns = std::max(to_ns, end_of(at));
    json rows = json::array();
    for (const std::size_t top : tops) add(top, 0, children, rows);
    return {{"id", exporters::text_of(ids_[first].trace)},       {"at_s", seconds(from_ns_)},
            {"ms", static_cast<double>(to_ns - from_ns_) / 1e6}, {"is_complete", spans_[first].ended_ns.has_value()},
            {"left_out", members.size() - rows.size()},          {"spans", std::move(rows)}};
  }
  json take_texts() { return texts_.take(); }

 private:
  std::int64_t end_of(std::size_t at) const {
    return std::max(spans_[at].began_ns, spans_[at].ended_ns.value_or(std::max(duration_ns_, spans_[at].began_ns)));
  }

  void add(std::size_t at, int depth, const std::unordered_map<std::size_t, std::vector<std::size_t>>& children,
           json& rows) {
    if (rows.size() >= most_spans_ || depth >= kDeepest) return;
    const run::Span& span = spans_[at];
    const std::string& name = run_.name(span.name);
    json attributes = json::array();
    for (const exporters::SpanAttribute& attribute : exporters::attributes_of(span.attributes)) {
      if (attribute.key == "traceparent") continue;  // its ids are in the trace's, and in the tree
      json value;
      if (const auto* text = std::get_if<std::string>(&attribute.value))
        value = shortened(*text, 200);
      else if (const auto* flag = std::get_if<bool>(&attribute.value))
        value = *flag;
      else
        value = short_number(std::get<double>(attribute.value));
      attributes.push_back({texts_.at(shortened(attribute.key, 100)), std::move(value)});
    }
    const auto thread = threads_.find(span.begin_thread);
    rows.push_back({depth, texts_.at(name.empty() ? "[unnamed span]" : shortened(printable_utf8(name), 200)),
                    number(span.process), thread == threads_.end() ? json() : json(texts_.at(thread->second)),
                    static_cast<double>(span.began_ns - from_ns_) / 1e6,
                    span.ended_ns ? json(static_cast<double>(end_of(at) - span.began_ns) / 1e6) : json(),
                    std::move(attributes)});
    const auto inside = children.find(at);
    if (inside == children.end()) return;
    for (const std::size_t child : inside->second) add(child, depth + 1, children, rows);
  }

  run::Reader& run_;
  const std::vector<run::Span>& spans_;
  const std::vector<exporters::TraceIds>& ids_;
  const std::size_t most_spans_;
  const std::int64_t duration_ns_;
  std::unordered_map<run::ThreadId, std::string> threads_;
  Texts texts_;
  std::int64_t from_ns_ = 0;  // of the trace being written
};

using Times = std::vector<std::pair<std::int64_t, std::int64_t>>;

// The chosen ones' times, in order and apart; a little more, for what called them.
Times times_of(const std::vector<Root>& slow, const std::vector<Root>& random) {
  Times times;
  for (const auto* roots : {&slow, &random}) {
    for (const Root& root : *roots)
      times.emplace_back(root.began_ns - kSecond,
                         root.began_ns + std::clamp<std::int64_t>(root.ns, 0, kLongest) + kSecond);
  }
  std::sort(times.begin(), times.end());
  std::size_t last = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    if (times[i].first <= times[last].second)
      times[last].second = std::max(times[last].second, times[i].second);
    else
      times[++last] = times[i];
  }
  if (!times.empty()) times.resize(last + 1);
  return times;
}

// What began in the chosen ones' time, by its beginning.
std::vector<run::Span> spans_around(run::Reader& run, const std::vector<Root>& slow, const std::vector<Root>& random,
                                    bool& is_cut) {
  std::vector<run::Span> spans;
  const Times times = times_of(slow, random);
  if (times.empty()) return spans;
  run.each_span({.from_ns = times.front().first, .to_ns = times.back().second + 1}, run::Reader::SpanOrder::kAsStored,
                [&](run::Span& span) {
                  const auto after = std::upper_bound(times.begin(), times.end(), std::pair(span.began_ns, INT64_MAX));
                  if (after == times.begin() || std::prev(after)->second < span.began_ns) return;
                  if (spans.size() < kMostRows)
                    spans.push_back(std::move(span));
                  else
                    is_cut = true;
                });
  std::sort(spans.begin(), spans.end(), [](const run::Span& a, const run::Span& b) {
    return std::tuple(a.began_ns, a.process, a.span) < std::tuple(b.began_ns, b.process, b.span);
  });
  return spans;
}

}  // namespace

json traces(run::Reader& run, const PageLimits& limits, json& notes) {
  // A span that another process called is seldom a trace's outermost, and takes the place of none that is: both kinds
  // have a choice of their own, because only with the ids, which need the spans around, is it known.
  const std::int64_t end_of_run = run.duration_ns();
  Slowest slowest(limits.traces), slowest_called(limits.traces);
  AtRandom random(2 * limits.traces);  // some lead to traces that are among the slowest, or to each other's
  std::size_t roots = 0;
  run.each_span({}, run::Reader::SpanOrder::kAsStored, [&](run::Span& span) {
    if (span.parent != 0) return;
    ++roots;
    const std::int64_t ended_ns = span.ended_ns.value_or(std::max(end_of_run, span.began_ns));
    const Root root{ended_ns - span.began_ns, span.began_ns, span.process, span.span};
    (exporters::has_trace(span) ? slowest_called : slowest).offer(root);
    if (span.ended_ns) random.offer(root);
  });
  std::vector<Root> slow = slowest.chosen();
  slow.insert(slow.end(), slowest_called.chosen().begin(), slowest_called.chosen().end());
  std::sort(slow.begin(), slow.end());

  bool is_cut = false;
  const std::vector<run::Span> spans = spans_around(run, slow, random.chosen(), is_cut);
  const std::vector<exporters::TraceIds> ids = exporters::trace_ids(run.meta().run_id, spans);
  std::map<exporters::TraceId, std::vector<std::size_t>> members;
  std::map<std::pair<run::ProcessId, std::int64_t>, std::size_t> places;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    members[ids[i].trace].push_back(i);
    places.emplace(std::pair(spans[i].process, spans[i].span), i);
  }

  TraceWriter writer(run, spans, ids, limits.trace_spans);
  json list = json::array();
  std::set<exporters::TraceId> is_written;
  const auto write = [&](const std::vector<Root>& some, const char* chosen) {
    std::size_t count = 0;
    for (const Root& root : some) {
      const auto place = places.find(std::pair(root.process, root.span));
      if (count >= limits.traces || place == places.end()) continue;
      const exporters::TraceId trace = ids[place->second].trace;
      if (!is_written.insert(trace).second) continue;
      json one = writer.write(members[trace]);
      if (one.is_null()) continue;
      one["chosen"] = chosen;
      list.push_back(std::move(one));
      ++count;
    }
  };
  write(slow, "slowest");
  write(random.chosen(), "random");
  std::stable_sort(list.begin(), list.end(), [](const json& a, const json& b) { return a["ms"] > b["ms"]; });
  if (is_cut) notes.push_back(fmt::format("Traces hold what was found among {} spans of their time.", kMostRows));
  return {{"recorded", roots}, {"texts", writer.take_texts()}, {"list", std::move(list)}};
}

}  // namespace camprobe::viewer
