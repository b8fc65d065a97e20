// exporters/query.h
//
// Reading a run file row by row: a read-only connection that knows it holds a run, and prepared statements that close
// themselves. Every failure is a RunError whose text says which file, what is wrong with it and what to do; the command
// prints it as its one line and ends with exit code 2.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace camprobe::exporters {

class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Query;

// An open run file. Safe while a collector still writes to it: the connection only reads.
class RunFile {
 public:
  explicit RunFile(const std::filesystem::path& path);

  // `sql` comes from this program, never from a user; values go in through Query::bind.
  [[nodiscard]] Query query(std::string_view sql) const;

  // meta.value of `key`; empty where the run does not say.
  [[nodiscard]] std::string meta(std::string_view key) const;

  // How long the run lasted: meta.ended_ns, or the end of what was recorded where it was cut off.
  [[nodiscard]] std::int64_t duration_ns() const { return duration_ns_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Close> handle_;
  std::int64_t duration_ns_ = 0;
};

// One statement, stepped row by row: while (query.next()) use query.integer(0).
class Query {
 public:
  Query(sqlite3* handle, const std::filesystem::path& path, std::string_view sql);

  Query& bind(int position, std::int64_t value);  // positions count from 1, as SQLite's do
  Query& bind(int position, std::string_view value);
  bool next();
  void rewind();  // ready to run again, bindings kept

  [[nodiscard]] std::int64_t integer(int column) const;  // columns count from 0
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string text(int column) const;  // "" for null; bytes as stored, perhaps not UTF-8
  [[nodiscard]] bool is_null(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  sqlite3* handle_;
  const std::filesystem::path* path_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace camprobe::exporters
