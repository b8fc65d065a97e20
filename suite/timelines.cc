#include "suite/timelines.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace camprobe::suite {
namespace {

using load::LoadCell;
using load::LoadTimeline;
using load::Quantiles;

// Quantiles cannot be merged; the mean by requests is what is closest, and the report says that it is one.
std::optional<Quantiles> mean_of(const std::optional<Quantiles>& a, double a_weight, const std::optional<Quantiles>& b,
                                 double b_weight) {
  if (!a || a_weight == 0) return b;
  if (!b || b_weight == 0) return a;
  const auto mean = [&](std::optional<double> x, std::optional<double> y) -> std::optional<double> {
    if (!x || !y) return std::nullopt;
    return (*x * a_weight + *y * b_weight) / (a_weight + b_weight);
  };
  Quantiles out{mean(a->p50_ms, b->p50_ms), mean(a->p95_ms, b->p95_ms), mean(a->p99_ms, b->p99_ms), std::nullopt};
  if (a->max_ms && b->max_ms) out.max_ms = std::max(*a->max_ms, *b->max_ms);
  return out;
}

void merge(LoadCell& into, const LoadCell& from) {
  into.given = mean_of(into.given, static_cast<double>(into.requests), from.given, static_cast<double>(from.requests));
  into.requests += from.requests;
  into.errors += from.errors;
  into.latency.merge(from.latency);
  if (from.users) into.users = into.users.value_or(0) + *from.users;
}

std::optional<std::uint64_t> number_before(std::string_view line, std::string_view word) {
  const std::size_t at = line.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t begin = line.find_last_of(' ', at - 1) + 1;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(line.data() + begin, line.data() + at, number);
  if (error != std::errc() || end != line.data() + at) return std::nullopt;
  return number;
}

}  // namespace

LoadTimeline joined(std::vector<LoadTimeline> parts, std::vector<load::LoadPhase> phases) {
  LoadTimeline out;
  std::map<std::pair<load::WallTime, load::Nanoseconds>, load::LoadBucket> buckets;
  out.errors = 0;
  for (LoadTimeline& part : parts) {
    const double had = static_cast<double>(out.requests.value_or(0)),
                 comes = static_cast<double>(part.requests.value_or(0));
    if (out.tool.empty()) out.tool = part.tool;
    out.given = mean_of(out.given, had, part.given, comes);
    if (part.requests) out.requests = out.requests.value_or(0) + *part.requests;
    out.errors = out.errors && part.errors ? std::optional(*out.errors + *part.errors) : std::nullopt;
    if (part.start) out.start = out.start ? std::min(*out.start, *part.start) : *part.start;
    if (part.end) out.end = out.end ? std::max(*out.end, *part.end) : *part.end;
    out.resolution = std::max(out.resolution, part.resolution);
    // The weakest of the parts: sent before intended.
    if (part.latency_basis != load::LatencyBasis::kNone && out.latency_basis != load::LatencyBasis::kSent)
      out.latency_basis = part.latency_basis;
    out.latency.merge(part.latency);
    std::vector<std::uint32_t> endpoint;
    for (const std::string& name : part.endpoints) {
      const auto found = std::find(out.endpoints.begin(), out.endpoints.end(), name);
      endpoint.push_back(static_cast<std::uint32_t>(found - out.endpoints.begin()));
      if (found == out.endpoints.end()) out.endpoints.push_back(name);
    }
    for (load::LoadBucket& bucket : part.buckets) {
      for (auto& [index, cell] : bucket.endpoints) index = endpoint[index];
      std::sort(bucket.endpoints.begin(), bucket.endpoints.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      auto [at, is_new] = buckets.try_emplace({bucket.from, bucket.width}, bucket);
      if (is_new) continue;
      merge(at->second.all, bucket.all);
      for (auto& [index, cell] : bucket.endpoints) {
        auto& list = at->second.endpoints;
        const auto same =
            std::find_if(list.begin(), list.end(), [of = index](const auto& entry) { return entry.first == of; });
        if (same != list.end())
          merge(same->second, cell);
        else
          list.emplace_back(index, cell);
      }
    }
    for (const load::ErrorKind& kind : part.error_kinds) {
      const auto same = std::find_if(out.error_kinds.begin(), out.error_kinds.end(),
                                     [&](const load::ErrorKind& other) { return other.kind == kind.kind; });
      if (same != out.error_kinds.end())
        same->count += kind.count;
      else
        out.error_kinds.push_back(kind);
    }
    out.skipped.rows += part.skipped.rows;
    for (const std::string& why : part.skipped.why) out.skipped.note(why);
    for (const std::string& note : part.notes) {
      if (std::find(out.notes.begin(), out.notes.end(), note) == out.notes.end()) out.notes.push_back(note);
    }
  }
  if (parts.empty()) out.errors.reset();
  for (auto& [key, bucket] : buckets) {
    std::sort(bucket.endpoints.begin(), bucket.endpoints.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    out.buckets.push_back(std::move(bucket));
  }
  std::stable_sort(out.error_kinds.begin(), out.error_kinds.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  out.phases = std::move(phases);
  return out;
}

ByPhase by_phase(std::vector<Part> parts, const std::vector<load::LoadPhase>& phases) {
  std::map<std::size_t, std::vector<LoadTimeline>> of_phase;
  std::vector<LoadTimeline> others;
  for (Part& part : parts) {
    const bool is_known = part.phase >= 0 && static_cast<std::size_t>(part.phase) < phases.size();
    (is_known ? of_phase[static_cast<std::size_t>(part.phase)] : others).push_back(std::move(part.timeline));
  }
  ByPhase out;
  std::vector<load::LoadPhase> shared;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (const auto found = of_phase.find(i); found != of_phase.end())
      out.alone.emplace(i, joined(std::move(found->second), {phases[i]}));
    else
      shared.push_back(phases[i]);
  }
  // A phase that nothing was sent in is one all the same.
  if (!others.empty() || !shared.empty()) out.rest = joined(std::move(others), std::move(shared));
  return out;
}

std::optional<Begun> begun_of_h2load(std::string_view printed) {
  const std::size_t at = printed.rfind("requests: ");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view line = printed.substr(at, printed.find('\n', at) - at);
  const auto began = number_before(line, " started"), done = number_before(line, " done");
  if (!began || !done) return std::nullopt;
  return Begun{*began, *done};
}

}  // namespace camprobe::suite
