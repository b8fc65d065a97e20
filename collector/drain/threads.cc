#include "collector/drain/threads.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "collector/proc/proc_files.h"

namespace camprobe::drain {

ThreadDrain::Tenant& ThreadDrain::begin(std::uint32_t lane, std::uint32_t tid, std::uint64_t began_ns,
                                        const std::string& name, shm::StackId start_stack) {
  began_ns = context_.not_after_now(began_ns);
  Tenant& tenant = tenants_[lane];
  if (!tenant.has_ended) end(tenant, began_ns);
  tenant.has_ended = false;
  tenant.row = {};
  tenant.row.process = context_.process;
  tenant.row.tid = tid;
  tenant.row.name = name;
  tenant.row.began_ns = context_.clock.run_ns(began_ns);
  tenant.row.stack = context_.stack(start_stack, began_ns);
  tenant.row.id = context_.writer.add(tenant.row);
  context_.lane_begins(lane, began_ns, tenant.row.id);
  context_.tid_is(tid, tenant.row.id);
  return tenant;
}

void ThreadDrain::end(Tenant& tenant, std::uint64_t ended_ns) {
  tenant.has_ended = true;
  tenant.row.ended_ns = std::max(tenant.row.began_ns, context_.clock.run_ns(ended_ns));
  context_.writer.update(tenant.row);
}

void ThreadDrain::started(std::uint32_t lane, const shm::ReadRecord& record) {
  const auto known = tenants_.find(lane);
  if (known != tenants_.end() && !known->second.has_ended && known->second.row.tid == record.thread.tid) {
    if (record.stack != 0) known->second.row.stack = context_.stack(record.stack, record.time_ns);
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

void ThreadDrain::expect(const shm::LaneOwner& lane) {
  if (tenants_.count(lane.index) == 0 && lane.tid != 0) {
    begin(lane.index, lane.tid, lane.began_ns, lane.name, lane.start_stack);
  }
}

void ThreadDrain::save(DrainState& state) const {
  for (const auto& [lane, tenant] : tenants_) state.lanes.push_back({lane, run::number(tenant.row.id)});
}

void ThreadDrain::restore(const DrainState& state, run::Reader& run) {
  std::unordered_map<run::ThreadId, run::Thread> rows;
  for (run::Thread& row : run.threads(context_.process)) rows.emplace(row.id, std::move(row));
  for (const auto& [lane, thread] : state.lanes) {
    const auto row = rows.find(static_cast<run::ThreadId>(thread));
    if (row == rows.end()) continue;
    Tenant& tenant = tenants_[lane];
    tenant.row = row->second;
    tenant.has_ended = tenant.row.ended_ns.has_value();
    const auto began_ns = static_cast<std::uint64_t>(tenant.row.began_ns) + context_.clock.started_monotonic_ns;
    context_.lane_begins(lane, began_ns, tenant.row.id);
    context_.tid_is(static_cast<std::uint32_t>(tenant.row.tid), tenant.row.id);
  }
}

void ThreadDrain::rename(Tenant& tenant, std::string name) {
  if (name.empty() || tenant.row.name == name) return;
  tenant.row.name = std::move(name);
  context_.writer.update(tenant.row);
}

void ThreadDrain::compare(const std::vector<shm::ReadLane>& lanes, std::uint64_t now_ns) {
  constexpr std::uint64_t kNamesEvery = 5;
  for (const shm::ReadLane& lane : lanes) {
    const auto known = tenants_.find(lane.index);
    if (lane.active) {
      const bool is_same = known != tenants_.end() && !known->second.has_ended && known->second.row.tid == lane.tid;
      Tenant& tenant =
          is_same ? known->second : begin(lane.index, lane.tid, lane.began_ns, lane.name, lane.start_stack);
      if (compared_ % kNamesEvery == 0) {
        const auto name = proc::read_file("/proc/" + std::to_string(context_.region.info().pid) + "/task/" +
                                          std::to_string(lane.tid) + "/comm");
        if (name) rename(tenant, name->substr(0, name->find('\n')));
      }
    } else if (known != tenants_.end() && !known->second.has_ended) {
      end(known->second, now_ns);
    }
  }
  ++compared_;
}

}  // namespace camprobe::drain
