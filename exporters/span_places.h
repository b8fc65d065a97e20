// exporters/span_places.h: where among many spans one lies that is known by its number. Four bytes a span, where a hash
// table takes fifty.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "run/reader.h"

namespace camprobe::exporters {

// `Span` has `process` and `span`. The spans must outlive this.
template <class Span>
class SpanPlaces {
 public:
  explicit SpanPlaces(const std::vector<Span>& spans) : spans_(spans), by_key_(spans.size()) {
    std::iota(by_key_.begin(), by_key_.end(), 0u);
    std::stable_sort(by_key_.begin(), by_key_.end(), [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  }

  std::optional<std::uint32_t> of(run::ProcessId process, std::int64_t span) const {
    const std::pair wanted(process, span);
    const auto found = std::lower_bound(by_key_.begin(), by_key_.end(), wanted,
                                        [&](std::uint32_t at, const auto& other) { return key(at) < other; });
    return found != by_key_.end() && key(*found) == wanted ? std::optional(*found) : std::nullopt;
  }

  // Only where it lies before place `at`.
  std::optional<std::uint32_t> before(std::uint32_t at, run::ProcessId process, std::int64_t span) const {
    const auto place = of(process, span);
    return place && *place < at ? place : std::nullopt;
  }

 private:
  std::pair<run::ProcessId, std::int64_t> key(std::uint32_t at) const { return {spans_[at].process, spans_[at].span}; }

  const std::vector<Span>& spans_;
  std::vector<std::uint32_t> by_key_;
};

}  // namespace camprobe::exporters
