#include "run/fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "run/histogram.h"

namespace camprobe::run {
namespace {

constexpr double kDeadObjects = 15;  // of those that died in one minute

// A sum of whole numbers, exact up to 2^53. SQLite's own fails where 64 bits do not hold it, which a target can bring
// about.
#define CAMPROBE_SUM(column) "CAST(min(total(" #column "), 9.2e18) AS INTEGER)"

// The rows of the piece, by the tables' own keys: of processes that were there, and of the machine.
#define CAMPROBE_OF_THE_PIECE                                                                                \
  "process IN (SELECT 0 UNION ALL SELECT id FROM process WHERE ended_ns IS NULL OR ended_ns >= (?2 - 60) * " \
  "1000000000) AND second >= ?2 AND second < ?3"

}  // namespace

double quota(std::vector<double> sizes, double most) {
  std::sort(sizes.begin(), sizes.end());
  double left = most;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double share = left / static_cast<double>(sizes.size() - i);
    if (sizes[i] > share) return share;
    left -= sizes[i];
  }
  return sizes.empty() ? most : sizes.back();
}

std::vector<double> chances_to_keep(const std::vector<double>& weights, std::size_t most) {
  std::vector<double> chances(weights.size(), 1);
  if (weights.size() <= most) return chances;
  std::vector<std::size_t> heaviest_first(weights.size());
  std::iota(heaviest_first.begin(), heaviest_first.end(), 0);
  std::sort(heaviest_first.begin(), heaviest_first.end(),
            [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  double rest = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t sure = 0;
  double threshold = rest / static_cast<double>(most);
  while (sure + 1 < most && weights[heaviest_first[sure]] >= threshold) {
    rest -= weights[heaviest_first[sure++]];
    threshold = rest / static_cast<double>(most - sure);
  }
  for (std::size_t i = sure; i < heaviest_first.size(); ++i)
    chances[heaviest_first[i]] = std::min(1.0, weights[heaviest_first[i]] / threshold);
  return chances;
}

// Rows kept of a bucket, all processes together.
const Folder::StackTable kCpu{"cpu", 3, 1, 50, {"thread", "stack", "span_name", "weight_ns"}};
const Folder::StackTable kWait{"wait", 3, 1, 25, {"thread", "stack", "call", "weight_ns"}};
const Folder::StackTable kAlloc{"alloc", 2, 3, 50, {"stack", "span_name", "bytes", "objects", "temporary_objects"}};

Folder::Folder(sqlite3* database, std::string_view run_id)
    : database_(database), lot_(mixed(std::hash<std::string_view>{}(run_id))), ended_(database, lot_) {
  Statement rows(database_, "SELECT width, until FROM folded");
  while (rows.step()) {
    const std::int64_t width = rows.integer();
    const std::int64_t until = rows.integer();
    for (Fold& level : folded_.levels) {
      if (level.width == width) level.until = until;
    }
  }
  spans_until_ = folded_.levels[0].until;
}

bool Folder::fold(std::int64_t now) {
  auto& [ten, minute, ten_minutes] = folded_.levels;
  return advance(ten, now, kTenAfter) && advance(minute, now, kMinuteAfter) &&
         advance(ten_minutes, now, kTenMinutesAfter) && thin_spans(now) && ended_.thin_recent(now, *this);
}

bool Folder::advance(Fold& level, std::int64_t now, std::int64_t after) {
  if (level.until + level.width > now - after) return true;
  from_ = level.until;
  to_ = from_ + level.width;
  width_ = level.width;
  level.until = to_;
  if (!(fold_points() && fold_sums() && fold_span_stats() && fold_stacks(kCpu) && fold_stacks(kWait) &&
        fold_stacks(kAlloc)))
    return false;
  if (level.width == kTen && to_ % kMinute == 0 &&
      !(thin_objects() && ended_.thin(to_ - kMinute, to_, EndedRows::kMostAMinute, *this)))
    return false;
  Statement note(database_, "INSERT OR REPLACE INTO folded(width, until) VALUES (?, ?)");
  return note.bind(level.width).bind(level.until).run();
}

// Parameters: 1 the width, 2 and 3 the piece.
bool Folder::run(const std::string& sql) {
  Statement statement(database_, sql);
  const int wanted = statement.parameters();
  if (wanted >= 1) statement.bind(width_);
  if (wanted >= 2) statement.bind(from_).bind(to_);
  return statement.run();
}

// A group's rows into a table of their own, away with them, and back in one.
bool Folder::regroup(const char* select, const std::string& remove, const char* put) {
  return run(fmt::format("CREATE TEMP TABLE fold AS {}", select)) && run(remove) && run(put) &&
         run("DROP TABLE temp.fold");
}

bool Folder::fold_points() {
  return run("CREATE TEMP TABLE fold AS SELECT metric, process, second / ?1 * ?1 AS at, max(second) AS last, "
             "max(coalesce(peak, value)) AS peak, 0.0 AS value FROM point WHERE metric IN (SELECT id FROM metric) "
             "AND " CAMPROBE_OF_THE_PIECE " GROUP BY 1, 2, 3") &&
         run("UPDATE temp.fold SET value = (SELECT p.value FROM point p WHERE p.metric = fold.metric AND "
             "p.process = fold.process AND p.second = fold.last)") &&
         run("DELETE FROM point WHERE metric IN (SELECT id FROM metric) AND " CAMPROBE_OF_THE_PIECE) &&
         run("INSERT INTO point(metric, process, second, width, value, peak) SELECT metric, process, at, ?1, value, "
             "nullif(peak, value) FROM temp.fold") &&
         run("DROP TABLE temp.fold");
}

bool Folder::fold_sums() {
  return regroup(
             "SELECT process, second / ?1 * ?1 AS at, kind, " CAMPROBE_SUM(ops) " AS ops, " CAMPROBE_SUM(bytes) " AS bytes, " CAMPROBE_SUM(errors) " AS "
             "errors, " CAMPROBE_SUM(ns) " AS ns FROM io WHERE " CAMPROBE_OF_THE_PIECE " GROUP BY 1, 2, 3",
             "DELETE FROM io WHERE " CAMPROBE_OF_THE_PIECE,
             "INSERT INTO io(process, second, kind, ops, bytes, errors, ns) SELECT * FROM temp.fold") &&
         regroup(
             "SELECT process, second / ?1 * ?1 AS at, octave, " CAMPROBE_SUM(samples) " AS samples, sum(objects) AS objects, "
             "sum(bytes) AS bytes FROM lifetime WHERE " CAMPROBE_OF_THE_PIECE " GROUP BY 1, 2, 3",
             "DELETE FROM lifetime WHERE " CAMPROBE_OF_THE_PIECE,
             "INSERT INTO lifetime(process, second, octave, samples, objects, bytes) SELECT * FROM temp.fold") &&
         regroup(
             "SELECT process, second / ?1 * ?1 AS at, kind, " CAMPROBE_SUM(records) " AS records FROM lost "
             "WHERE " CAMPROBE_OF_THE_PIECE " GROUP BY 1, 2, 3",
             "DELETE FROM lost WHERE " CAMPROBE_OF_THE_PIECE,
             "INSERT INTO lost(process, second, kind, records) SELECT * FROM temp.fold") &&
         // Values and peers without end: the fifty (twenty) most frequent ones of a bucket have rows of their own.
         regroup(
             "SELECT process, at, name, key, CASE WHEN place <= 50 THEN text ELSE '(others)' END AS text, "
             CAMPROBE_SUM(spans) " AS spans, sum(sum) AS sum, " CAMPROBE_SUM(changes) " AS changes FROM (SELECT *, row_number() OVER "
             "(PARTITION BY process, at, name, key ORDER BY spans DESC, text) AS place FROM (SELECT process, "
             "second / ?1 * ?1 AS at, name, key, text, " CAMPROBE_SUM(spans) " AS spans, sum(sum) AS sum, " CAMPROBE_SUM(changes) " AS "
             "changes FROM span_attribute WHERE " CAMPROBE_OF_THE_PIECE
             " GROUP BY 1, 2, 3, 4, 5)) "
             "GROUP BY 1, 2, 3, 4, 5",
             "DELETE FROM span_attribute WHERE " CAMPROBE_OF_THE_PIECE,
             "INSERT INTO span_attribute(process, second, name, key, text, spans, sum, changes) SELECT * FROM "
             "temp.fold") &&
         regroup(
             "SELECT process, at, kind, CASE WHEN place <= 20 THEN peer ELSE '(others)' END AS peer, stack, "
             CAMPROBE_SUM(opened) ", " CAMPROBE_SUM(closed) ", " CAMPROBE_SUM(read_ops) ", " CAMPROBE_SUM(read_bytes) ", " CAMPROBE_SUM(write_ops) ", " CAMPROBE_SUM(write_bytes) " FROM "
             "(SELECT *, row_number() OVER (PARTITION BY process, at, kind, stack ORDER BY opened DESC, peer) AS "
             "place FROM (SELECT process, second / ?1 * ?1 AS at, kind, peer, stack, " CAMPROBE_SUM(opened) " AS opened, "
             CAMPROBE_SUM(closed) " AS closed, " CAMPROBE_SUM(read_ops) " AS read_ops, " CAMPROBE_SUM(read_bytes) " AS read_bytes, " CAMPROBE_SUM(write_ops) " AS "
             "write_ops, " CAMPROBE_SUM(write_bytes) " AS write_bytes FROM descriptor_sum WHERE " CAMPROBE_OF_THE_PIECE
             " GROUP BY 1, 2, 3, 4, 5)) GROUP BY 1, 2, 3, 4, 5",
             "DELETE FROM descriptor_sum WHERE " CAMPROBE_OF_THE_PIECE,
             "INSERT INTO descriptor_sum(process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, "
             "write_ops, write_bytes) SELECT * FROM temp.fold");
}

bool Folder::fold_span_stats() {
  struct Sum {
    std::int64_t spans = 0, total_ns = 0, max_ns = 0;
    Histogram latency;
  };
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, Sum> sums;  // process, bucket, name
  Statement rows(database_,
                 "SELECT process, second, name, spans, total_ns, max_ns, latency FROM span_stat "
                 "WHERE ?1 AND " CAMPROBE_OF_THE_PIECE);
  rows.bind(width_).bind(from_).bind(to_);
  while (rows.step()) {
    const std::int64_t process = rows.integer();
    const std::int64_t bucket = rows.integer() / width_ * width_;
    Sum& sum = sums[{process, bucket, rows.integer()}];
    sum.spans += rows.integer();
    const std::int64_t total_ns = rows.integer();
    if (__builtin_add_overflow(sum.total_ns, total_ns, &sum.total_ns)) sum.total_ns = INT64_MAX;
    sum.max_ns = std::max(sum.max_ns, rows.integer());
    if (const auto latency = Histogram::from_json(rows.text())) sum.latency.merge(*latency);
  }
  if (!rows.ok() || !run("DELETE FROM span_stat WHERE " CAMPROBE_OF_THE_PIECE)) return false;
  Statement put(database_,
                "INSERT INTO span_stat(process, second, name, spans, total_ns, max_ns, latency) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)");
  for (const auto& [key, sum] : sums) {
    put.bind(std::get<0>(key)).bind(std::get<1>(key)).bind(std::get<2>(key)).bind(sum.spans).bind(sum.total_ns);
    if (!put.bind(sum.max_ns).bind(sum.latency.to_short_json()).run()) return false;
  }
  return true;
}

bool Folder::fold_stacks(const StackTable& table) {
  struct Row {
    std::array<std::int64_t, 5> key{};  // process, bucket, and the table's own
    std::int64_t samples = 0;
    std::array<double, 3> weights{};
  };
  std::vector<std::vector<Row>> buckets(static_cast<std::size_t>((to_ - from_) / width_));
  std::string keys, sums, put, group = "1, 2";
  for (int i = 0; i < table.keys; ++i) {
    keys += fmt::format(", {}", table.columns[i]);
    group += fmt::format(", {}", i + 3);
  }
  std::string known_keys = keys;  // a thread whose row is folded is nobody any more
  if (table.columns[0] == std::string_view("thread")) {
    known_keys.replace(
        2, 6, fmt::format("ifnull((SELECT id FROM thread t WHERE t.id = {0}.thread), 0) AS thread", table.name));
  }
  for (int i = table.keys; i < table.keys + table.weights; ++i) {
    sums += fmt::format(", sum({})", table.columns[i]);
    put += fmt::format(", {}", table.columns[i]);
  }
  Statement rows(database_, fmt::format("SELECT process, second / ?1 * ?1 AS at{}, " CAMPROBE_SUM(
                                            samples) "{} FROM {} "
                                                     "WHERE " CAMPROBE_OF_THE_PIECE " GROUP BY {}",
                                        known_keys, sums, table.name, group));
  rows.bind(width_).bind(from_).bind(to_);
  while (rows.step()) {
    Row row;
    for (int i = 0; i < table.keys + 2; ++i) row.key[static_cast<std::size_t>(i)] = rows.integer();
    row.samples = rows.integer();
    for (int i = 0; i < table.weights; ++i) row.weights[static_cast<std::size_t>(i)] = rows.real();
    buckets[static_cast<std::size_t>((row.key[1] - from_) / width_)].push_back(row);
  }
  if (!rows.ok() || !run(fmt::format("DELETE FROM {} WHERE " CAMPROBE_OF_THE_PIECE, table.name))) return false;
  std::string marks = "?, ?, ?";
  for (int i = 0; i < table.keys + table.weights; ++i) marks += ", ?";
  Statement insert(
      database_, fmt::format("INSERT INTO {}(process, second{}, samples{}) VALUES ({})", table.name, keys, put, marks));
  for (const std::vector<Row>& bucket : buckets) {
    std::vector<double> weights;
    for (const Row& row : bucket) weights.push_back(row.weights[0] + 1);  // what weighs nothing has a chance too
    const std::vector<double> chances = chances_to_keep(weights, table.most);
    // Systematic sampling: one draw for the bucket, so that just so many are kept as the chances add up to.
    double mark = bucket.empty()
                      ? 0
                      : static_cast<double>(mixed(lot_ ^ static_cast<std::uint64_t>(bucket[0].key[1])) >> 11) * 0x1p-53;
    for (std::size_t i = 0; i < bucket.size(); ++i) {
      mark -= chances[i];
      if (mark > 0 && chances[i] < 1) continue;
      mark += 1;
      for (int k = 0; k < table.keys + 2; ++k) insert.bind(bucket[i].key[static_cast<std::size_t>(k)]);
      insert.bind(bucket[i].samples);
      for (int k = 0; k < table.weights; ++k) insert.bind(bucket[i].weights[static_cast<std::size_t>(k)] / chances[i]);
      if (!insert.run()) return false;
    }
  }
  return true;
}

bool Folder::thin_objects() {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  const auto of_minute = [&](Statement& s) { s.bind((to_ - kMinute) * kSecondNs).bind(to_ * kSecondNs); };
  std::map<std::pair<std::int64_t, std::int64_t>, double> sizes;  // by process and stack
  std::vector<double> all;
  Statement groups(database_,
                   "SELECT process, stack, count(*) FROM heap_object WHERE died_ns >= ? AND died_ns < ? "
                   "GROUP BY process, stack");
  of_minute(groups);
  while (groups.step()) {
    const std::int64_t process = groups.integer(), stack = groups.integer();
    all.push_back(sizes[{process, stack}] = groups.real());
  }
  if (!groups.ok()) return false;
  if (std::accumulate(all.begin(), all.end(), 0.0) <= kDeadObjects) return true;
  const double most = quota(all, kDeadObjects);
  struct Change {
    std::int64_t process = 0, sample = 0;
    double chance = 0;  // 0: away with it
  };
  std::vector<Change> changes;
  Statement rows(database_, "SELECT process, sample, stack FROM heap_object WHERE died_ns >= ? AND died_ns < ?");
  of_minute(rows);
  while (rows.step()) {
    const std::int64_t process = rows.integer(), sample = rows.integer();
    const double chance = std::min(1.0, most / sizes[{process, rows.integer()}]);
    const double draw =
        static_cast<double>(mixed(lot_ ^ static_cast<std::uint64_t>(sample * 64 + process)) >> 11) * 0x1p-53;
    if (chance < 1) changes.push_back({process, sample, draw < chance ? chance : 0});
  }
  if (!rows.ok()) return false;
  Statement remove(database_, "DELETE FROM heap_object WHERE process = ? AND sample = ?");
  Statement weigh(database_,
                  "UPDATE heap_object SET bytes = bytes / ?1, objects = objects / ?1 WHERE process = ?2 AND "
                  "sample = ?3");
  return std::all_of(changes.begin(), changes.end(), [&](const Change& change) {
    if (change.chance == 0) return remove.bind(change.process).bind(change.sample).run();
    return weigh.bind(change.chance).bind(change.process).bind(change.sample).run();
  });
}

bool Folder::thin_spans(std::int64_t now) {
  if (spans_until_ + kMinute > now - kSpansAfter) return true;
  from_ = spans_until_;
  spans_until_ = to_ = from_ + kMinute;
  return run("CREATE TEMP TABLE fold AS SELECT process, span, parent, row_number() OVER (PARTITION BY process, name "
             "ORDER BY ended_ns - began_ns DESC, span) <= 2 AS is_kept FROM span WHERE ended_ns >= (?3 - 60) * "
             "1000000000 AND ended_ns < ?3 * 1000000000") &&
         run("CREATE INDEX temp.fold_parent ON fold(process, parent)") &&
         // A request is kept with all that lies inside it.
         run("UPDATE temp.fold SET is_kept = 1 WHERE (process, span) IN (WITH RECURSIVE kept(process, span) AS (SELECT "
             "process, span FROM temp.fold WHERE is_kept AND parent = 0 UNION SELECT f.process, f.span FROM kept k "
             "JOIN "
             "temp.fold f ON f.process = k.process AND f.parent = k.span) SELECT process, span FROM kept)") &&
         run("DELETE FROM span WHERE ended_ns >= (?3 - 60) * 1000000000 AND ended_ns < ?3 * 1000000000 AND (process, "
             "span) IN (SELECT process, span FROM temp.fold WHERE NOT is_kept)") &&
         run("DROP TABLE temp.fold");
}

}  // namespace camprobe::run
