// collector/drain/spans.h
//
// Ended spans of one region into the run: a latency histogram of all of them per second and name, sums of all their
// attributes, and single rows for a bounded choice: of each name and second the slowest few and the first few.
//
// A bucket's second is the one the span ended in. `changes` counts how often a text attribute differs from the one of
// the span begun just before it, so spans are held back for two seconds and taken in order of their beginnings; one
// that lasted longer than that comes too late to be counted as a change.
//
// It also knows, for a while, what the spans were called that samples were taken in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/drain/region_context.h"

namespace camprobe::drain {

class SpanDrain {
 public:
  static constexpr std::size_t kFirstRows = 10, kSlowestRows = 5;  // per name and second
  static constexpr std::int64_t kMostRows = 500'000;               // per process
  static constexpr std::uint64_t kOrderingNs = 2 * 1'000'000'000ull;
  static constexpr std::size_t kMostWaiting = 1 << 16;  // texts, for their order to be known

  explicit SpanDrain(RegionContext& context) : context_(context) {}

  // Records of one ring in their order: a span's attributes follow it.
  void ended(std::uint32_t lane, const shm::ReadRecord& record);
  void attributes(std::uint32_t lane, const shm::ReadRecord& record);

  // The name of a span that is open or ended lately; nothing where it is not known (yet).
  std::optional<run::NameId> name_of(shm::SpanId span);
  // Looks at the open spans; once a round and only where name_of() had no answer.
  void look_at_open();

  // Once a second.
  void end_second(std::uint64_t now_ns);
  // No more will come.
  void finish();
  // A row, without an end, for each that is open now.
  void write_open();

 private:
  struct Ended {
    shm::SpanId id = 0, parent = 0;
    shm::NameId name = 0;
    std::uint64_t begin_ns = 0, end_ns = 0;  // end_ns 0: open
    std::uint32_t begin_tid = 0, end_tid = 0;
    std::uint32_t attributes_to_come = 0;
    std::vector<shm::Attribute> attributes;
  };
  struct TextValue {
    std::uint64_t begin_ns = 0;
    std::int64_t second = 0;
    std::string text;
  };
  struct Sequence {  // of one name and key
    std::vector<TextValue> waiting;
    std::string last;
    bool has_last = false;
    std::uint64_t last_begin_ns = 0;
  };
  std::string text_of(const shm::Attribute& attribute);
  void book(Ended& span);
  void count_changes(std::uint64_t before_ns);
  void write_chosen();
  void write_row(const Ended& span);

  RegionContext& context_;
  std::unordered_map<std::uint32_t, Ended> incomplete_;               // by lane
  std::unordered_map<shm::SpanId, shm::NameId> names_, older_names_;  // two generations
  std::map<std::pair<run::NameId, run::NameId>, Sequence> sequences_;
  std::map<std::pair<std::int64_t, shm::NameId>, std::vector<Ended>> chosen_;  // by second and name
  std::size_t waiting_ = 0;
  std::int64_t rows_ = 0;
};

}  // namespace camprobe::drain
