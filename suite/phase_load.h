// suite/phase_load.h
//
// What each phase was sent and how long that took. Of a load tool that runs a process for each phase, all that the
// process did, to the request; of one that runs through all phases, the seconds that lie in the phase by their middles.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "suite/engine.h"

namespace camprobe::suite {

// Of outcome.phases[phase].
std::vector<load::LoadBucket> buckets_of_phase(const RunOutcome& outcome, std::size_t phase);

// {requests, errors, throughput_rps, latency_p50_ms, _p95_ms, _p99_ms}; null what the tool does not tell.
nlohmann::ordered_json phase_load(const RunOutcome& outcome, std::size_t phase);

}  // namespace camprobe::suite
