// collector/drain/heap.h
//
// Sampled allocations of one region into the run: what was allocated (alloc), what outlived a second (heap_object), how
// long things lived (lifetime), and the live heap.
//
// Records are history and may be lost; the live table is the truth. So the table is copied and compared: a sample in
// the table that no record told of is taken up, one that is gone without a record is dead. Copying and comparing tens
// of thousands of samples costs milliseconds, so it is done in seconds in which records were lost or the table's own
// count never was what the records add up to, and every ten seconds in any case. A free may be drained before its
// allocation (they are in different threads' rings): it then waits two rounds for it.
//
// Weights (Horvitz-Thompson): an allocation of n bytes is sampled with probability p = 1 - exp(-n/T), so it stands for
// 1/p objects and n/p bytes; T 0 means every one is recorded. A size of 0 counts as 1 here, as the probe counts it.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "collector/drain/flat_map.h"
#include "collector/drain/region_context.h"

namespace camprobe::drain {

struct SampleWeight {
  double objects = 0, bytes = 0;
};
SampleWeight weigh(std::uint64_t size, std::uint64_t interval);

// Ages in octaves: k holds [2^k, 2^(k+1)) microseconds; octave 0 also what is younger.
std::int64_t age_octave(std::uint64_t age_ns);

class HeapDrain {
 public:
  static constexpr std::uint64_t kMinAgeNs = 1'000'000'000;  // meta.heap_object_min_age_ns

  explicit HeapDrain(RegionContext& context) : context_(context) {}

  // Objects need not come of age to be stored.
  void take_the_young() { min_age_ns_ = 0; }

  void allocated(const shm::ReadRecord& record, run::ThreadId thread, run::NameId span_name);
  void freed(const shm::ReadRecord& record);
  void mapped(const shm::ReadRecord& record);
  void unmapped(const shm::ReadRecord& record);

  void save(DrainState& state) const;
  // What was alive when a recording before this one was cut short. What has died since is found out by the comparison
  // with the live table.
  void restore(const DrainState& state, run::Reader& run);

  // After each round of draining: frees whose allocation has not come are booked on what they say themselves.
  // `live_in_table`: the table's count when the round began.
  void end_round(std::uint64_t live_in_table, bool has_lost_records);

  // Once a second: compares with the live table where that is due, stores objects that have come of age, writes the
  // live heap's series. `is_last`: it is due.
  void end_second(std::uint64_t now_ns, std::int64_t second, bool is_last);

 private:
  struct Object {
    run::StackId stack{};
    run::ThreadId thread{};
    run::NameId span_name{};
    std::uint64_t size = 0, interval = 0, born_ns = 0;
    std::uint32_t missed = 0;  // times the live table did not have it
    bool is_stored = false;    // a heap_object row exists
  };
  struct LateFree {
    shm::ReadRecord record;
    int rounds = 0;
  };
  struct LiveHeap {
    double objects = 0, bytes = 0, mapped_bytes = 0;
  };
  void keep(std::uint64_t sample, const Object& object);
  void store(std::uint64_t sample, const Object& object, std::uint64_t died_ns);  // 0: alive
  void die(std::uint64_t sample, const Object& object, std::uint64_t died_ns, bool is_temporary);
  LiveHeap compare(std::uint64_t now_ns);
  void come_of_age(std::uint64_t now_ns);

  RegionContext& context_;
  std::uint64_t min_age_ns_ = kMinAgeNs;
  FlatMap<Object> live_;                                       // by sample; as many as the live table holds
  LiveHeap sum_;                                               // of live_ and mappings_
  std::deque<std::pair<std::uint64_t, std::uint64_t>> young_;  // sample, birth; oldest first
  std::unordered_map<std::uint64_t, LateFree> late_frees_;
  std::unordered_map<std::uint64_t, run::Mapping> mappings_;  // by sample
  // Whether the table is to be compared.
  bool agreed_ = false;     // in some round of this second
  int compares_due_ = 0;    // after a loss: what is gone shows only in the second one
  int since_compared_ = 0;  // seconds
};

}  // namespace camprobe::drain
