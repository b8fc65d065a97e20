// collector/load/csv.h
//
// Records of comma-separated values (RFC 4180): fields may be quoted, a quoted one may hold commas, newlines and
// doubled quotes. A quote that is never closed would swallow the rest of the file: after kMostLines lines it is given
// up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collector/load/input.h"

namespace camprobe::load {

// Where a header has a column; kNoColumn: not in this file.
inline constexpr std::size_t kNoColumn = static_cast<std::size_t>(-1);
using WantedColumn = std::pair<std::string_view, std::size_t*>;
// Sets those that are there. Of two columns of one title the last counts.
void find_columns(const std::vector<std::string_view>& header, std::initializer_list<WantedColumn> wanted);
// "" where the file, or this row, has no such column.
inline std::string_view field_at(const std::vector<std::string_view>& row, std::size_t column) {
  return column < row.size() ? row[column] : std::string_view{};
}

class CsvReader {
 public:
  static constexpr std::size_t kMostLines = 100;

  explicit CsvReader(Input& input, char delimiter = ',') : lines_(input), delimiter_(delimiter) {}

  void set_delimiter(char delimiter) { delimiter_ = delimiter; }  // from the next record on

  enum class Read { kRecord, kBad, kEnd };
  // The next record that is not empty. kBad: it could not be read, why() says so; reading goes on behind it.
  Read next();

  const std::vector<std::string_view>& fields() const { return fields_; }  // valid until next()
  std::uint64_t line() const { return first_line_; }                       // on which the record began
  bool unterminated() const { return lines_.unterminated(); }              // no newline: its last field may be cut off
  const char* why() const { return why_; }
  std::string problem() const { return lines_.problem(); }

 private:
  void split_plain(std::string_view line);
  void split_quoted();

  LineReader lines_;
  char delimiter_;
  std::string record_;    // a record with quotes
  std::string unquoted_;  // the texts of quoted fields
  std::vector<std::string_view> fields_;
  std::uint64_t first_line_ = 0;
  const char* why_ = "";
};

}  // namespace camprobe::load
