#include "collector/serve/span_totals.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace camprobe::serve {
namespace {

// A target can make up ids for ever.
constexpr std::size_t kMostRemembered = 1 << 14;

shm::NameId id_of_text(const shm::Attribute& attribute) {
  return attribute.value < shm::kNameArenaBytes / 8 ? static_cast<shm::NameId>(attribute.value) : 0;
}

std::uint64_t pair_of(shm::NameId name, shm::NameId provider) {
  return (std::uint64_t{name} + 1) << 32 | provider;
}

}  // namespace

void SpanTotals::ended(std::uint32_t lane, const shm::ReadRecord& record, const TextOf& text) {
  if (lane >= shm::kLanes) return;
  if (lane >= incomplete_.size()) incomplete_.resize(std::size_t{lane} + 1);
  Ended& span = incomplete_[lane];
  if (span.attributes_to_come != 0) book(span, text);  // some of its attributes were overwritten
  span = Ended{};
  span.id = record.span;
  span.name = record.span_end.name;
  span.begin_ns = std::min(record.span_end.begin_ns, record.time_ns);
  span.end_ns = record.time_ns;
  span.attributes_to_come = std::min(record.span_end.attributes, shm::kSpanAttributes);
  if (span.attributes_to_come == 0) book(span, text);
}

void SpanTotals::attributes(std::uint32_t lane, const shm::ReadRecord& record, const TextOf& text) {
  if (lane >= incomplete_.size()) return;
  Ended& span = incomplete_[lane];
  if (span.attributes_to_come == 0 || span.id != record.span) return;  // its span was overwritten
  for (const shm::Attribute& attribute : record.attributes.attribute) {
    if (span.attributes_to_come == 0) break;
    --span.attributes_to_come;
    if (attribute.key != 0) use(span, attribute, text);
  }
  if (span.attributes_to_come == 0) book(span, text);
}

SpanTotals::Key SpanTotals::key_of(shm::NameId id, const TextOf& text) {
  if (keys_.size() > kMostRemembered) keys_.clear();
  Key& key = *keys_.at(std::uint64_t{id} + 1).first;
  if (key == Key::kUnknown) {
    const std::string name = text(id);
    key = name == "provider"        ? Key::kProvider
          : name == "cost"          ? Key::kCost
          : name == "baseline_cost" ? Key::kBaselineCost
          : name == "status"        ? Key::kStatus
          : name == "error"         ? Key::kError
                                    : Key::kIgnored;
  }
  return key;
}

void SpanTotals::use(Ended& span, const shm::Attribute& attribute, const TextOf& text) {
  const Key key = key_of(attribute.key, text);
  if (key == Key::kError) span.has_failed = true;
  if (attribute.type == shm::AttributeType::kText) {
    if (key == Key::kProvider) span.provider = id_of_text(attribute);
    return;
  }
  if (attribute.type != shm::AttributeType::kNumber) return;
  const double number = std::bit_cast<double>(attribute.value);
  if (!(std::abs(number) <= 1e18)) return;  // no number, or one that would make none of a sum
  if (key == Key::kStatus && (number == 0 || number >= 400)) span.has_failed = true;
  // A counter cannot go back.
  if (key == Key::kCost && number >= 0) span.cost = number, span.has_cost = true;
  if (key == Key::kBaselineCost && number >= 0) span.baseline_cost = number, span.has_baseline = true;
}

SpanTotals::Totals& SpanTotals::totals_of(const Ended& span, const TextOf& text) {
  if (known_.size() > kMostRemembered) known_.clear();
  Totals*& known = *known_.at(pair_of(span.name, span.provider)).first;
  if (known != nullptr) return *known;
  std::pair<std::string, std::string> labels{text(span.name), span.provider == 0 ? "" : text(span.provider)};
  if (labels.first.empty()) labels.first = "(unnamed)";
  if (!totals_.contains(labels)) {
    const auto providers = std::count_if(totals_.begin(), totals_.end(), [&](const auto& entry) {
      return entry.first.first == labels.first && !entry.first.second.empty();
    });
    if (!labels.second.empty() && static_cast<std::size_t>(providers) >= kMostProviders) labels.second = kOther;
    if (!totals_.contains(labels) && totals_.size() >= kMostSeries) labels = {kOther, ""};
  }
  known = &totals_[labels];
  return *known;
}

void SpanTotals::book(const Ended& span, const TextOf& text) {
  Totals& totals = totals_of(span, text);
  totals.durations.add(static_cast<double>(span.end_ns - span.begin_ns) / 1e9);
  if (span.has_failed) totals.failed += 1;
  if (span.has_cost && span.has_baseline) {
    totals.has_cost = true;
    totals.cost += span.cost;
    totals.baseline_cost += span.baseline_cost;
  }
  if (span.provider != 0 && waiting_ < kMostWaiting) {
    ++waiting_;
    sequences_[span.name].waiting.push_back({span.begin_ns, span.provider});
  }
}

void SpanTotals::settle(std::uint64_t now_ns, const TextOf& text) {
  const std::uint64_t before_ns = now_ns - std::min(now_ns, kOrderingNs);
  for (auto& [name, sequence] : sequences_) {
    auto& waiting = sequence.waiting;
    const auto due = std::stable_partition(waiting.begin(), waiting.end(),
                                           [&](const Choice& choice) { return choice.begin_ns < before_ns; });
    std::stable_sort(waiting.begin(), due, [](const Choice& a, const Choice& b) { return a.begin_ns < b.begin_ns; });
    double changes = 0;
    for (auto choice = waiting.begin(); choice != due; ++choice) {
      if (sequence.has_last && choice->begin_ns < sequence.last.begin_ns) continue;  // too late to have an order
      if (sequence.has_last && choice->provider != sequence.last.provider) changes += 1;
      sequence.last = *choice;
      sequence.has_last = true;
    }
    waiting_ -= static_cast<std::size_t>(due - waiting.begin());
    waiting.erase(waiting.begin(), due);
    if (!sequence.has_last) continue;
    std::string label = text(name);
    if (label.empty()) label = "(unnamed)";
    if (!switches_.contains(label) && switches_.size() >= kMostSeries) label = kOther;
    switches_[label] += changes;
  }
  if (sequences_.size() > kMostRemembered)
    std::erase_if(sequences_, [](const auto& entry) { return entry.second.waiting.empty(); });
}

}  // namespace camprobe::serve
