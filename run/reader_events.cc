// run/reader_events.cc
//
// What was counted or happened: descriptors, I/O, spans, load, marks, losses, settings.
#include <fmt/format.h>

#include "run/reader_state.h"

namespace camprobe::run {

std::vector<Descriptor> Reader::descriptors(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Descriptor>(
      "SELECT id, process, fd, generation, kind, peer, stack, opened_ns, closed_ns, read_ops, read_bytes, write_ops, "
      "write_bytes, " +
          state_->column_or("descriptor", "stands_for", "1") + ", " + state_->column_or("descriptor", "kept_of", "1") +
          " FROM descriptor" + filter.where() + " ORDER BY id",
      filter, [](Statement& s) {
        Descriptor row;
        row.id = s.integer();
        row.process = s.id<ProcessId>();
        row.fd = s.integer();
        row.generation = s.integer();
        row.kind = s.text();
        row.peer = s.text();
        row.stack = s.id<StackId>();
        row.opened_ns = s.integer();
        row.closed_ns = s.optional_integer();
        row.read_ops = s.integer();
        row.read_bytes = s.integer();
        row.write_ops = s.integer();
        row.write_bytes = s.integer();
        row.stands_for = s.integer();
        row.kept_of = s.integer();
        return row;
      });
}

std::vector<DescriptorSum> Reader::descriptor_sums(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<DescriptorSum>(
      "SELECT process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, write_ops, write_bytes FROM "
      "descriptor_sum" +
          filter.where() + " ORDER BY process, second, kind, peer, stack",
      filter, [this](Statement& s) {
        DescriptorSum row;
        row.process = s.id<ProcessId>();
        row.second = s.integer();
        row.width = state_->width_at(row.second);
        row.kind = s.text();
        row.peer = s.text();
        row.stack = s.id<StackId>();
        row.opened = s.integer();
        row.closed = s.integer();
        row.read_ops = s.integer();
        row.read_bytes = s.integer();
        row.write_ops = s.integer();
        row.write_bytes = s.integer();
        return row;
      });
}

std::vector<IoRow> Reader::io(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<IoRow>("SELECT process, second, kind, ops, bytes, errors, ns FROM io" + filter.where() +
                                " ORDER BY process, second, kind",
                            filter, [this](Statement& s) {
                              IoRow row;
                              row.process = s.id<ProcessId>();
                              row.second = s.integer();
                              row.width = state_->width_at(row.second);
                              row.kind = s.text();
                              row.ops = s.integer();
                              row.bytes = s.integer();
                              row.errors = s.integer();
                              row.ns = s.integer();
                              return row;
                            });
}

std::vector<SpanStat> Reader::span_stats(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<SpanStat>("SELECT process, second, name, spans, total_ns, max_ns, latency FROM span_stat" +
                                   filter.where() + " ORDER BY process, second, name",
                               filter, [this](Statement& s) {
                                 SpanStat row;
                                 row.process = s.id<ProcessId>();
                                 row.second = s.integer();
                                 row.width = state_->width_at(row.second);
                                 row.name = s.id<NameId>();
                                 row.spans = s.integer();
                                 row.total_ns = s.integer();
                                 row.max_ns = s.integer();
                                 row.latency = s.text();
                                 return row;
                               });
}

std::vector<SpanAttribute> Reader::span_attributes(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<SpanAttribute>("SELECT process, second, name, key, text, spans, sum, changes FROM span_attribute" +
                                        filter.where() + " ORDER BY process, second, name, key, text",
                                    filter, [this](Statement& s) {
                                      SpanAttribute row;
                                      row.process = s.id<ProcessId>();
                                      row.second = s.integer();
                                      row.width = state_->width_at(row.second);
                                      row.name = s.id<NameId>();
                                      row.key = s.id<NameId>();
                                      row.text = s.text();
                                      row.spans = s.integer();
                                      row.sum = s.real();
                                      row.changes = s.integer();
                                      return row;
                                    });
}

void Reader::each_span(const Slice& slice, SpanOrder order, const std::function<void(Span&)>& use,
                       SpanAttributes attributes) {
  std::string sql = fmt::format(
      "SELECT process, span, parent, name, began_ns, ended_ns, begin_thread, end_thread, {} FROM span "
      "WHERE began_ns < ? AND (ended_ns IS NULL OR ended_ns >= ?)",
      attributes == SpanAttributes::kRead ? "attributes" : "'{}'");
  if (slice.process) sql += " AND process = ?";
  if (slice.span_name) sql += " AND name = ?";
  // SQLite sorts what does not fit into its cache in files.
  if (order == SpanOrder::kByBegin)
    sql += " ORDER BY began_ns, coalesce(ended_ns, 9223372036854775807) DESC, process, span";
  Span row;
  state_->each(
      sql,
      [&](Statement& s) {
        s.bind(slice.to_ns).bind(slice.from_ns);
        if (slice.process) s.bind(*slice.process);
        if (slice.span_name) s.bind(*slice.span_name);
      },
      [&](Statement& s) {
        row.process = s.id<ProcessId>();
        row.span = s.integer();
        row.parent = s.integer();
        row.name = s.id<NameId>();
        row.began_ns = s.integer();
        row.ended_ns = s.optional_integer();
        row.begin_thread = s.id<ThreadId>();
        const auto end_thread = s.optional_integer();
        row.end_thread = end_thread ? std::optional(static_cast<ThreadId>(*end_thread)) : std::nullopt;
        row.attributes = s.text();
        use(row);
      });
}

std::vector<Span> Reader::spans(const Slice& slice) {
  std::vector<Span> rows;
  each_span(slice, SpanOrder::kByBegin, [&](Span& row) { rows.push_back(std::move(row)); });
  return rows;
}

std::string Reader::attributes_of(ProcessId process, std::int64_t span) {
  if (!state_->attributes_of_span)
    state_->attributes_of_span =
        std::make_unique<Statement>(state_->database, "SELECT attributes FROM span WHERE process = ? AND span = ?");
  Statement& statement = *state_->attributes_of_span;
  statement.bind(process).bind(span);
  std::string text = statement.step() ? statement.text() : "{}";
  state_->check(statement);
  statement.reset();
  return text;
}

std::vector<LoadSource> Reader::load_sources() {
  return state_->all<LoadSource>(
      "SELECT id, tool, file, requests, errors, skew_ns, skipped, skipped_why, latency_basis FROM load_source ORDER BY "
      "id",
      kBindNothing, [](Statement& s) {
        LoadSource row;
        row.id = s.id<SourceId>();
        row.tool = s.text();
        row.file = s.text();
        row.requests = s.optional_integer();
        row.errors = s.optional_integer();
        row.skew_ns = s.optional_integer();
        row.skipped = s.integer();
        row.skipped_why = s.text();
        row.latency_basis = s.text();
        return row;
      });
}

std::vector<LoadBucket> Reader::load_buckets(std::optional<std::string_view> endpoint) {
  std::string sql =
      "SELECT source, second, width, endpoint, requests, errors, latency, p50_ms, p95_ms, p99_ms, max_ms, users FROM "
      "load_bucket";
  if (endpoint) sql += " WHERE endpoint = ?";
  sql += " ORDER BY source, second, endpoint";
  return state_->all<LoadBucket>(
      sql,
      [&](Statement& s) {
        if (endpoint) s.bind(*endpoint);
      },
      [](Statement& s) {
        LoadBucket row;
        row.source = s.id<SourceId>();
        row.second = s.integer();
        row.width = s.integer();
        row.endpoint = s.text();
        row.requests = s.integer();
        row.errors = s.integer();
        row.latency = s.optional_text();
        row.p50_ms = s.optional_real();
        row.p95_ms = s.optional_real();
        row.p99_ms = s.optional_real();
        row.max_ms = s.optional_real();
        row.users = s.optional_real();
        return row;
      });
}

std::vector<LoadWindow> Reader::load_windows() {
  return state_->all<LoadWindow>("SELECT id, source, name, kind, from_ns, to_ns FROM load_window ORDER BY from_ns, id",
                                 kBindNothing, [](Statement& s) {
                                   LoadWindow row;
                                   row.id = s.integer();
                                   if (const auto source = s.optional_integer()) {
                                     row.source = static_cast<SourceId>(*source);
                                   }
                                   row.name = s.text();
                                   row.kind = s.text();
                                   row.from_ns = s.integer();
                                   row.to_ns = s.integer();
                                   return row;
                                 });
}

std::vector<Mark> Reader::marks() {
  return state_->all<Mark>("SELECT id, at_ns, text, source FROM mark ORDER BY at_ns, id", kBindNothing,
                           [](Statement& s) {
                             Mark row;
                             row.id = s.integer();
                             row.at_ns = s.integer();
                             row.text = s.text();
                             row.source = s.text();
                             return row;
                           });
}

std::vector<Lost> Reader::lost() {
  return state_->all<Lost>("SELECT process, second, kind, records FROM lost ORDER BY process, second, kind",
                           kBindNothing, [this](Statement& s) {
                             Lost row;
                             row.process = s.id<ProcessId>();
                             row.second = s.integer();
                             row.width = state_->width_at(row.second);
                             row.kind = s.text();
                             row.records = s.integer();
                             return row;
                           });
}

std::vector<Setting> Reader::settings() {
  return state_->all<Setting>("SELECT process, at_ns, name, value FROM setting ORDER BY process, at_ns", kBindNothing,
                              [](Statement& s) {
                                Setting row;
                                row.process = s.id<ProcessId>();
                                row.at_ns = s.integer();
                                row.name = s.text();
                                row.value = s.real();
                                return row;
                              });
}

}  // namespace camprobe::run
