// exporters/span_key.h: what names a span in a run, as the key of a hash table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "run/reader.h"

namespace camprobe::exporters {

using SpanKey = std::pair<run::ProcessId, std::int64_t>;
struct SpanKeyHash {
  std::size_t operator()(const SpanKey& key) const {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(key.second) * 0x9e3779b97f4a7c15ull) ^
           static_cast<std::size_t>(run::number(key.first));
  }
};

}  // namespace camprobe::exporters
