// run/reader_samples.cc
//
// What was sampled: time on CPU, waiting, allocations and what became of them.
#include "run/reader_state.h"

namespace camprobe::run {
namespace {

HeapObject heap_object_of(Statement& s) {
  HeapObject row;
  row.process = s.id<ProcessId>();
  row.sample = s.integer();
  row.stack = s.id<StackId>();
  row.thread = s.id<ThreadId>();
  row.span_name = s.id<NameId>();
  row.size = s.integer();
  row.interval = s.integer();
  row.bytes = s.real();
  row.objects = s.real();
  row.born_ns = s.integer();
  row.died_ns = s.optional_integer();
  return row;
}

StackWeight stack_weight_of(Statement& s) {
  StackWeight row;
  row.process = s.id<ProcessId>();
  row.stack = s.id<StackId>();
  row.samples = s.integer();
  row.weight = s.real();
  row.objects = s.real();
  row.temporary_objects = s.real();
  return row;
}

// Objects born in [from, to) and alive at `at`, by stack.
std::string objects_alive_sql(const Slice& slice) {
  std::string sql =
      "SELECT process, stack, count(*), sum(bytes) AS weight, sum(objects), 0 FROM heap_object "
      "WHERE born_ns >= ? AND born_ns < ? AND born_ns <= ? AND (died_ns IS NULL OR died_ns > ?)";
  if (slice.process) sql += " AND process = ?";
  if (slice.span_name) sql += " AND span_name = ?";
  return sql + " GROUP BY process, stack ORDER BY weight DESC, stack";
}

void bind_objects_alive(Statement& s, const Slice& slice, std::int64_t from, std::int64_t to, std::int64_t at) {
  s.bind(from).bind(to).bind(at).bind(at);
  if (slice.process) s.bind(*slice.process);
  if (slice.span_name) s.bind(*slice.span_name);
}

}  // namespace

std::vector<StackWeight> Reader::cpu(const Slice& slice) {
  const SliceFilter filter{slice, true, true};
  return state_->all<StackWeight>("SELECT process, stack, sum(samples), sum(weight_ns) AS weight, 0, 0 FROM cpu" +
                                      filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
                                  filter, stack_weight_of);
}

std::vector<StackWeight> Reader::wait(const Slice& slice) {
  const SliceFilter filter{slice, true, false};
  return state_->all<StackWeight>("SELECT process, stack, sum(samples), sum(weight_ns) AS weight, 0, 0 FROM wait" +
                                      filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
                                  filter, stack_weight_of);
}

std::vector<StackWeight> Reader::alloc(const Slice& slice) {
  const SliceFilter filter{slice, false, true};
  return state_->all<StackWeight>(
      "SELECT process, stack, sum(samples), sum(bytes) AS weight, sum(objects), sum(temporary_objects) FROM alloc" +
          filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
      filter, stack_weight_of);
}

std::vector<StackWeight> Reader::live(std::int64_t at_ns, const Slice& slice) {
  return state_->all<StackWeight>(
      objects_alive_sql(slice),
      [&](Statement& s) { bind_objects_alive(s, slice, std::numeric_limits<std::int64_t>::min(), kEver, at_ns); },
      stack_weight_of);
}

std::vector<StackWeight> Reader::retained(const Slice& slice) {
  return state_->all<StackWeight>(
      objects_alive_sql(slice),
      [&](Statement& s) { bind_objects_alive(s, slice, slice.from_ns, slice.to_ns, slice.to_ns); }, stack_weight_of);
}

void Reader::each_cpu(const Slice& slice, const std::function<void(const CpuRow&)>& row) {
  const SliceFilter filter{slice, true, true};
  state_->each("SELECT process, second, thread, stack, span_name, samples, weight_ns FROM cpu" + filter.where() +
                   " ORDER BY process, second, thread, stack, span_name",
               filter, [&](Statement& s) {
                 CpuRow cpu;
                 cpu.process = s.id<ProcessId>();
                 cpu.second = s.integer();
                 cpu.width = state_->width_at(cpu.second);
                 cpu.thread = s.id<ThreadId>();
                 cpu.stack = s.id<StackId>();
                 cpu.span_name = s.id<NameId>();
                 cpu.samples = s.integer();
                 cpu.weight_ns = s.real();
                 row(cpu);
               });
}

void Reader::each_wait(const Slice& slice, const std::function<void(const WaitRow&)>& row) {
  const SliceFilter filter{slice, true, false};
  state_->each("SELECT process, second, thread, stack, call, samples, weight_ns FROM wait" + filter.where() +
                   " ORDER BY process, second, thread, stack, call",
               filter, [&](Statement& s) {
                 WaitRow wait;
                 wait.process = s.id<ProcessId>();
                 wait.second = s.integer();
                 wait.width = state_->width_at(wait.second);
                 wait.thread = s.id<ThreadId>();
                 wait.stack = s.id<StackId>();
                 wait.call = s.id<NameId>();
                 wait.samples = s.integer();
                 wait.weight_ns = s.real();
                 row(wait);
               });
}

void Reader::each_alloc(const Slice& slice, const std::function<void(const AllocRow&)>& row) {
  const SliceFilter filter{slice, false, true};
  state_->each("SELECT process, second, stack, span_name, samples, objects, bytes, temporary_objects FROM alloc" +
                   filter.where() + " ORDER BY process, second, stack, span_name",
               filter, [&](Statement& s) {
                 AllocRow alloc;
                 alloc.process = s.id<ProcessId>();
                 alloc.second = s.integer();
                 alloc.width = state_->width_at(alloc.second);
                 alloc.stack = s.id<StackId>();
                 alloc.span_name = s.id<NameId>();
                 alloc.samples = s.integer();
                 alloc.objects = s.real();
                 alloc.bytes = s.real();
                 alloc.temporary_objects = s.real();
                 row(alloc);
               });
}

void Reader::each_heap_object(std::optional<ProcessId> process, const std::function<void(const HeapObject&)>& row) {
  const ProcessFilter filter{process};
  state_->each(
      "SELECT process, sample, stack, thread, span_name, size, interval, bytes, objects, born_ns, died_ns FROM "
      "heap_object" +
          filter.where() + " ORDER BY process, sample",
      filter, [&](Statement& s) { row(heap_object_of(s)); });
}

std::vector<HeapObject> Reader::heap_objects(std::optional<ProcessId> process) {
  std::vector<HeapObject> rows;
  each_heap_object(process, [&](const HeapObject& row) { rows.push_back(row); });
  return rows;
}

std::vector<Lifetime> Reader::lifetimes(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<Lifetime>("SELECT process, second, octave, samples, objects, bytes FROM lifetime" +
                                   filter.where() + " ORDER BY process, second, octave",
                               filter, [this](Statement& s) {
                                 Lifetime row;
                                 row.process = s.id<ProcessId>();
                                 row.second = s.integer();
                                 row.width = state_->width_at(row.second);
                                 row.octave = s.integer();
                                 row.samples = s.integer();
                                 row.objects = s.real();
                                 row.bytes = s.real();
                                 return row;
                               });
}

std::vector<Mapping> Reader::mappings(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Mapping>("SELECT id, process, address, bytes, stack, mapped_ns, unmapped_ns, " +
                                  state_->column_or("mapping", "kept_of", "1") + " FROM mapping" + filter.where() +
                                  " ORDER BY id",
                              filter, [](Statement& s) {
                                Mapping row;
                                row.id = s.integer();
                                row.process = s.id<ProcessId>();
                                row.address = s.integer();
                                row.bytes = s.integer();
                                row.stack = s.id<StackId>();
                                row.mapped_ns = s.integer();
                                row.unmapped_ns = s.optional_integer();
                                row.kept_of = s.integer();
                                return row;
                              });
}

}  // namespace camprobe::run
