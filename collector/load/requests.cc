// collector/load/requests.cc: see requests.h.
#include "collector/load/requests.h"

#include "collector/load/phases.h"

namespace camprobe::load {

void RequestSums::finish(LoadTimeline& timeline) {
  timeline.requests = requests_;
  timeline.errors = errors_;
  timeline.error_kinds = kinds.take();
  series.finish(timeline);
  timeline.latency_basis = timeline.latency.empty() ? LatencyBasis::kNone : LatencyBasis::kSent;
  add_phases(timeline);
}

}  // namespace camprobe::load
