// run/reader_state.h
//
// What the parts of the Reader share: the open database, how a query's rows are walked, and the conditions that
// questions have in common. Private to run/reader*.cc.
#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "run/fold.h"
#include "run/reader.h"
#include "run/sqlite.h"

namespace camprobe::run {

struct Reader::State {
  std::string path;
  std::string private_copy;  // a directory of ours to remove, where the run could only be read from a copy
  sqlite3* database = nullptr;
  std::unique_ptr<Statement> attributes_of_span;  // made when first asked for
  std::optional<Error> error;
  int pins = 0;             // that were not taken back
  bool is_current = false;  // the schema is the present one: that before named stacks early and folded nothing
  Folds folded;
  std::string symbol_problems;  // found while reading
  std::unordered_map<NameId, std::string> names;
  std::unordered_map<StackId, Stack> stacks;
  std::unordered_map<FrameId, Frame> frames;
  // Of stacks that were named while reading.
  std::map<std::tuple<std::string, std::string, std::int64_t, std::string, std::string>, FrameId> own_frames;

  ~State() {
    attributes_of_span.reset();
    sqlite3_close_v2(database);
    if (!private_copy.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(private_copy, ignored);
    }
  }

  std::int64_t width_at(std::int64_t second) const { return folded.width_at(second); }
  void read_folds();

  // Keeps the first failure: what follows from it would only hide it.
  void check(const Statement& statement) {
    if (statement.ok() || error) return;
    if (statement.status() == SQLITE_FULL) {
      error =
          Error{fmt::format("{}: no room for the temporary files that sorting takes; SQLITE_TMPDIR names another "
                            "directory for them",
                            path)};
      return;
    }
    error = Error{fmt::format("{} is damaged, what could be read was kept: {}", path, sqlite3_errmsg(database))};
  }

  // Runs a query and hands each row to `row`.
  template <class Bind, class Row>
  void each(std::string_view sql, Bind bind, Row row) {
    Statement statement(database, sql);
    bind(statement);
    while (statement.step()) row(statement);
    check(statement);
  }

  // A column by its name, or what it always was in files of before it was there.
  std::string column_or(const char* table, const char* column, const char* otherwise) const {
    const bool is_there = sqlite3_table_column_metadata(database, nullptr, table, column, nullptr, nullptr, nullptr,
                                                        nullptr, nullptr) == SQLITE_OK;
    return is_there ? column : otherwise;
  }

  template <class Value, class Bind, class Row>
  std::vector<Value> all(std::string_view sql, Bind bind, Row row) {
    std::vector<Value> rows;
    each(sql, bind, [&](Statement& s) { rows.push_back(row(s)); });
    return rows;
  }
};

inline constexpr std::int64_t kSecond = 1'000'000'000;

inline std::int64_t first_second(std::int64_t from_ns) {
  return from_ns <= 0 ? 0 : (from_ns - 1) / kSecond + 1;
}
inline std::int64_t end_second(std::int64_t to_ns) {
  return to_ns <= 0 ? 0 : (to_ns - 1) / kSecond + 1;
}

// " WHERE ..." for a slice of a table that has process and second; the binder binds in the same order.
struct SliceFilter {
  const Slice& slice;
  bool by_thread = false;
  bool by_span = false;

  std::string where() const {
    std::string text = " WHERE second >= ? AND second < ?";
    if (slice.process) text += " AND process = ?";
    if (by_thread && slice.thread) text += " AND thread = ?";
    if (by_span && slice.span_name) text += " AND span_name = ?";
    return text;
  }
  void operator()(Statement& s) const {
    s.bind(first_second(slice.from_ns)).bind(end_second(slice.to_ns));
    if (slice.process) s.bind(*slice.process);
    if (by_thread && slice.thread) s.bind(*slice.thread);
    if (by_span && slice.span_name) s.bind(*slice.span_name);
  }
};

// " WHERE process = ?" or nothing.
struct ProcessFilter {
  std::optional<ProcessId> process;

  std::string where() const { return process ? " WHERE process = ?" : ""; }
  void operator()(Statement& s) const {
    if (process) s.bind(*process);
  }
};

inline constexpr auto kBindNothing = [](Statement&) {};

}  // namespace camprobe::run
