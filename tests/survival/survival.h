// tests/survival/survival.h
//
// What the survival tests share: their program, how large they are, and what a region's lanes add up to.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/probe/probed.h"

namespace camprobe::tests {

// The program that does nasty things (victim.h).
std::string victim();

// How many: `usual` in every test run, or what the environment says in `variable` (scripts/survival-long).
long scaled(const char* variable, long usual);
// A time limit for so much more work than usual.
int seconds_for(int usual_seconds, long amount, long usual);

// All lanes, and what threads without a lane did.
struct Totals {
  std::uint64_t allocs = 0, frees = 0, bytes = 0;
  shm::IoCounter io[shm::kIoKinds] = {};

  const shm::IoCounter& of(shm::IoKind kind) const { return io[static_cast<std::uint32_t>(kind)]; }
};
Totals totals_of(const shm::RegionReader& region);
// What `some` has beyond `none`: the same program, with and without its workload.
Totals operator-(const Totals& some, const Totals& none);

std::uint64_t lost(const shm::RegionReader& region, shm::Loss loss);

// How many live samples of heap blocks there are of each size; and their addresses.
std::map<std::uint64_t, std::uint64_t> live_by_size(const shm::RegionReader& region);
std::set<std::uint64_t> live_addresses(const shm::RegionReader& region, std::uint64_t bytes);

// At this interval a block of some thousand bytes is sampled always (probability 1 - e^-60 and more).
inline const std::map<std::string, std::string> kSampleAll = {{"CAMPROBE_HEAP_INTERVAL", "64"}};
inline const std::map<std::string, std::string> kDensest = {{"CAMPROBE_HEAP_INTERVAL", "64"},
                                                            {"CAMPROBE_CPU_HZ", "4000"}};

}  // namespace camprobe::tests
