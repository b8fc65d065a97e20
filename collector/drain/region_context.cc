#include "collector/drain/region_context.h"

#include <functional>
#include <string_view>
#include <utility>

#include "run/text.h"
#include "shm/sample_depot.h"

namespace camprobe::drain {

namespace {

std::uint64_t hash_of(const shm::ReadStack& stack) {
  const std::string_view bytes(reinterpret_cast<const char*>(stack.frames.data()), stack.frames.size() * 8);
  return std::hash<std::string_view>{}(bytes) + (stack.complete ? 1 : 0);
}

}  // namespace

run::StackId RegionContext::stack(shm::StackId id, std::uint64_t taken_ns) {
  if (id == 0) return run::kUnknownStack;
  auto& stacks = taken_ns >= addresses_reused_ns_ ? stacks_ : stacks_before_;
  const auto known = stacks.find(id);
  if (known != stacks.end()) return known->second;
  if (stacks_made_ >= shm::kStackSlots) return run::kUnknownStack;
  auto raw = region.stack(id);
  if (!raw || raw->frames.empty()) return run::kUnknownStack;
  ++stacks_made_;
  const run::StackId stack =
      writer.add_stack(process, !raw->complete, run::RegionStack{static_cast<std::int64_t>(id), {}});
  stacks.emplace(id, stack);
  symbolizer.add_stack(symbol_process_, stack, std::move(raw->frames), false, taken_ns);
  return stack;
}

bool RegionContext::is_of_a_new_turn(shm::StackId id) {
  const std::uint32_t ahead = (shm::turn_of(id) - turn_) % shm::kTurns;
  if (!shm::is_sample_stack(id) || ahead == 0 || ahead >= shm::kTurns / 2) return false;
  turn_ = shm::turn_of(id);
  return true;
}

run::StackId RegionContext::stack_of_sample(const shm::ReadRecord& record) {
  constexpr std::size_t kMostMade = 1 << 20;  // in days; a target that makes its samples up ends here
  if (is_of_a_new_turn(record.stack)) sample_stacks_.clear();
  const bool is_current = record.time_ns >= addresses_reused_ns_;
  const Instruction key{record.stack, record.cpu.program_counter};
  if (const run::StackId* known = is_current ? sample_stacks_.find(key) : nullptr) return *known;
  auto raw = region.stack_of(record);
  if (!raw || raw->frames.empty()) return run::kUnknownStack;
  const std::uint64_t frames = hash_of(*raw);
  if (const run::StackId* same = is_current ? same_stacks_.find(frames) : nullptr) {
    sample_stacks_.remember(key, *same);
    return *same;
  }
  if (sample_stacks_made_ >= kMostMade) return run::kUnknownStack;
  ++sample_stacks_made_;
  const run::StackId stack = writer.add_stack(
      process, !raw->complete,
      run::RegionStack{static_cast<std::int64_t>(record.stack), static_cast<std::int64_t>(record.cpu.program_counter)});
  if (is_current) {
    sample_stacks_.remember(key, stack);
    same_stacks_.remember(frames, stack);
  }
  symbolizer.add_stack(symbol_process_, stack, std::move(raw->frames), true, record.time_ns);
  return stack;
}

void RegionContext::note_reused_addresses(const KnownModule& opened, std::uint64_t opened_ns) {
  const bool any = std::any_of(modules_.begin(), modules_.end(), [&](const auto& entry) {
    const run::Module &before = entry.second.row, &now = opened.row;
    return before.closed_ns && before.low < now.high && now.low < before.high &&
           (before.path != now.path || before.build_id != now.build_id || before.base != now.base);
  });
  if (!any) return;
  addresses_reused_ns_ = std::max(addresses_reused_ns_, opened_ns);
  stacks_before_ = std::exchange(stacks_, {});
  sample_stacks_.clear();
  same_stacks_.clear();
}

run::NameId RegionContext::name(shm::NameId id) {
  if (id == 0) return run::kNoName;
  const auto known = names_.find(id);
  if (known != names_.end()) return known->second;
  if (names_.size() >= shm::kNameSlots) return run::kNoName;
  const auto text = region.name(id);
  if (!text) return run::kNoName;
  return names_.emplace(id, writer.name(*text)).first->second;
}

const std::string& RegionContext::text(shm::NameId id) {
  static const std::string kNone;
  if (id == 0) return kNone;
  const auto known = texts_.find(id);
  if (known != texts_.end()) return known->second;
  const auto text = region.name(id);
  if (!text) return kNone;
  const std::string& kept = texts_.emplace(id, run::valid_utf8(*text)).first->second;
  text_bytes_ += kept.size() + 64;
  return kept;
}

void RegionContext::forget_texts() {
  constexpr std::size_t kMostBytes = 2 << 20;  // all that the probe's name table holds, four times over
  if (text_bytes_ <= kMostBytes) return;
  texts_.clear();
  text_bytes_ = 0;
}

void RegionContext::lane_begins(std::uint32_t lane, std::uint64_t began_ns, run::ThreadId thread) {
  constexpr std::size_t kRemembered = 8;  // a lane changes hands many times between two drains only in a thread storm
  std::vector<Tenant>& tenants = tenants_[lane];
  if (tenants.size() == kRemembered) tenants.erase(tenants.begin());
  tenants.push_back({began_ns, thread});
}

run::ThreadId RegionContext::thread_of(std::uint32_t lane, std::uint64_t at_ns) const {
  const auto found = tenants_.find(lane);
  if (found == tenants_.end() || found->second.empty()) return run::kNoThread;
  const std::vector<Tenant>& tenants = found->second;
  for (auto tenant = tenants.rbegin(); tenant != tenants.rend(); ++tenant) {
    if (tenant->began_ns <= at_ns) return tenant->thread;
  }
  return tenants.front().thread;
}

run::ThreadId RegionContext::thread_with_tid(std::uint32_t tid) const {
  const auto found = by_tid_.find(tid);
  return found != by_tid_.end() ? found->second : run::kNoThread;
}

void RegionContext::tid_is(std::uint32_t tid, run::ThreadId thread) {
  constexpr std::size_t kRemembered = 1 << 16;  // a program that starts a million threads reuses its tids
  if (by_tid_.size() >= kRemembered) by_tid_.clear();
  by_tid_[tid] = thread;
}

void RegionContext::tell_symbolizer(KnownModule& known, std::uint64_t opened_ns) {
  known.symbol_number = symbol_modules_++;
  symbolizer.add_module(
      symbol_process_,
      {known.row.path, known.row.build_id, static_cast<std::uint64_t>(known.row.base),
       static_cast<std::uint64_t>(known.row.low), static_cast<std::uint64_t>(known.row.high), opened_ns});
}

void RegionContext::save(DrainState& state) const {
  for (const auto& [index, known] : modules_) state.modules.push_back({index, known.row.id});
}

void RegionContext::restore(const DrainState& state, run::Reader& run) {
  for (const auto& [in_region, stack] : run.region_stacks(process)) {
    const auto id = static_cast<shm::StackId>(in_region.id);
    if (!in_region.instruction) {
      ++stacks_made_;
      stacks_.emplace(id, stack);
      continue;
    }
    ++sample_stacks_made_;
    is_of_a_new_turn(id);
    sample_stacks_.remember({id, static_cast<std::uint64_t>(*in_region.instruction)}, stack);
  }
  std::unordered_map<std::int64_t, run::Module> rows;
  for (run::Module& row : run.modules(process)) rows.emplace(row.id, std::move(row));
  for (const auto& [index, id] : state.modules) {
    const auto row = rows.find(id);
    if (row == rows.end()) continue;
    KnownModule& known = modules_[index];
    known.row = row->second;
    tell_symbolizer(known, static_cast<std::uint64_t>(known.row.opened_ns) + clock.started_monotonic_ns);
  }
}

void RegionContext::read_modules(std::uint32_t modules_used) {
  if (modules_used == 0) return;
  for (const shm::ReadModule& module : region.modules()) {
    auto [at, is_new] = modules_.try_emplace(module.index);
    KnownModule& known = at->second;
    if (is_new) {
      known.row.process = process;
      known.row.path = text(module.path);
      known.row.build_id = module.build_id;
      known.row.base = static_cast<std::int64_t>(module.base);
      known.row.low = static_cast<std::int64_t>(module.low);
      known.row.high = static_cast<std::int64_t>(module.high);
      known.row.opened_ns = clock.run_ns(not_after_now(module.opened_ns));
      known.row.id = writer.add(known.row);
      note_reused_addresses(known, module.opened_ns);
      tell_symbolizer(known, module.opened_ns);
    }
    if (!module.loaded && !known.row.closed_ns) {
      known.row.closed_ns = std::max(known.row.opened_ns, clock.run_ns(not_after_now(module.closed_ns)));
      writer.update(known.row);
      symbolizer.close_module(symbol_process_, known.symbol_number, module.closed_ns);
    }
  }
}

}  // namespace camprobe::drain
