// exporters/trace_ids.cc: see trace_ids.h.
#include "exporters/trace_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "exporters/span_attributes.h"
#include "exporters/span_places.h"

namespace camprobe::exporters {

namespace {

struct TraceParent {
  TraceId trace;  // not all 0
  std::uint64_t span = 0;
};

std::optional<std::uint64_t> word_of(std::string_view hex) {
  if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  std::uint64_t word = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), word, 16);
  return word;
}

// "00-<trace id>-<parent id>-<flags>"; later versions may go on after a dash.
std::optional<TraceParent> trace_parent_of(const std::string& attributes) {
  constexpr std::size_t kLength = 55;
  const std::string text = text_attribute(attributes, "traceparent");
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  if (text.substr(0, 2) == "ff" || (text.substr(0, 2) == "00" && text.size() != kLength)) return std::nullopt;
  const std::string_view view = text;
  const auto high = word_of(view.substr(3, 16)), low = word_of(view.substr(19, 16)),
             span = word_of(view.substr(36, 16));
  if (!high || !low || !span || (*high == 0 && *low == 0) || *span == 0) return std::nullopt;
  return TraceParent{{*high, *low}, *span};
}

// FNV-1a, then a round of mixing: ids must differ, not be secret.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 14695981039346656037ull ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 33;
  return hash == 0 ? 1 : hash;
}

template <class Span>
class Resolver {
 public:
  template <class AttributesOf>
  Resolver(std::string run_id, const std::vector<Span>& spans, AttributesOf attributes_of)
      : run_id_(std::move(run_id)), spans_(spans), places_(spans), ids_(spans.size()) {
    for (std::uint32_t i = 0; i < spans.size(); ++i) {
      if (const auto carried = trace_parent_of(attributes_of(spans[i]))) carried_.push_back({i, *carried});
    }
    find_begun();
  }

  std::vector<TraceIds> take() {
    for (std::uint32_t i = 0; i < spans_.size(); ++i) ids_of(i, 0);
    return std::move(ids_);
  }

 private:
  static constexpr int kDeepest = 512;  // parents may form a ring in a damaged run

  struct Carried {
    std::uint32_t at;
    TraceParent parent;
  };

  std::optional<std::uint32_t> parent_of(std::uint32_t at) const {
    const auto parent = places_.of(spans_[at].process, spans_[at].parent);
    return parent && *parent != at ? parent : std::nullopt;
  }

  std::optional<TraceParent> carried_by(std::uint32_t at) const {
    const auto found = std::lower_bound(carried_.begin(), carried_.end(), at,
                                        [](const Carried& row, std::uint32_t place) { return row.at < place; });
    return found != carried_.end() && found->at == at ? std::optional(found->parent) : std::nullopt;
  }

  // Traces that a request began: by its place, the trace of the first call inside it.
  void find_begun() {
    for (const Carried& row : carried_) {
      std::optional<std::uint32_t> above = parent_of(row.at);
      if (!above) continue;
      std::uint32_t root = *above;
      for (int depth = 0; depth < kDeepest; ++depth) {
        above = parent_of(root);
        if (!above) break;
        root = *above;
      }
      begun_.emplace(root, row.parent.trace);
    }
  }

  std::uint64_t own_id(const Span& span) const {
    return hash_of(fmt::format("{}/{}/{}", run_id_, run::number(span.process), span.span), 0);
  }
  TraceId own_trace(const Span& span, std::int64_t root) const {
    const std::string text = fmt::format("{}/{}/{}", run_id_, run::number(span.process), root);
    return {hash_of(text, 1), hash_of(text, 2)};
  }

  // Parents begin before their children, so their ids are there already; not so where parents form a ring.
  const TraceIds& ids_of(std::uint32_t at, int depth) {
    TraceIds& ids = ids_[at];
    if (ids.span != 0) return ids;
    const Span& span = spans_[at];
    const auto carried = carried_by(at);
    const std::optional<std::uint32_t> parent = parent_of(at);
    ids.span = own_id(span);  // before the parent is asked, which ends a ring
    if (parent && depth < kDeepest) {
      const TraceIds above = ids_of(*parent, depth + 1);
      ids.trace = above.trace;
      ids.parent = above.span;
      ids.received = above.received;
      if (carried && carried->span != above.received) {
        if (carried->trace == above.trace || above.received == 0) ids.span = carried->span;
        if (carried->trace != above.trace) {  // a trace of its own: what it lies in is of another
          ids.trace = carried->trace;
          ids.parent = 0;
        }
      }
      if (ids.trace == TraceId()) ids.trace = own_trace(span, span.span);
    } else if (carried) {
      ids.trace = carried->trace;
      ids.parent = ids.received = carried->span;
      ids.is_entry = true;
    } else if (const auto begun = begun_.find(at); begun != begun_.end()) {
      ids.trace = begun->second;
    } else {
      // Spans of one parent that was not kept are of one trace.
      ids.trace = own_trace(span, span.parent != 0 ? span.parent : span.span);
    }
    return ids;
  }

  const std::string run_id_;
  const std::vector<Span>& spans_;
  const SpanPlaces<Span> places_;
  std::vector<Carried> carried_;  // by place
  std::unordered_map<std::uint32_t, TraceId> begun_;
  std::vector<TraceIds> ids_;
};

}  // namespace

std::string text_of(const TraceId& trace) {
  return fmt::format("{:016x}{:016x}", trace.high, trace.low);
}

std::string text_of_span_id(std::uint64_t span) {
  return fmt::format("{:016x}", span);
}

std::vector<TraceIds> trace_ids(const std::string& run_id, const std::vector<run::Span>& spans) {
  return Resolver(run_id, spans, [](const run::Span& span) { return span.attributes; }).take();
}

std::vector<TraceIds> trace_ids(run::Reader& run, const std::vector<ChosenSpan>& spans) {
  return Resolver(run.meta().run_id, spans,
                  [&](const ChosenSpan& span) { return run.attributes_of(span.process, span.span); })
      .take();
}

bool has_trace(const run::Span& span) {
  return trace_parent_of(span.attributes).has_value();
}

}  // namespace camprobe::exporters
