// run/writer_rows.cc
//
// The rows that gathered since the last flush into their tables.
#include <algorithm>

#include "run/text.h"
#include "run/unnamed_stack.h"
#include "run/writer_state.h"

namespace camprobe::run {

bool Writer::State::write(Pending& rows) {
  const auto put_all = [&](const char* sql, const auto& list, auto bind) {
    if (list.empty()) return true;
    Statement& statement = prepared(sql);
    for (const auto& row : list) {
      bind(statement, row);
      if (!statement.run()) return false;
    }
    return true;
  };
  return put_all("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", rows.meta,
                 [](Statement& s, const auto& row) { s.bind(row.first).bind(row.second); }) &&
         put_all("INSERT INTO name(id, text) VALUES (?, ?)", rows.names,
                 [](Statement& s, const auto& row) { s.bind(row.first).bind(row.second); }) &&
         put_all(
             "INSERT INTO metric(id, name, unit, kind) VALUES (?, ?, ?, ?)", rows.metrics,
             [](Statement& s, const Metric& row) { s.bind(row.id).bind(row.name).bind(row.unit).bind(row.kind); }) &&
         put_all(
             "INSERT OR REPLACE INTO process(id, pid, parent_pid, start_ticks, image, executable, command, began_ns, "
             "ended_ns, ended_how, exit_status, probe_state, memory_limit_bytes, note) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.processes,
             [](Statement& s, const auto& entry) {
               const Process& row = entry.second;
               s.bind(row.id).bind(row.pid).bind(row.parent_pid).bind(row.start_ticks).bind(row.image);
               s.bind(valid_utf8(row.executable)).bind(valid_utf8(row.command)).bind(row.began_ns).bind(row.ended_ns);
               s.bind(row.ended_how).bind(row.exit_status).bind(row.probe_state).bind(row.memory_limit_bytes);
               s.bind(valid_utf8(row.note));
             }) &&
         put_all(
             "INSERT OR REPLACE INTO thread(id, process, tid, name, began_ns, ended_ns, stack) VALUES (?, ?, ?, ?, ?, "
             "?, ?)",
             rows.threads,
             [](Statement& s, const auto& entry) {
               const Thread& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.tid).bind(valid_utf8(row.name)).bind(row.began_ns);
               s.bind(row.ended_ns).bind(row.stack);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO module(id, process, path, build_id, base, low, high, opened_ns, closed_ns) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.modules,
             [](Statement& s, const auto& entry) {
               const Module& row = entry.second;
               s.bind(row.id).bind(row.process).bind(valid_utf8(row.path)).bind(row.build_id).bind(row.base);
               s.bind(row.low).bind(row.high).bind(row.opened_ns).bind(row.closed_ns);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO frame(id, function, file, line, module, address, kind) VALUES (?, ?, ?, ?, ?, ?, "
             "?)",
             rows.frames,
             [](Statement& s, const Frame& row) {
               s.bind(row.id).bind(row.function);
               row.file.empty() ? s.bind_null() : s.bind(row.file);
               s.bind(row.line);
               row.module.empty() ? s.bind_null() : s.bind(row.module);
               s.bind(row.address).bind(row.kind);
             }) &&
         put_all("INSERT INTO stack(id, process, truncated, region_id, instruction) VALUES (?, ?, ?, ?, ?)",
                 rows.stacks,
                 [](Statement& s, const Stack& row) {
                   s.bind(row.id).bind(row.process).bind(std::int64_t{row.truncated});
                   const auto& known = row.in_region;
                   known ? s.bind(known->id).bind(known->instruction) : s.bind_null().bind_null();
                 }) &&
         put_all("INSERT OR REPLACE INTO unnamed_stack(stack, taken_ns, leaf_is_exact, addresses) VALUES (?, ?, ?, ?)",
                 rows.unnamed_stacks,
                 [](Statement& s, const UnnamedStack& row) {
                   s.bind(row.stack).bind(row.taken_ns).bind(std::int64_t{row.leaf_is_exact});
                   s.bind_blob(to_blob(row.leaf_first));
                 }) &&
         std::all_of(rows.stack_frames.begin(), rows.stack_frames.end(),
                     [&](const Stack& row) {
                       for (const char* sql :
                            {"DELETE FROM stack_frame WHERE stack = ?", "DELETE FROM unnamed_stack WHERE stack = ?"}) {
                         if (!prepared(sql).bind(row.id).run()) return false;
                       }
                       Statement& put = prepared("INSERT INTO stack_frame(stack, depth, frame) VALUES (?, ?, ?)");
                       for (std::size_t depth = 0; depth < row.frames.size(); ++depth) {
                         put.bind(row.id).bind(static_cast<std::int64_t>(depth)).bind(row.frames[depth]);
                         if (!put.run()) return false;
                       }
                       return true;
                     }) &&
         put_all(
             "INSERT OR REPLACE INTO mapping(id, process, address, bytes, stack, mapped_ns, unmapped_ns) "
             "VALUES (?, ?, ?, ?, ?, ?, ?)",
             rows.mappings,
             [](Statement& s, const auto& entry) {
               const Mapping& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.address).bind(row.bytes).bind(row.stack).bind(row.mapped_ns);
               s.bind(row.unmapped_ns);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO descriptor(id, process, fd, generation, kind, peer, stack, opened_ns, closed_ns, "
             "read_ops, read_bytes, write_ops, write_bytes, stands_for) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.descriptors,
             [](Statement& s, const auto& entry) {
               const Descriptor& row = entry.second;
               s.bind(row.id).bind(row.process).bind(row.fd).bind(row.generation).bind(row.kind);
               s.bind(valid_utf8(row.peer)).bind(row.stack).bind(row.opened_ns).bind(row.closed_ns);
               s.bind(row.read_ops).bind(row.read_bytes).bind(row.write_ops).bind(row.write_bytes);
               s.bind(row.stands_for);
             }) &&
         put_all(
             "INSERT OR REPLACE INTO heap_object(process, sample, stack, thread, span_name, size, interval, bytes, "
             "objects, born_ns, died_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             rows.heap_objects.take_sorted(),
             [](Statement& s, const auto& entry) {
               const HeapObject& row = entry.second;
               s.bind(row.process).bind(row.sample).bind(row.stack).bind(row.thread).bind(row.span_name).bind(row.size);
               s.bind(row.interval).bind(row.bytes).bind(row.objects).bind(row.born_ns).bind(row.died_ns);
             }) &&
         std::all_of(rows.drain_states.begin(), rows.drain_states.end(),
                     [&](const auto& entry) {
                       const auto& [process, state] = entry;
                       if (state.empty())
                         return prepared("DELETE FROM drain_state WHERE process = ?").bind(process).run();
                       return prepared("INSERT OR REPLACE INTO drain_state(process, state) VALUES (?, ?)")
                           .bind(process)
                           .bind(state)
                           .run();
                     }) &&
         put_all(
             "INSERT INTO mark(at_ns, text, source) VALUES (?, ?, ?)", rows.marks,
             [](Statement& s, const Mark& row) { s.bind(row.at_ns).bind(valid_utf8(row.text)).bind(row.source); }) &&
         put_all("INSERT INTO setting(process, at_ns, name, value) VALUES (?, ?, ?, ?)", rows.settings,
                 [](Statement& s, const Setting& row) {
                   s.bind(row.process).bind(row.at_ns).bind(row.name).bind(row.value);
                 }) &&
         write_sums(rows) && write_spans(rows) && write_load(rows);
}

// The tables whose buckets may be written to again by a later flush.
bool Writer::State::write_sums(Pending& rows) {
  const auto add_all = [&](const char* sql, const auto& sums, auto bind) {
    if (sums.empty()) return true;
    Statement& statement = prepared(sql);
    for (const auto& [key, row] : sums) {
      bind(statement, row);
      if (!statement.run()) return false;
    }
    return true;
  };
  if (!rows.points.empty()) {
    Statement& s = prepared("INSERT OR REPLACE INTO point(metric, process, second, value) VALUES (?, ?, ?, ?)");
    for (const auto& [key, value] : rows.points) {
      s.bind(std::get<0>(key)).bind(std::get<1>(key)).bind(std::get<2>(key)).bind(value);
      if (!s.run()) return false;
    }
  }
  return add_all(
             "INSERT INTO cpu(process, second, thread, stack, span_name, samples, weight_ns) VALUES (?, ?, ?, ?, ?, ?, "
             "?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, weight_ns = weight_ns + "
             "excluded.weight_ns",
             rows.cpu.take_sorted(),
             [](Statement& s, const CpuRow& row) {
               s.bind(row.process).bind(row.second).bind(row.thread).bind(row.stack).bind(row.span_name);
               s.bind(row.samples).bind(row.weight_ns);
             }) &&
         add_all(
             "INSERT INTO wait(process, second, thread, stack, call, samples, weight_ns) VALUES (?, ?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, weight_ns = weight_ns + "
             "excluded.weight_ns",
             rows.wait.take_sorted(),
             [](Statement& s, const WaitRow& row) {
               s.bind(row.process).bind(row.second).bind(row.thread).bind(row.stack).bind(row.call);
               s.bind(row.samples).bind(row.weight_ns);
             }) &&
         add_all(
             "INSERT INTO alloc(process, second, stack, span_name, samples, objects, bytes, temporary_objects) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, "
             "objects = objects + excluded.objects, bytes = bytes + excluded.bytes, "
             "temporary_objects = temporary_objects + excluded.temporary_objects",
             rows.alloc.take_sorted(),
             [](Statement& s, const AllocRow& row) {
               s.bind(row.process).bind(row.second).bind(row.stack).bind(row.span_name).bind(row.samples);
               s.bind(row.objects).bind(row.bytes).bind(row.temporary_objects);
             }) &&
         add_all(
             "INSERT INTO lifetime(process, second, octave, samples, objects, bytes) VALUES (?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, objects = objects + excluded.objects, "
             "bytes = bytes + excluded.bytes",
             rows.lifetimes.take_sorted(),
             [](Statement& s, const Lifetime& row) {
               s.bind(row.process)
                   .bind(row.second)
                   .bind(row.octave)
                   .bind(row.samples)
                   .bind(row.objects)
                   .bind(row.bytes);
             }) &&
         add_all(
             "INSERT INTO descriptor_sum(process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, "
             "write_ops, write_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
             "opened = opened + excluded.opened, closed = closed + excluded.closed, "
             "read_ops = read_ops + excluded.read_ops, read_bytes = read_bytes + excluded.read_bytes, "
             "write_ops = write_ops + excluded.write_ops, write_bytes = write_bytes + excluded.write_bytes",
             rows.descriptor_sums,
             [](Statement& s, const DescriptorSum& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(valid_utf8(row.peer)).bind(row.stack);
               s.bind(row.opened).bind(row.closed).bind(row.read_ops).bind(row.read_bytes).bind(row.write_ops);
               s.bind(row.write_bytes);
             }) &&
         add_all(
             "INSERT INTO io(process, second, kind, ops, bytes, errors, ns) VALUES (?, ?, ?, ?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET ops = ops + excluded.ops, bytes = bytes + excluded.bytes, "
             "errors = errors + excluded.errors, ns = ns + excluded.ns",
             rows.io,
             [](Statement& s, const IoRow& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(row.ops).bind(row.bytes).bind(row.errors);
               s.bind(row.ns);
             }) &&
         add_all(
             "INSERT INTO lost(process, second, kind, records) VALUES (?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET records = records + excluded.records",
             rows.lost, [](Statement& s, const Lost& row) {
               s.bind(row.process).bind(row.second).bind(row.kind).bind(row.records);
             });
}

bool Writer::State::write_spans(const Pending& rows) {
  // A histogram is text in the file, so adding to a bucket is read, merge, write.
  for (const auto& [key, added] : rows.span_stats) {
    SpanStat stat = added.first;
    Histogram histogram = added.second;
    Statement& old = prepared(
        "SELECT spans, total_ns, max_ns, latency FROM span_stat WHERE process = ? AND second = ? AND name = ?");
    old.bind(stat.process).bind(stat.second).bind(stat.name);
    if (old.step()) {
      stat.spans += old.integer();
      stat.total_ns = sum_of(stat.total_ns, old.integer());
      stat.max_ns = std::max(stat.max_ns, old.integer());
      if (const auto before = Histogram::from_json(old.text())) histogram.merge(*before);
    }
    old.reset();
    Statement& put = prepared(
        "INSERT OR REPLACE INTO span_stat(process, second, name, spans, total_ns, max_ns, latency) VALUES "
        "(?, ?, ?, ?, ?, ?, ?)");
    put.bind(stat.process).bind(stat.second).bind(stat.name).bind(stat.spans).bind(stat.total_ns).bind(stat.max_ns);
    if (!put.bind(histogram.to_short_json()).run()) return false;
  }
  for (const SpanStat& row : rows.whole_span_stats) {
    Statement& put = prepared(
        "INSERT OR REPLACE INTO span_stat(process, second, name, spans, total_ns, max_ns, latency) VALUES "
        "(?, ?, ?, ?, ?, ?, ?)");
    put.bind(row.process).bind(row.second).bind(row.name).bind(row.spans).bind(row.total_ns).bind(row.max_ns);
    if (!put.bind(row.latency).run()) return false;
  }
  if (!rows.span_attributes.empty()) {
    Statement& s = prepared(
        "INSERT INTO span_attribute(process, second, name, key, text, spans, sum, changes) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans, "
        "sum = sum + excluded.sum, changes = changes + excluded.changes");
    for (const auto& [key, row] : rows.span_attributes) {
      s.bind(row.process).bind(row.second).bind(row.name).bind(row.key).bind(valid_utf8(row.text)).bind(row.spans);
      if (!s.bind(row.sum).bind(row.changes).run()) return false;
    }
  }
  if (!rows.spans.empty()) {
    Statement& s = prepared(
        "INSERT OR REPLACE INTO span(process, span, parent, name, began_ns, ended_ns, begin_thread, end_thread, "
        "attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const auto& [key, row] : rows.spans) {
      s.bind(row.process).bind(row.span).bind(row.parent).bind(row.name).bind(row.began_ns).bind(row.ended_ns);
      if (!s.bind(row.begin_thread).bind(row.end_thread).bind(row.attributes).run()) return false;
    }
  }
  return true;
}

bool Writer::State::write_load(const Pending& rows) {
  for (const LoadSource& row : rows.load_sources) {
    Statement s(
        database,
        "INSERT INTO load_source(id, tool, file, requests, errors, skew_ns, skipped, skipped_why, latency_basis) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    s.bind(row.id).bind(valid_utf8(row.tool)).bind(valid_utf8(row.file)).bind(row.requests).bind(row.errors);
    if (!s.bind(row.skew_ns).bind(row.skipped).bind(valid_utf8(row.skipped_why)).bind(row.latency_basis).run())
      return false;
  }
  if (!rows.load_buckets.empty()) {
    Statement s(
        database,
        "INSERT OR REPLACE INTO load_bucket(source, second, width, endpoint, requests, errors, latency, p50_ms, "
        "p95_ms, p99_ms, max_ms, users) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const LoadBucket& row : rows.load_buckets) {
      s.bind(row.source).bind(row.second).bind(row.width).bind(valid_utf8(row.endpoint)).bind(row.requests);
      s.bind(row.errors).bind(row.latency).bind(row.p50_ms).bind(row.p95_ms).bind(row.p99_ms).bind(row.max_ms);
      if (!s.bind(row.users).run()) return false;
    }
  }
  for (const auto& [key, sum] : rows.folded_load) {
    const auto& [row, latency] = sum;
    Statement& s = prepared(
        "INSERT OR REPLACE INTO load_bucket(source, second, width, endpoint, requests, errors, latency, max_ms, users) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    s.bind(row.source).bind(row.second).bind(row.width).bind(valid_utf8(row.endpoint)).bind(row.requests);
    s.bind(row.errors);
    latency.empty() ? s.bind_null() : s.bind(latency.to_short_json());
    if (!s.bind(row.max_ms).bind(row.users).run()) return false;
  }
  for (const LoadWindow& row : rows.load_windows) {
    Statement s(database, "INSERT INTO load_window(source, name, kind, from_ns, to_ns) VALUES (?, ?, ?, ?, ?)");
    if (!s.bind(row.source).bind(valid_utf8(row.name)).bind(row.kind).bind(row.from_ns).bind(row.to_ns).run())
      return false;
  }
  return true;
}

}  // namespace camprobe::run
