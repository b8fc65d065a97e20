#include "collector/drain/spans.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "run/text.h"
#include "shm/trace_context.h"

namespace camprobe::drain {
namespace {

// An attribute's text; ids that no name table holds are all the same nothing.
shm::NameId id_of_text(const shm::Attribute& attribute) {
  return attribute.value < shm::kNameArenaBytes / 8 ? static_cast<shm::NameId>(attribute.value) : 0;
}

// The text that three attributes from `first` on stand for; nothing where they do not belong together.
std::optional<std::string> traceparent_of(const shm::Attribute* first) {
  using shm::AttributeType;
  const bool is_sampled = first[2].type == AttributeType::kTraceSpanSampled;
  if (first[1].type != AttributeType::kTraceLow || !(is_sampled || first[2].type == AttributeType::kTraceSpan) ||
      first[1].key != first[0].key || first[2].key != first[0].key)
    return std::nullopt;
  std::string text(shm::kTraceparentBytes, '0');
  shm::write_traceparent({first[0].value, first[1].value, first[2].value, is_sampled}, text.data());
  return text;
}

}  // namespace

void SpanDrain::ended(std::uint32_t lane, const shm::ReadRecord& record) {
  if (lane >= incomplete_.size()) incomplete_.resize(std::size_t{lane} + 1);
  Ended& span = incomplete_[lane];
  if (span.attributes_to_come != 0) book(span);  // some of its attributes were overwritten
  const shm::SpanPayload& payload = record.span_end;
  span.id = record.span;
  span.parent = payload.parent;
  span.name = payload.name;
  span.begin_ns = std::clamp(payload.begin_ns, context_.region.info().created_ns, record.time_ns);
  span.end_ns = record.time_ns;
  span.begin_tid = payload.begin_tid;
  span.end_tid = payload.end_tid;
  span.attributes_to_come = std::min(payload.attributes, shm::kSpanAttributes);
  span.attribute_count = 0;
  if (span.id != 0) *names_.at(span.id).first = span.name;
  if (span.attributes_to_come == 0) book(span);
}

void SpanDrain::attributes(std::uint32_t lane, const shm::ReadRecord& record) {
  if (lane >= incomplete_.size()) return;
  Ended& span = incomplete_[lane];
  if (span.attributes_to_come == 0 || span.id != record.span) return;  // its span was overwritten
  for (const shm::Attribute& attribute : record.attributes.attribute) {
    if (span.attributes_to_come == 0) break;
    --span.attributes_to_come;
    if (attribute.key != 0) span.attribute[span.attribute_count++] = attribute;
  }
  if (span.attributes_to_come == 0) book(span);
}

SpanDrain::Bucket& SpanDrain::bucket_of(shm::NameId name, std::int64_t second) {
  if (last_bucket_ != nullptr && last_name_ == name && last_bucket_->second == second) return *last_bucket_;
  std::vector<Bucket>& seconds = buckets_[name];
  auto found = std::find_if(seconds.begin(), seconds.end(), [&](const Bucket& b) { return b.second == second; });
  if (found == seconds.end()) {
    found = seconds.insert(seconds.end(), Bucket{});
    found->second = second;
  }
  last_name_ = name;
  last_bucket_ = &*found;
  return *found;
}

// A text attribute; of more than the probe writes, the beginning.
std::string SpanDrain::text_of(shm::NameId id) {
  const std::string& text = context_.text(id);
  return text.size() <= shm::kMaxTextBytes ? text : run::valid_utf8(text.substr(0, shm::kMaxTextBytes));
}

void SpanDrain::book(const Ended& span) {
  const std::int64_t second = context_.clock.second(span.end_ns);
  if (second < 0 || second > std::numeric_limits<std::uint32_t>::max()) return;
  Bucket& bucket = bucket_of(span.name, second);
  ++bucket.spans;
  bucket.total_ns += span.duration_ns();
  bucket.max_ns = std::max(bucket.max_ns, span.duration_ns());
  bucket.durations.record(span.duration_ns());
  book_attributes(bucket, span, static_cast<std::uint32_t>(second));
  const bool is_chosen = choose(bucket, span);
  if (span.parent == 0) {
    if (is_chosen) begin_family(span, second);
    return;
  }
  // Rings are read one after the other: a part may come after what it is a part of, or before.
  if (const shm::SpanId* found = family_of_.find(span.parent)) {
    const shm::SpanId root = *found;
    if (join_family(span, root)) gather_inside(span, root);
  }
  if (recent_.size() < kRecent) {
    recent_.push_back(span);
  } else {
    recent_[next_recent_] = span;
    next_recent_ = (next_recent_ + 1) % kRecent;
  }
}

void SpanDrain::begin_family(const Ended& root, std::int64_t second) {
  constexpr std::size_t kMostFamilies = 512, kMostMembers = 1 << 15;
  if (root.id == 0 || families_.size() >= kMostFamilies) return;
  if (family_of_.size() >= kMostMembers) family_of_.clear();
  families_[root.id].second = second;
  *family_of_.at(root.id).first = root.id;
  gather_inside(root, root.id);
}

void SpanDrain::gather_inside(const Ended& span, shm::SpanId root) {
  // Newest first: what ended last lies outermost, so parents are met before their children.
  for (std::size_t i = 0; i < recent_.size(); ++i) {
    const Ended& other = recent_[(next_recent_ + recent_.size() - 1 - i) % recent_.size()];
    if (other.end_ns < span.begin_ns || family_of_.find(other.id) != nullptr) continue;
    const shm::SpanId* found = family_of_.find(other.parent);
    if (found != nullptr && *found == root) join_family(other, root);
  }
}

// Whether it had room.
bool SpanDrain::join_family(const Ended& span, shm::SpanId root) {
  const auto family = families_.find(root);
  if (family == families_.end() || span.id == 0 || family->second.inside.size() >= kMostInside) return false;
  family->second.inside.push_back(span);
  *family_of_.at(span.id).first = root;
  return true;
}

void SpanDrain::book_attributes(Bucket& bucket, const Ended& span, std::uint32_t second) {
  for (std::uint32_t i = 0; i < span.attribute_count; ++i) {
    const shm::Attribute& attribute = span.attribute[i];
    double number = 0;
    std::uint64_t value = 0;  // tells texts apart, and from a number
    if (attribute.type == shm::AttributeType::kNumber) {
      number = std::bit_cast<double>(attribute.value);
      // What is no number, or would make none of a sum: SQLite has no NaN, and would refuse the row.
      constexpr double kMost = 1e18;
      if (!(std::abs(number) <= kMost)) continue;
    } else if (attribute.type == shm::AttributeType::kText) {
      value = std::uint64_t{id_of_text(attribute)} + 1;
      if (waiting_ >= kMostWaiting) order_sooner();
      if (waiting_ < kMostWaiting) {
        ++waiting_;
        sequences_[{span.name, attribute.key}].waiting.push_back({span.begin_ns, second, id_of_text(attribute)});
      }
    } else {
      continue;
    }
    const auto [sum, is_new] = bucket.attributes.at(std::uint64_t{attribute.key} << 32 | value);
    if (is_new) sum->attribute = attribute;
    ++sum->spans;
    sum->sum += number;
  }
}

// Whether it is among the chosen now.
bool SpanDrain::choose(Bucket& bucket, const Ended& span) {
  const auto ends_sooner = [](const Ended& a, const Ended& b) { return a.end_ns < b.end_ns; };
  const auto is_shorter = [](const Ended& a, const Ended& b) { return a.duration_ns() < b.duration_ns(); };
  const Ended* candidate = &span;  // for the slowest
  Ended displaced;
  if (bucket.first.size() < kFirstRows) {
    bucket.first.push_back(span);
    bucket.first_until_ns = std::max(bucket.first_until_ns, span.end_ns);
    return true;
  }
  // Rings are read one after the other, so an earlier one may come later.
  if (span.end_ns < bucket.first_until_ns) {
    const auto latest = std::max_element(bucket.first.begin(), bucket.first.end(), ends_sooner);
    displaced = *latest;
    candidate = &displaced;
    *latest = span;
    bucket.first_until_ns = std::max_element(bucket.first.begin(), bucket.first.end(), ends_sooner)->end_ns;
  }
  if (bucket.slowest.size() < kSlowestRows) {
    bucket.slowest.push_back(*candidate);
  } else if (candidate->duration_ns() > bucket.slowest_from_ns) {
    *std::min_element(bucket.slowest.begin(), bucket.slowest.end(), is_shorter) = *candidate;
  } else {
    return candidate != &span;
  }
  bucket.slowest_from_ns = std::min_element(bucket.slowest.begin(), bucket.slowest.end(), is_shorter)->duration_ns();
  return true;
}

std::optional<run::NameId> SpanDrain::name_of(shm::SpanId span) {
  if (span == 0) return run::kNoName;
  for (auto* names : {&names_, &older_names_, &open_names_}) {
    if (const shm::NameId* name = names->find(span)) return context_.name(*name);
  }
  const auto open = context_.region.open_span_name(span);
  if (!open) return std::nullopt;
  *open_names_.at(span).first = *open;
  return context_.name(*open);
}

void SpanDrain::count_changes(std::uint64_t before_ns) {
  FlatMap<std::int64_t> changes;  // by second and text
  for (auto& [key, sequence] : sequences_) {
    auto& waiting = sequence.waiting;
    const auto due = std::stable_partition(waiting.begin(), waiting.end(),
                                           [&](const TextValue& value) { return value.begin_ns < before_ns; });
    std::stable_sort(waiting.begin(), due,
                     [](const TextValue& a, const TextValue& b) { return a.begin_ns < b.begin_ns; });
    changes.clear();
    for (auto value = waiting.begin(); value != due; ++value) {
      if (sequence.has_last && value->begin_ns < sequence.last_begin_ns) continue;  // too late to have an order
      if (sequence.has_last && value->text != sequence.last && text_of(value->text) != text_of(sequence.last)) {
        ++*changes.at((std::uint64_t{value->second} << 32 | value->text) + 1).first;
      }
      sequence.has_last = true;
      sequence.last = value->text;
      sequence.last_begin_ns = value->begin_ns;
    }
    waiting_ -= static_cast<std::size_t>(due - waiting.begin());
    waiting.erase(waiting.begin(), due);
    const auto& of = key;  // clang before 16 captures no structured binding
    changes.each([&](std::uint64_t at, std::int64_t count) {
      run::SpanAttribute row;
      row.process = context_.process;
      row.second = static_cast<std::int64_t>((at - 1) >> 32);
      row.name = context_.name(of.first);
      row.key = context_.name(of.second);
      row.text = text_of(static_cast<shm::NameId>(at - 1));
      row.changes = count;
      context_.writer.count(row);
    });
  }
}

// More texts within the time that they are held back than there is room for: the oldest are taken in order now. Left
// out instead, they would be no changes, and a busy server's rate of changes would come out at a fraction of what it
// is.
void SpanDrain::order_sooner() {
  std::uint64_t newest = 0;
  for (const auto& [key, sequence] : sequences_) {
    for (const TextValue& value : sequence.waiting) newest = std::max(newest, value.begin_ns);
  }
  for (std::uint64_t held = kOrderingNs; waiting_ > kMostWaiting / 2 && held >= kShortestOrderingNs; held /= 2)
    count_changes(newest - std::min(newest, held));
}

// A target may make up names without end; their last values are kept no longer than needed then.
void SpanDrain::forget_sequences() {
  constexpr std::size_t kMost = 4096;
  if (sequences_.size() <= kMost) return;
  std::erase_if(sequences_, [](const auto& entry) { return entry.second.waiting.empty(); });
}

void SpanDrain::write_row(const Ended& span) {
  nlohmann::json attributes = nlohmann::json::object();
  for (std::uint32_t i = 0; i < span.attribute_count; ++i) {
    const shm::Attribute& attribute = span.attribute[i];
    if (attribute.type == shm::AttributeType::kTraceHigh && i + 2 < span.attribute_count) {
      if (const auto text = traceparent_of(&span.attribute[i])) attributes[context_.text(attribute.key)] = *text;
      i += 2;
      continue;
    }
    const std::string& key = context_.text(attribute.key);
    if (attribute.type == shm::AttributeType::kNumber) attributes[key] = std::bit_cast<double>(attribute.value);
    if (attribute.type == shm::AttributeType::kText) attributes[key] = text_of(id_of_text(attribute));
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

void SpanDrain::write(const Bucket& bucket, shm::NameId name) {
  run::SpanStat stat;
  stat.process = context_.process;
  stat.second = bucket.second;
  stat.name = context_.name(name);
  stat.spans = bucket.spans;
  stat.total_ns = to_integer(bucket.total_ns);
  stat.max_ns = to_integer(bucket.max_ns);
  context_.writer.count(stat, bucket.durations);
  bucket.attributes.each([&](std::uint64_t, const AttributeSum& sum) {
    run::SpanAttribute row;
    row.process = context_.process;
    row.second = bucket.second;
    row.name = stat.name;
    row.key = context_.name(sum.attribute.key);
    if (sum.attribute.type == shm::AttributeType::kText) row.text = text_of(id_of_text(sum.attribute));
    row.spans = sum.spans;
    row.sum = sum.sum;
    context_.writer.count(row);
  });
  for (const auto* chosen : {&bucket.first, &bucket.slowest}) {
    for (const Ended& span : *chosen) write_chosen(span);
  }
}

void SpanDrain::write_chosen(const Ended& span) {
  if (rows_++ < kMostRows) write_row(span);
  const auto family = span.parent == 0 ? families_.find(span.id) : families_.end();
  if (family == families_.end()) return;
  for (const Ended& inside : family->second.inside) {
    if (rows_++ < kMostRows) write_row(inside);
  }
}

void SpanDrain::write_until(std::int64_t second) {
  last_bucket_ = nullptr;
  for (auto& [name, seconds] : buckets_) {
    for (const Bucket& bucket : seconds) {
      if (bucket.second <= second) write(bucket, name);
    }
    std::erase_if(seconds, [&](const Bucket& bucket) { return bucket.second <= second; });
  }
  std::erase_if(buckets_, [](const auto& entry) { return entry.second.empty(); });
  std::erase_if(families_, [&](const auto& entry) { return entry.second.second <= second; });
}

void SpanDrain::end_second(std::uint64_t now_ns, std::int64_t second) {
  count_changes(now_ns - std::min(now_ns, kOrderingNs));
  forget_sequences();
  write_until(second);
  // Spans of an hour ago are asked for by nobody; those asked for while open are asked for again.
  std::swap(older_names_, names_);
  names_.clear();
  open_names_.clear();
}

void SpanDrain::finish() {
  for (Ended& span : incomplete_) {
    if (span.attributes_to_come != 0) book(span);
  }
  incomplete_.clear();
  count_changes(~std::uint64_t{0});
  write_until(std::numeric_limits<std::int64_t>::max());
}

void SpanDrain::write_open() {
  for (const shm::ReadSpan& open : context_.region.open_spans()) {
    Ended span;
    span.id = open.id;
    span.parent = open.parent;
    span.name = open.name;
    span.begin_ns = open.begin_ns;
    span.begin_tid = open.begin_tid;
    for (const shm::Attribute& attribute : open.attributes) {
      if (attribute.key != 0 && span.attribute_count < span.attribute.size())
        span.attribute[span.attribute_count++] = attribute;
    }
    write_row(span);
  }
}

}  // namespace camprobe::drain
