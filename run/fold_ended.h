// run/fold_ended.h
//
// Threads, mappings and descriptors that have ended have a row each, and a server may open and close thousands of
// connections a second for days. So of those that ended only so many rows are kept, a piece of time after the other:
//   after ten seconds    as long as about 20,000 rows of the table are younger than half an hour, a thousand of each
//   ten
//                        seconds: what most servers never reach. The nearer to it, the fewer, down to ten
//   after half an hour   ten a minute
// Of each process's stack the same number is kept, of those that have more, one in k by chance, and the row kept says k
// (`kept_of`), so that lifetimes are still unbiased. The descriptors that go are added up in descriptor_sum, in the
// second in which they closed, so that what was opened, closed, read and written is still exact. What has not ended is
// never touched.
//
// One thread: the Writer's, inside its transactions.
#pragma once

#include <cstdint>

struct sqlite3;

namespace camprobe::run {

class Folder;

class EndedRows {
 public:
  static constexpr std::int64_t kPiece = 10;  // seconds
  static constexpr double kMostYoung = 20'000, kMostAPiece = 1'000, kLeastAPiece = 10, kMostAMinute = 10;

  // `lot`: the run's own, for what is drawn.
  EndedRows(sqlite3* database, std::uint64_t lot) : database_(database), lot_(lot) {}

  // Of what ended in [from, to) at most `most` rows of each table. `folder` says where sums belong. False: SQLite
  // failed.
  bool thin(std::int64_t from, std::int64_t to, double most, const Folder& folder);
  // What is due when `now` is the present second: the piece that ended ten seconds ago.
  bool thin_recent(std::int64_t now, const Folder& folder);

 private:
  struct Table {
    const char *name, *ended;
    bool are_descriptors;
  };
  static const Table kTables[3];
  bool thin(const Table& table, std::int64_t from, std::int64_t to, double most, const Folder& folder);

  sqlite3* database_;
  std::uint64_t lot_;
  std::int64_t thinned_until_ = -1;  // -1: not known; at the first flush of a recording, new or gone on with
};

// Sixty-four well mixed bits: which rows are kept depends on nothing that a program has a hand in.
std::uint64_t mixed(std::uint64_t bits);

}  // namespace camprobe::run
