// tests/load/fuzz_adapter.h: any bytes through one adapter: no crash, and what must hold of every timeline holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "collector/load/adapter.h"
#include "collector/load/describe.h"

namespace camprobe::load {

inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken: %s\n", what);
  std::abort();
}

inline int fuzz_adapter(const Adapter& adapter, const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)adapter.recognises(text.substr(0, kHeadSize));
  const auto input = memory_input(text, 1 + size % 61);
  const run::Result<LoadTimeline> read = adapter.read(*input);
  if (!read) {
    must(!read.error().empty(), "an error has a sentence");
    return 0;
  }
  const LoadTimeline& timeline = read.value();
  must(timeline.tool == adapter.tool, "the timeline names its tool");
  must(timeline.skipped.why.size() <= Skipped::kReasonsKept, "reasons are bounded");
  must(!timeline.start || !timeline.end || *timeline.start <= *timeline.end || timeline.tool != "h2load",
       "start before end");
  std::uint64_t latencies = 0;
  const LoadBucket* before = nullptr;
  for (const LoadBucket& bucket : timeline.buckets) {
    must(before == nullptr || before->from <= bucket.from, "buckets ascend");
    must(bucket.width.count() > 0, "buckets have a width");
    latencies += bucket.all.latency.count();
    for (const auto& [endpoint, cell] : bucket.endpoints)
      must(endpoint < timeline.endpoints.size(), "endpoints have names");
    before = &bucket;
  }
  must(latencies == timeline.latency.count(), "the buckets' latencies are those of the whole");
  for (const LoadPhase& phase : timeline.phases) must(phase.from <= phase.to, "phases run forwards");
  must(!describe_text(timeline).empty(), "there is a description");
  must(nlohmann::json::accept(describe_json(timeline).dump()), "the description is JSON");
  return 0;
}

}  // namespace camprobe::load
