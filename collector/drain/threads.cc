#include "collector/drain/threads.h"

#include <cstring>
#include <string>

namespace camprobe::drain {

ThreadDrain::Tenant& ThreadDrain::begin(std::uint32_t lane, std::uint32_t tid, std::uint64_t began_ns,
                                        const std::string& name, shm::StackId start_stack) {
  Tenant& tenant = tenants_[lane];
  if (!tenant.has_ended) end(tenant, began_ns);
  tenant.has_ended = false;
  tenant.row = {};
  tenant.row.process = context_.process;
  tenant.row.tid = tid;
  tenant.row.name = name;
  tenant.row.began_ns = context_.clock.run_ns(began_ns);
  tenant.row.stack = context_.stack(start_stack, false, began_ns);
  tenant.row.id = context_.writer.add(tenant.row);
  context_.lane_begins(lane, began_ns, tenant.row.id);
  context_.tid_is(tid, tenant.row.id);
  return tenant;
}

void ThreadDrain::end(Tenant& tenant, std::uint64_t ended_ns) {
  tenant.has_ended = true;
  tenant.row.ended_ns = context_.clock.run_ns(ended_ns);
  context_.writer.update(tenant.row);
}

void ThreadDrain::started(std::uint32_t lane, const shm::ReadRecord& record) {
  const auto known = tenants_.find(lane);
  if (known != tenants_.end() && !known->second.has_ended && known->second.row.tid == record.thread.tid) {
    if (record.stack != 0) known->second.row.stack = context_.stack(record.stack, false, record.time_ns);
    context_.writer.update(known->second.row);
    return;
  }
  const std::string name(record.thread.name, ::strnlen(record.thread.name, sizeof record.thread.name));
  begin(lane, record.thread.tid, record.time_ns, name, record.stack);
}

void ThreadDrain::ended(std::uint32_t lane, const shm::ReadRecord& record) {
  const auto known = tenants_.find(lane);
  if (known == tenants_.end() || known->second.has_ended || known->second.row.tid != record.thread.tid) return;
  end(known->second, record.time_ns);
}

void ThreadDrain::expect(const shm::ReadLane& lane) {
  if (tenants_.count(lane.index) == 0 && lane.tid != 0) {
    begin(lane.index, lane.tid, lane.began_ns, lane.name, lane.start_stack);
  }
}

void ThreadDrain::compare(const std::vector<shm::ReadLane>& lanes, std::uint64_t now_ns) {
  for (const shm::ReadLane& lane : lanes) {
    const auto known = tenants_.find(lane.index);
    if (lane.active) {
      const bool is_same = known != tenants_.end() && !known->second.has_ended && known->second.row.tid == lane.tid;
      Tenant& tenant =
          is_same ? known->second : begin(lane.index, lane.tid, lane.began_ns, lane.name, lane.start_stack);
      if (tenant.row.name != lane.name && !lane.name.empty()) {
        tenant.row.name = lane.name;
        context_.writer.update(tenant.row);
      }
    } else if (known != tenants_.end() && !known->second.has_ended) {
      end(known->second, now_ns);
    }
  }
}

}  // namespace camprobe::drain
