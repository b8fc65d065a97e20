// collector/drain/threads.h
//
// Threads of one region into the run. A lane passes from thread to thread; which thread a record belongs to follows
// from the lane and the record's time.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/drain/region_context.h"

namespace camprobe::drain {

class ThreadDrain {
 public:
  explicit ThreadDrain(RegionContext& context) : context_(context) {}

  void started(std::uint32_t lane, const shm::ReadRecord& record);
  void ended(std::uint32_t lane, const shm::ReadRecord& record);
  // Once a second: names that changed, threads whose records were lost. Programs name their threads after they started
  // them, past the probe; /proc knows.
  void compare(const std::vector<shm::ReadLane>& lanes, std::uint64_t now_ns);
  void save(DrainState& state) const;
  void restore(const DrainState& state, run::Reader& run);
  // Before a round's records are used: a record's lane must have a tenant even where its start was overwritten.
  void expect(const shm::LaneOwner& lane);

 private:
  struct Tenant {
    run::Thread row;
    bool has_ended = true;
  };
  Tenant& begin(std::uint32_t lane, std::uint32_t tid, std::uint64_t began_ns, const std::string& name,
                shm::StackId start_stack);
  void end(Tenant& tenant, std::uint64_t ended_ns);
  void rename(Tenant& tenant, std::string name);

  RegionContext& context_;
  std::unordered_map<std::uint32_t, Tenant> tenants_;  // by lane
  std::uint64_t compared_ = 0;
};

}  // namespace camprobe::drain
