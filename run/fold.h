// run/fold.h
//
// Keeps the file of a long recording small: old buckets of one second are put together to ten seconds, older ones to a
// minute, and those of yesterday to ten minutes. What is younger than half an hour is never touched, so a shorter run
// keeps every second.
//
// What a folded bucket holds is what a bucket of that width would have held, as far as it can be:
//   sums (io, lifetime, lost, span_attribute, descriptor_sum, samples)     are added up: still exact
//   latencies (span_stat)        histograms are merged, so quantiles of the bucket are read from all its durations; a
//                                quantile is never made from quantiles
//   gauges and counters (point)  the last value, and the highest of the bucket as `peak`
//   stacks by weight (cpu, wait, alloc)    of a bucket's rows only so many are kept. Each is kept with a probability p
//   in
//                                proportion to its weight, the heavy ones surely, and its weights are divided by p:
//                                unbiased for every sum over stacks, as the samples themselves are
//   heap objects that died       the same with one probability for each stack of a minute, so that rare stacks keep
//                                theirs; what lives is never touched
//   single spans                 the slowest two of each name and minute, and of requests what lies inside them, from
//                                five minutes on: they are large
//   threads, mappings, descriptors that ended    so many a minute, and rows that say how many of their like there were
//                                (run/fold_ended.h); modules are as few as a region has room for
// Many texts or peers of one bucket: the most frequent ones, and '(others)' for the rest.
//
// One thread: the Writer's, inside its transactions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "run/fold_ended.h"
#include "run/sqlite.h"

struct sqlite3;

namespace camprobe::run {

// Buckets that begin before `until` are `width` seconds wide, unless a wider fold holds there too.
struct Fold {
  std::int64_t width = 1;
  std::int64_t until = 0;
};

// How far folding has gone, in each width from the narrowest on.
struct Folds {
  std::array<Fold, 3> levels{Fold{10, 0}, Fold{60, 0}, Fold{600, 0}};

  std::int64_t width_at(std::int64_t second) const {
    std::int64_t width = 1;  // a load tool's clock may be ahead: its first second lies before 0
    for (const Fold& level : levels) {
      if (second >= 0 && second < level.until) width = level.width;
    }
    return width;
  }
};

class Folder {
 public:
  // Rows of weighted samples. columns: its keys behind process and second, then its weights behind samples; the first
  // weight is what a row's chance to be kept follows.
  struct StackTable {
    const char* name;
    int keys, weights;
    std::size_t most;  // rows of a bucket
    std::array<const char*, 5> columns;
  };

  static constexpr std::int64_t kTen = 10, kTenAfter = 30 * 60;  // seconds
  static constexpr std::int64_t kMinute = 60, kMinuteAfter = 3 * 3600;
  static constexpr std::int64_t kTenMinutes = 600, kTenMinutesAfter = 24 * 3600;
  static constexpr std::int64_t kSpansAfter = 5 * 60;

  // Goes on where the file's `folded` table says it stands. What is kept is drawn by lots that are the run's own: the
  // same draws in every run would be wrong in the same direction in each.
  Folder(sqlite3* database, std::string_view run_id);

  // Where the bucket begins that a row of this second belongs to now.
  std::int64_t bucket_of(std::int64_t second) const { return second - second % width_at(second); }
  std::int64_t width_at(std::int64_t second) const { return folded_.width_at(second); }

  // Does a small piece of what is due when `now` is the present second, some milliseconds of work. To be called inside
  // a transaction. False: SQLite failed.
  bool fold(std::int64_t now);

 private:
  bool advance(Fold& level, std::int64_t now, std::int64_t after);
  bool run(const std::string& sql);
  bool regroup(const char* select, const std::string& remove, const char* put);
  bool fold_points();
  bool fold_sums();
  bool fold_span_stats();
  bool fold_stacks(const StackTable& table);
  bool thin_objects();
  bool thin_spans(std::int64_t now);

  sqlite3* database_;
  std::uint64_t lot_;
  Folds folded_;
  std::int64_t spans_until_ = 0;
  EndedRows ended_;
  // The piece at hand.
  std::int64_t from_ = 0, to_ = 0, width_ = 1;
};

// For the weights of one bucket's rows, the probability to keep each so that `most` are kept: min(1, weight /
// threshold).
std::vector<double> chances_to_keep(const std::vector<double>& weights, std::size_t most);

// How many of each group to keep on average, the same for all that have more: q with sum of min(n, q) = most.
double quota(std::vector<double> sizes, double most);

}  // namespace camprobe::run
