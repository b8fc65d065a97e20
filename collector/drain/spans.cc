#include "collector/drain/spans.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "run/text.h"

namespace camprobe::drain {

void SpanDrain::ended(std::uint32_t lane, const shm::ReadRecord& record) {
  const auto before = incomplete_.find(lane);
  if (before != incomplete_.end()) {  // some of its attributes were overwritten
    book(before->second);
    incomplete_.erase(before);
  }
  const shm::SpanPayload& payload = record.span_end;
  Ended span;
  span.id = record.span;
  span.parent = payload.parent;
  span.name = payload.name;
  span.begin_ns = std::clamp(payload.begin_ns, context_.region.info().created_ns, record.time_ns);
  span.end_ns = record.time_ns;
  span.begin_tid = payload.begin_tid;
  span.end_tid = payload.end_tid;
  span.attributes_to_come = std::min(payload.attributes, shm::kSpanAttributes);
  names_[span.id] = span.name;
  if (span.attributes_to_come == 0)
    book(span);
  else
    incomplete_.emplace(lane, std::move(span));
}

void SpanDrain::attributes(std::uint32_t lane, const shm::ReadRecord& record) {
  const auto found = incomplete_.find(lane);
  if (found == incomplete_.end() || found->second.id != record.span) return;  // its span was overwritten
  Ended& span = found->second;
  for (const shm::Attribute& attribute : record.attributes.attribute) {
    if (span.attributes_to_come == 0) break;
    --span.attributes_to_come;
    if (attribute.key != 0) span.attributes.push_back(attribute);
  }
  if (span.attributes_to_come != 0) return;
  book(span);
  incomplete_.erase(found);
}

// A text attribute; of more than the probe writes, the beginning.
std::string SpanDrain::text_of(const shm::Attribute& attribute) {
  return run::valid_utf8(context_.text(static_cast<shm::NameId>(attribute.value)).substr(0, shm::kMaxTextBytes));
}

void SpanDrain::book(Ended& span) {
  const std::int64_t second = context_.clock.second(span.end_ns);
  if (second < 0) return;
  const run::NameId name = context_.name(span.name);
  context_.writer.count(run::Writer::SpanEnd{context_.process, second, name, to_integer(span.end_ns - span.begin_ns)});
  for (const shm::Attribute& attribute : span.attributes) {
    run::SpanAttribute row;
    row.process = context_.process;
    row.second = second;
    row.name = name;
    row.key = context_.name(attribute.key);
    row.spans = 1;
    if (attribute.type == shm::AttributeType::kNumber) {
      row.sum = std::bit_cast<double>(attribute.value);
      // What is no number, or would make none of a sum: SQLite has no NaN, and would refuse the row.
      constexpr double kMost = 1e18;
      if (!(std::abs(row.sum) <= kMost)) continue;
    } else if (attribute.type == shm::AttributeType::kText) {
      row.text = text_of(attribute);
      if (waiting_ < kMostWaiting) {
        ++waiting_;
        sequences_[{name, row.key}].waiting.push_back({span.begin_ns, second, row.text});
      }
    } else {
      continue;
    }
    context_.writer.count(row);
  }

  std::vector<Ended>& chosen = chosen_[{second, span.name}];
  const auto duration = [](const Ended& of) { return of.end_ns - of.begin_ns; };
  if (chosen.size() < kFirstRows + kSlowestRows) {
    chosen.push_back(span);
    return;
  }
  const auto fastest = std::min_element(chosen.begin() + kFirstRows, chosen.end(),
                                        [&](const Ended& a, const Ended& b) { return duration(a) < duration(b); });
  if (duration(span) > duration(*fastest)) *fastest = span;
}

std::optional<run::NameId> SpanDrain::name_of(shm::SpanId span) {
  if (span == 0) return run::kNoName;
  for (const auto* names : {&names_, &older_names_}) {
    const auto found = names->find(span);
    if (found != names->end()) return context_.name(found->second);
  }
  return std::nullopt;
}

void SpanDrain::look_at_open() {
  for (const shm::ReadSpan& span : context_.region.open_spans()) names_[span.id] = span.name;
}

void SpanDrain::count_changes(std::uint64_t before_ns) {
  for (auto& [key, sequence] : sequences_) {
    auto& waiting = sequence.waiting;
    const auto due = std::stable_partition(waiting.begin(), waiting.end(),
                                           [&](const TextValue& value) { return value.begin_ns < before_ns; });
    std::stable_sort(waiting.begin(), due,
                     [](const TextValue& a, const TextValue& b) { return a.begin_ns < b.begin_ns; });
    for (auto value = waiting.begin(); value != due; ++value) {
      if (sequence.has_last && value->begin_ns < sequence.last_begin_ns) continue;  // too late to have an order
      if (sequence.has_last && value->text != sequence.last) {
        run::SpanAttribute row;
        row.process = context_.process;
        row.second = value->second;
        row.name = key.first;
        row.key = key.second;
        row.text = value->text;
        row.changes = 1;
        context_.writer.count(row);
      }
      sequence.has_last = true;
      sequence.last = value->text;
      sequence.last_begin_ns = value->begin_ns;
    }
    waiting_ -= static_cast<std::size_t>(due - waiting.begin());
    waiting.erase(waiting.begin(), due);
  }
}

void SpanDrain::write_row(const Ended& span) {
  nlohmann::json attributes = nlohmann::json::object();
  for (const shm::Attribute& attribute : span.attributes) {
    const std::string key = run::valid_utf8(context_.text(attribute.key));
    if (attribute.type == shm::AttributeType::kNumber) attributes[key] = std::bit_cast<double>(attribute.value);
    if (attribute.type == shm::AttributeType::kText) {
      attributes[key] = text_of(attribute);
    }
  }
  run::Span row;
  row.process = context_.process;
  row.span = static_cast<std::int64_t>(span.id);
  row.parent = static_cast<std::int64_t>(span.parent);
  row.name = context_.name(span.name);
  row.began_ns = context_.clock.run_ns(span.begin_ns);
  if (span.end_ns != 0) row.ended_ns = context_.clock.run_ns(span.end_ns);
  row.begin_thread = context_.thread_with_tid(span.begin_tid);
  if (span.end_ns != 0) row.end_thread = context_.thread_with_tid(span.end_tid);
  row.attributes = attributes.dump();
  context_.writer.put(row);
}

void SpanDrain::write_chosen() {
  for (const auto& [key, spans] : chosen_) {
    for (const Ended& span : spans) {
      if (rows_++ >= kMostRows) break;
      write_row(span);
    }
  }
  chosen_.clear();
}

void SpanDrain::end_second(std::uint64_t now_ns) {
  count_changes(now_ns - std::min(now_ns, kOrderingNs));
  write_chosen();
  older_names_ = std::exchange(names_, {});
}

void SpanDrain::finish() {
  for (auto& [lane, span] : incomplete_) book(span);
  incomplete_.clear();
  count_changes(~std::uint64_t{0});
  write_chosen();
}

void SpanDrain::write_open() {
  for (const shm::ReadSpan& open : context_.region.open_spans()) {
    Ended span;
    span.id = open.id;
    span.parent = open.parent;
    span.name = open.name;
    span.begin_ns = open.begin_ns;
    span.begin_tid = open.begin_tid;
    span.attributes = open.attributes;
    write_row(span);
  }
}

}  // namespace camprobe::drain
