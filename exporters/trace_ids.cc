// exporters/trace_ids.cc: see trace_ids.h.
#include "exporters/trace_ids.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "exporters/span_attributes.h"
#include "exporters/span_key.h"

namespace camprobe::exporters {

namespace {

struct TraceParent {
  std::string trace;  // 32 hexadecimal digits, not all 0
  std::string span;   // 16
};

bool is_id(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         text.find_first_not_of('0') != std::string_view::npos;
}

// "00-<trace id>-<parent id>-<flags>"; later versions may go on after a dash.
std::optional<TraceParent> trace_parent_of(const run::Span& span) {
  constexpr std::size_t kLength = 55;
  const std::string text = text_attribute(span.attributes, "traceparent");
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  if (text.substr(0, 2) == "ff" || (text.substr(0, 2) == "00" && text.size() != kLength)) return std::nullopt;
  TraceParent parent{text.substr(3, 32), text.substr(36, 16)};
  if (!is_id(parent.trace) || !is_id(parent.span)) return std::nullopt;
  return parent;
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

class Resolver {
 public:
  Resolver(const std::string& run_id, const std::vector<run::Span>& spans) : run_id_(run_id), spans_(spans) {
    places_.reserve(spans.size());
    for (std::size_t i = 0; i < spans.size(); ++i) places_.emplace(SpanKey{spans[i].process, spans[i].span}, i);
    ids_.resize(spans.size());
    find_begun();
  }

  std::vector<TraceIds> take() {
    for (std::size_t i = 0; i < spans_.size(); ++i) ids_of(i, 0);
    return std::move(ids_);
  }

 private:
  static constexpr int kDeepest = 512;  // parents may form a ring in a damaged run

  std::optional<std::size_t> parent_of(std::size_t at) const {
    const auto parent = places_.find({spans_[at].process, spans_[at].parent});
    if (parent == places_.end() || parent->second == at) return std::nullopt;
    return parent->second;
  }

  // Traces that a request began: by its place, the trace of the first call inside it.
  void find_begun() {
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      std::optional<std::size_t> above = parent_of(i);
      if (!above) continue;
      const auto carried = trace_parent_of(spans_[i]);
      if (!carried) continue;
      std::size_t root = *above;
      for (int depth = 0; depth < kDeepest; ++depth) {
        above = parent_of(root);
        if (!above) break;
        root = *above;
      }
      begun_.emplace(root, carried->trace);
    }
  }

  std::string own_id(const run::Span& span) const {
    return fmt::format("{:016x}", hash_of(fmt::format("{}/{}/{}", run_id_, run::number(span.process), span.span), 0));
  }
  std::string own_trace(const run::Span& span, std::int64_t root) const {
    const std::string text = fmt::format("{}/{}/{}", run_id_, run::number(span.process), root);
    return fmt::format("{:016x}{:016x}", hash_of(text, 1), hash_of(text, 2));
  }

  // Parents begin before their children, so their ids are there already; not so where parents form a ring.
  const TraceIds& ids_of(std::size_t at, int depth) {
    TraceIds& ids = ids_[at];
    if (!ids.span.empty()) return ids;
    const run::Span& span = spans_[at];
    const auto carried = trace_parent_of(span);
    const std::optional<std::size_t> parent = parent_of(at);
    ids.span = own_id(span);  // before the parent is asked, which ends a ring
    if (parent && depth < kDeepest) {
      const TraceIds above = ids_of(*parent, depth + 1);
      ids.trace = above.trace;
      ids.parent = above.span;
      ids.received = above.received;
      if (carried && carried->span != above.received) {
        if (carried->trace == above.trace || above.received.empty()) ids.span = carried->span;
        if (carried->trace != above.trace) {  // a trace of its own: what it lies in is of another
          ids.trace = carried->trace;
          ids.parent.clear();
        }
      }
      if (ids.trace.empty()) ids.trace = own_trace(span, span.span);
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

  const std::string& run_id_;
  const std::vector<run::Span>& spans_;
  std::unordered_map<SpanKey, std::size_t, SpanKeyHash> places_;
  std::unordered_map<std::size_t, std::string> begun_;
  std::vector<TraceIds> ids_;
};

}  // namespace

std::vector<TraceIds> trace_ids(const std::string& run_id, const std::vector<run::Span>& spans) {
  return Resolver(run_id, spans).take();
}

std::string trace_of(const run::Span& span) {
  const auto carried = trace_parent_of(span);
  return carried ? carried->trace : "";
}

}  // namespace camprobe::exporters
