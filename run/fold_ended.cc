#include "run/fold_ended.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "run/fold.h"
#include "run/sqlite.h"

namespace camprobe::run {

namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

// What the descriptors whose rows go add to descriptor_sum, gathered first: few stacks and peers open very many.
class Sums {
 public:
  Sums(sqlite3* database, const Folder& folder)
      : database_(database),
        folder_(folder),
        row_(database,
             "SELECT process, closed_ns, kind, coalesce(peer, ''), stack, stands_for, read_ops, read_bytes, write_ops, "
             "write_bytes FROM descriptor WHERE id = ?") {}

  bool take(std::int64_t id) {
    if (!row_.bind(id).step()) return false;
    const std::int64_t process = row_.integer(), second = folder_.bucket_of(row_.integer() / kSecondNs);
    const std::string kind = row_.text();
    std::string peer = row_.text();
    if (kind == "accept") peer.resize(std::min(peer.size(), peer.rfind(':')));  // the other side's choice of a port
    const std::int64_t stack = row_.integer();
    const double stands_for = row_.real();
    if (stands_for > 0) {  // those that were not captured are counted by those that were
      Counts& sum = sums_[{process, second, kind, peer, stack}];
      sum[0] += stands_for;
      for (std::size_t i = 1; i < sum.size(); ++i) sum[i] += stands_for * row_.real();
    }
    row_.reset();
    return true;
  }

  bool write() {
    if (sums_.empty()) return true;
    constexpr double kMost = 9.2e18;
    std::string more;
    for (const char* column : {"opened", "closed", "read_ops", "read_bytes", "write_ops", "write_bytes"}) {
      more += fmt::format("{0}{1} = CAST(min(9.2e18, 0.0 + {1} + excluded.{1}) AS INTEGER)", more.empty() ? "" : ", ",
                          column);
    }
    Statement put(
        database_,
        "INSERT INTO descriptor_sum(process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, "
        "write_ops, write_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " +
            more);
    for (const auto& [key, sum] : sums_) {
      const auto& [process, second, kind, peer, stack] = key;
      put.bind(process).bind(second).bind(kind).bind(peer).bind(stack).bind(static_cast<std::int64_t>(sum[0]));
      for (const double value : sum) put.bind(static_cast<std::int64_t>(std::min(value, kMost)));
      if (!put.run()) return false;
    }
    return true;
  }

 private:
  using Key = std::tuple<std::int64_t, std::int64_t, std::string, std::string, std::int64_t>;
  using Counts = std::array<double, 5>;  // opened (and closed), then operations and bytes; exact up to 2^53
  sqlite3* database_;
  const Folder& folder_;
  Statement row_;
  std::map<Key, Counts> sums_;
};

}  // namespace

const EndedRows::Table EndedRows::kTables[3] = {
    {"thread", "ended_ns", false}, {"mapping", "unmapped_ns", false}, {"descriptor", "closed_ns", true}};

std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ull;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebull;
  return bits ^ bits >> 31;
}

bool EndedRows::thin_recent(std::int64_t now, const Folder& folder) {
  if (thinned_until_ < 0) thinned_until_ = std::max<std::int64_t>(0, now - now % kPiece - kPiece);
  if (thinned_until_ + 2 * kPiece > now) return true;
  const std::int64_t from = thinned_until_;
  thinned_until_ += kPiece;
  for (const Table& table : kTables) {
    Statement young(database_,
                    fmt::format("SELECT count(*) FROM {0} WHERE {1} >= ? AND {1} < ?", table.name, table.ended));
    young.bind((now - Folder::kTenAfter) * kSecondNs).bind(from * kSecondNs);
    if (!young.step()) return false;
    // Of the room that is left a twentieth: the first busy minute is kept in full, and it never runs out.
    const double room = (kMostYoung - young.real()) / 20;
    if (!thin(table, from, from + kPiece, std::clamp(room, kLeastAPiece, kMostAPiece), folder)) return false;
  }
  return true;
}

bool EndedRows::thin(std::int64_t from, std::int64_t to, double most, const Folder& folder) {
  return std::all_of(std::begin(kTables), std::end(kTables),
                     [&](const Table& table) { return thin(table, from, to, most, folder); });
}

bool EndedRows::thin(const Table& table, std::int64_t from, std::int64_t to, double most, const Folder& folder) {
  using Stack = std::pair<std::int64_t, std::int64_t>;  // and its process
  std::map<Stack, std::vector<std::int64_t>> ended;
  Statement rows(database_, fmt::format("SELECT id, process, stack FROM {0} WHERE {1} >= ? AND {1} < ? ORDER BY id",
                                        table.name, table.ended));
  rows.bind(from * kSecondNs).bind(to * kSecondNs);
  double all = 0;
  while (rows.step()) {
    const std::int64_t id = rows.integer(), process = rows.integer();
    ended[{process, rows.integer()}].push_back(id);
    ++all;
  }
  if (!rows.ok()) return false;
  if (all <= most) return true;
  std::vector<double> sizes;
  for (const auto& [stack, ids] : ended) sizes.push_back(static_cast<double>(ids.size()));
  const double of_each = std::max(1.0, quota(sizes, most));
  Sums sums(database_, folder);
  Statement remove(database_, fmt::format("DELETE FROM {} WHERE id = ?", table.name));
  Statement weigh(database_,
                  fmt::format("UPDATE {} SET kept_of = min(kept_of * ?, 1000000000) WHERE id = ?", table.name));
  for (const auto& [stack, ids] : ended) {
    const auto one_in = static_cast<std::uint64_t>(std::ceil(static_cast<double>(ids.size()) / of_each - 1e-9));
    if (one_in <= 1) continue;
    // Every k-th, from one drawn by lot: each with a chance of one in k, and never none of many.
    std::uint64_t until_kept = mixed(lot_ ^ static_cast<std::uint64_t>(ids.front() * 64 + from)) % one_in;
    for (const std::int64_t id : ids) {
      if (until_kept-- == 0) {
        until_kept = one_in - 1;
        if (!weigh.bind(static_cast<std::int64_t>(one_in)).bind(id).run()) return false;
        continue;
      }
      if (table.are_descriptors && !sums.take(id)) return false;
      if (!remove.bind(id).run()) return false;
    }
  }
  return sums.write();
}

}  // namespace camprobe::run
