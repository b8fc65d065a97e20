// run/span_names.cc: see span_names.h.
#include "run/span_names.h"

namespace camprobe::run {

std::map<NameId, bool> names_of_spans(Reader& reader) {
  std::map<NameId, bool> names;
  reader.each_span(
      {}, Reader::SpanOrder::kAsStored,
      [&](const Span& span) {
        bool& is_root = names[span.name];
        is_root = is_root || span.parent == 0;
      },
      Reader::SpanAttributes::kLeaveForLater);
  return names;
}

}  // namespace camprobe::run
