// collector/serve/span_totals.h
//
// Ended spans of one region as totals for Prometheus: how long they took, by name and provider; how many failed; what
// they cost and what the dearest choice would have cost; how often the provider changed from one span to the next.
//
// A name or a provider becomes a label, and each pair of them some twenty series, so their number is bounded whatever
// the target names: of one span kMostProviders providers, kMostSeries pairs in all; what comes later is counted under
// "(other)".
//
// A span failed where it carries an attribute `error`, or a number `status` that is 0 or from 400 on. Cost is added up
// where a span carries both `cost` and `baseline_cost`, as in the report (collector/analysis/cam.h).
//
// A change of provider is told from the span of the same name begun just before; rings are read one after the other, so
// providers wait kOrderingNs to be put in the order of their spans' beginnings. Later ones are not looked at for
// changes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "collector/drain/flat_map.h"
#include "collector/serve/weighted_histogram.h"
#include "shm/region_reader.h"

namespace camprobe::serve {

inline constexpr const char* kOther = "(other)";
inline constexpr std::array<double, 18> kSpanBounds = {1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025,
                                                       0.05, 0.1,  0.25, 0.5,  1,    2.5,    5,    10,   30};

class SpanTotals {
 public:
  static constexpr std::size_t kMostSeries = 48, kMostProviders = 16;
  static constexpr std::uint64_t kOrderingNs = 2'000'000'000;
  static constexpr std::size_t kMostWaiting = 1 << 16;

  struct Totals {
    WeightedHistogram durations{kSpanBounds};
    double failed = 0;
    double cost = 0, baseline_cost = 0;
    bool has_cost = false;
  };

  // `text` gives what is interned under an id, as UTF-8 that is safe to print; "" where there is nothing.
  using TextOf = std::function<std::string(shm::NameId)>;

  // Records of one ring in their order: a span's attributes follow it.
  void ended(std::uint32_t lane, const shm::ReadRecord& record, const TextOf& text);
  void attributes(std::uint32_t lane, const shm::ReadRecord& record, const TextOf& text);
  // After a round: counts the changes among spans begun long enough ago.
  void settle(std::uint64_t now_ns, const TextOf& text);

  // By span name and provider ("": none).
  const std::map<std::pair<std::string, std::string>, Totals>& totals() const { return totals_; }
  // By span name.
  const std::map<std::string, double>& switches() const { return switches_; }

 private:
  enum class Key : std::uint8_t { kUnknown, kIgnored, kProvider, kCost, kBaselineCost, kStatus, kError };
  struct Ended {
    shm::SpanId id = 0;
    shm::NameId name = 0, provider = 0;
    std::uint64_t begin_ns = 0, end_ns = 0;
    std::uint32_t attributes_to_come = 0;
    double cost = 0, baseline_cost = 0;
    bool has_cost = false, has_baseline = false, has_failed = false;
  };
  struct Choice {
    std::uint64_t begin_ns = 0;
    shm::NameId provider = 0;
  };
  struct Sequence {  // of one span name
    std::vector<Choice> waiting;
    Choice last;
    bool has_last = false;
  };
  Key key_of(shm::NameId id, const TextOf& text);
  void use(Ended& span, const shm::Attribute& attribute, const TextOf& text);
  void book(const Ended& span, const TextOf& text);
  Totals& totals_of(const Ended& span, const TextOf& text);

  std::vector<Ended> incomplete_;              // by lane
  drain::FlatMap<Key> keys_;                   // by name id + 1
  drain::FlatMap<Totals*> known_;              // by both ids
  std::map<shm::NameId, Sequence> sequences_;  // by span name
  std::size_t waiting_ = 0;                    // in all of sequences_
  std::map<std::pair<std::string, std::string>, Totals> totals_;
  std::map<std::string, double> switches_;
};

}  // namespace camprobe::serve
