// collector/drain/spans.h
//
// Ended spans of one region into the run: a latency histogram of all of them per second and name, sums of all their
// attributes, and single rows for a bounded choice: of each name and second the slowest few and the first few. One of
// them that lies in no other, a request, is kept with what lies inside it, so that it can be shown as a tree.
//
// Spans are the bulk of what a busy server records, with their attributes tens of thousands of records a second. So
// they are taken from the rings as they come, added up here under the region's own ids, and given to the writer once a
// second as the few rows that they make; a text is read from the region once, not once a span.
//
// A bucket's second is the one the span ended in. `changes` counts how often a text attribute differs from the one of
// the span begun just before it, so texts are held back for two seconds (less where there would be too many) and taken
// in order of their spans' beginnings; a span that lasted longer than that comes too late to be counted as a change.
//
// It also knows, for a while, what the spans were called that samples were taken in.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/drain/flat_map.h"
#include "collector/drain/region_context.h"
#include "run/histogram.h"

namespace camprobe::drain {

class SpanDrain {
 public:
  static constexpr std::size_t kFirstRows = 10, kSlowestRows = 5;  // per name and second
  static constexpr std::int64_t kMostRows = 500'000;               // per process
  static constexpr std::uint64_t kOrderingNs = 2 * 1'000'000'000ull;
  static constexpr std::size_t kMostWaiting = 1 << 16;                  // texts, for their order to be known
  static constexpr std::uint64_t kShortestOrderingNs = 100'000'000ull;  // rings are read at least as often
  static constexpr std::size_t kRecent = 1024;    // ended spans, for one around them that is chosen
  static constexpr std::size_t kMostInside = 64;  // rows that come along with one request

  explicit SpanDrain(RegionContext& context) : context_(context) {}

  // Records of one ring in their order: a span's attributes follow it.
  void ended(std::uint32_t lane, const shm::ReadRecord& record);
  void attributes(std::uint32_t lane, const shm::ReadRecord& record);

  // The name of a span that is open or ended lately; nothing where it is not known (yet).
  std::optional<run::NameId> name_of(shm::SpanId span);

  // Once a second: writes what ended up to `second`.
  void end_second(std::uint64_t now_ns, std::int64_t second);
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
    std::uint32_t attributes_to_come = 0;  // not 0: the next record of this lane has them
    std::uint32_t attribute_count = 0;
    std::array<shm::Attribute, shm::kSpanAttributes> attribute;

    std::uint64_t duration_ns() const { return end_ns - begin_ns; }
  };
  struct AttributeSum {
    shm::Attribute attribute{};  // a number's value is in `sum`
    std::int64_t spans = 0;
    double sum = 0;
  };
  // The spans of one name that ended in one second.
  struct Bucket {
    std::int64_t second = 0;
    std::int64_t spans = 0;
    std::uint64_t total_ns = 0, max_ns = 0;
    run::Histogram durations;
    FlatMap<AttributeSum> attributes;  // by key, and value where it is a text
    std::vector<Ended> first, slowest;
    std::uint64_t first_until_ns = 0;   // the latest end among `first`
    std::uint64_t slowest_from_ns = 0;  // the shortest duration among `slowest`
  };
  // What lies inside a chosen span that lies in no other.
  struct Family {
    std::int64_t second = 0;  // of its bucket
    std::vector<Ended> inside;
  };
  struct TextValue {
    std::uint64_t begin_ns = 0;
    std::uint32_t second = 0;
    shm::NameId text = 0;
  };
  struct Sequence {  // of one name and key
    std::vector<TextValue> waiting;
    shm::NameId last = 0;
    bool has_last = false;
    std::uint64_t last_begin_ns = 0;
  };
  Bucket& bucket_of(shm::NameId name, std::int64_t second);
  std::string text_of(shm::NameId id);
  void book(const Ended& span);
  void book_attributes(Bucket& bucket, const Ended& span, std::uint32_t second);
  static bool choose(Bucket& bucket, const Ended& span);
  void begin_family(const Ended& root, std::int64_t second);
  void gather_inside(const Ended& span, shm::SpanId root);
  bool join_family(const Ended& span, shm::SpanId root);
  void write_chosen(const Ended& span);
  void count_changes(std::uint64_t before_ns);
  void order_sooner();
  void forget_sequences();
  void write(const Bucket& bucket, shm::NameId name);
  void write_until(std::int64_t second);
  void write_row(const Ended& span);

  RegionContext& context_;
  std::vector<Ended> incomplete_;  // by lane
  std::vector<Ended> recent_;      // the last kRecent, in turns
  std::size_t next_recent_ = 0;
  std::map<shm::SpanId, Family> families_;    // by their outermost span
  FlatMap<shm::SpanId> family_of_;            // the outermost span of each that is in a family
  FlatMap<shm::NameId> names_, older_names_;  // by span; two generations
  FlatMap<shm::NameId> open_names_;           // of spans that samples asked for, until the next second
  std::map<std::pair<shm::NameId, shm::NameId>, Sequence> sequences_;
  std::size_t waiting_ = 0;                             // in all of sequences_
  std::map<shm::NameId, std::vector<Bucket>> buckets_;  // by name; of each the seconds not written yet, seldom over two
  Bucket* last_bucket_ = nullptr;                       // what was booked last: the next span is often alike
  shm::NameId last_name_ = 0;
  std::int64_t rows_ = 0;
};

}  // namespace camprobe::drain
