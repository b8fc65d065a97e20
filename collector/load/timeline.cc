// collector/load/timeline.cc: the few questions a timeline answers about itself.
#include "collector/load/timeline.h"

namespace camprobe::load {

const char* to_string(LatencyBasis basis) {
  switch (basis) {
    case LatencyBasis::kSent:
      return "sent";
    case LatencyBasis::kIntended:
      return "intended";
    case LatencyBasis::kNone:
      break;
  }
  return "none";
}

void Skipped::row(std::string reason) {
  ++rows;
  note(std::move(reason));
}

void Skipped::note(std::string reason) {
  if (why.size() < kReasonsKept) why.push_back(std::move(reason));
}

std::optional<Quantiles> LoadTimeline::quantiles() const {
  if (latency.empty()) return given;
  const auto ms = [&](double q) { return static_cast<double>(*latency.quantile(q)) / 1e6; };
  return Quantiles{ms(0.5), ms(0.95), ms(0.99), ms(1)};
}

void LoadTimeline::place(WallTime began) {
  if (start || end || !duration || *duration <= Nanoseconds{0}) return;
  start = began;
  end = began + *duration;
  LoadBucket bucket{began, *duration, {}, {}};
  bucket.all.requests = requests.value_or(0);
  bucket.all.errors = errors.value_or(0);
  bucket.all.given = given;
  bucket.all.users = users;
  if (endpoints.size() == 1) bucket.endpoints.emplace_back(0, bucket.all);
  buckets.push_back(std::move(bucket));
  phases.push_back({"load", "load", *start, *end});
}

}  // namespace camprobe::load
