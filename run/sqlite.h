// run/sqlite.h
//
// One prepared SQLite statement, with typed parameters and columns. Only reader*.cc and writer*.cc use it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "run/rows.h"

namespace camprobe::run {

class Statement {
 public:
  // Does not throw: a statement that cannot be prepared has ok() == false, and stepping it yields no row.
  Statement(sqlite3* database, std::string_view sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  bool ok() const { return status_ == SQLITE_OK || status_ == SQLITE_ROW || status_ == SQLITE_DONE; }
  int status() const { return status_; }

  // Parameters count from 1, in the order of the `?`s. bind() takes the next one.
  Statement& bind(std::int64_t value);
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind(const char* text) { return bind(std::string_view(text)); }
  Statement& bind_blob(std::string_view bytes);
  Statement& bind_null();
  template <class Value>
  Statement& bind(const std::optional<Value>& value) {
    return value ? bind(*value) : bind_null();
  }
  template <class Id>
  requires std::is_enum_v<Id> Statement& bind(Id id) { return bind(number(id)); }

  int parameters() const { return sqlite3_bind_parameter_count(statement_); }

  // True while there is a row.
  bool step();
  // Runs a statement that yields no rows, and makes it ready for the next bind(). False on failure.
  bool run();
  void reset();

  // The next column of the row, from the left.
  std::int64_t integer();
  double real();
  std::string text();
  std::string blob();
  std::optional<std::int64_t> optional_integer();
  std::optional<double> optional_real();
  std::optional<std::string> optional_text();
  template <class Id>
  Id id() {
    return static_cast<Id>(integer());
  }

 private:
  bool is_null();

  sqlite3_stmt* statement_ = nullptr;
  int status_ = SQLITE_OK;
  int parameter_ = 0;
  int column_ = 0;
};

}  // namespace camprobe::run
