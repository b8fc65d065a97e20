// collector/load/csv.cc: see csv.h.
#include "collector/load/csv.h"

#include <algorithm>
#include <cstring>

namespace camprobe::load {
namespace {

bool has_open_quote(std::string_view text) {
  return std::count(text.begin(), text.end(), '"') % 2 != 0;
}

}  // namespace

void find_columns(const std::vector<std::string_view>& header, std::initializer_list<WantedColumn> wanted) {
  for (const auto& [title, column] : wanted) {
    for (std::size_t i = 0; i < header.size(); ++i) {
      if (header[i] == title) *column = i;
    }
  }
}

CsvReader::Read CsvReader::next() {
  std::string_view line;
  do {
    if (!lines_.next(line)) return Read::kEnd;
  } while (line.empty() && !lines_.too_long());
  first_line_ = lines_.number();
  if (lines_.too_long()) {
    why_ = "longer than any row";
    return Read::kBad;
  }
  // Nearly every row of every tool has no quote: its fields are views into the line, nothing is copied.
  if (std::memchr(line.data(), '"', line.size()) == nullptr) {
    split_plain(line);
    return Read::kRecord;
  }
  record_ = line;
  bool open = has_open_quote(line);
  for (std::size_t n = 1; open; ++n) {
    if (n >= kMostLines || !lines_.next(line) || lines_.too_long()) {
      why_ = "a quote is opened and never closed";
      return Read::kBad;
    }
    record_ += '\n';
    record_ += line;
    open ^= has_open_quote(line);
  }
  split_quoted();
  return Read::kRecord;
}

void CsvReader::split_plain(std::string_view line) {
  fields_.clear();
  const char* from = line.data();
  const char* const end = from + line.size();
  while (const void* found =
             from == end ? nullptr : std::memchr(from, delimiter_, static_cast<std::size_t>(end - from))) {
    const char* at = static_cast<const char*>(found);
    fields_.emplace_back(from, static_cast<std::size_t>(at - from));
    from = at + 1;
  }
  fields_.emplace_back(from, static_cast<std::size_t>(end - from));
}

void CsvReader::split_quoted() {
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(record_.size());  // views into it stay valid: it never grows beyond the record
  std::string_view rest = record_;
  for (;;) {
    if (rest.starts_with('"')) {
      const std::size_t begin = unquoted_.size();
      std::size_t at = 1;
      while (at < rest.size()) {
        if (rest[at] == '"') {
          if (at + 1 < rest.size() && rest[at + 1] == '"') {
            ++at;
          } else {
            break;
          }
        }
        unquoted_ += rest[at++];
      }
      ++at;                                                                        // the closing quote
      while (at < rest.size() && rest[at] != delimiter_) unquoted_ += rest[at++];  // stray text behind it
      fields_.push_back(std::string_view(unquoted_).substr(begin));
      if (at >= rest.size()) return;
      rest.remove_prefix(at + 1);
    } else {
      const std::size_t comma = rest.find(delimiter_);
      fields_.push_back(rest.substr(0, comma));
      if (comma == std::string_view::npos) return;
      rest.remove_prefix(comma + 1);
    }
  }
}

}  // namespace camprobe::load
