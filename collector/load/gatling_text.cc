// collector/load/gatling_text.cc
//
// Gatling's simulation.log up to 3.11: records a line, separated by tabs, the kind first:
//   RUN      class, id, start, description, version
//   USER     scenario, [user id,] START|END, time [, time]      of two times the last is the event's, but 0 is none
//   REQUEST  [scenario,] [user id,] groups, name, start, end, OK|KO, message
//   GROUP, ERROR, ASSERTION
// Which of the columns in brackets there are follows from the version; told is it by where OK or KO stands behind two
// times, once for a file. 2.0 wrote class and user first and the kind third, and four times: sent begun, sent, answer
// begun, answered. Times are epoch milliseconds. See gatling.h.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "collector/load/adapter.h"
#include "collector/load/gatling.h"
#include "collector/load/numbers.h"

namespace camprobe::load {
namespace {

constexpr std::size_t kMostColumns = 16;

using Columns = std::vector<std::string_view>;

void split(std::string_view line, Columns& columns) {
  columns.clear();
  while (columns.size() + 1 < kMostColumns) {
    const std::size_t tab = line.find('\t');
    columns.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return;
    line.remove_prefix(tab + 1);
  }
  columns.push_back(line);
}

std::optional<WallTime> parse_time(std::string_view text) {
  std::uint64_t ms = 0;
  return parse_number(text, ms) ? since_epoch(ms, std::chrono::milliseconds{1}) : std::nullopt;
}

bool is_status(std::string_view text) {
  return text == "OK" || text == "KO";
}

// A time as Gatling writes it; one that it does not know is below zero.
bool is_whole(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

class Reader {
 public:
  // Returns what is wrong with the line, or nullptr.
  const char* add(std::string_view line) {
    split(line, columns_);
    // A scenario may be called REQUEST; the old form has its kind third and a user's number before it.
    const std::size_t kind = is_kind(columns_[0]) ? 0 : columns_.size() > 2 && is_kind(columns_[2]) ? 2 : kMostColumns;
    if (kind == kMostColumns) return "its kind of record is not known";
    const std::string_view name = columns_[kind];
    if (name == "REQUEST") return add_request(kind);
    if (name == "USER") return add_user(kind);
    if (name == "ERROR") records_.add_error();
    return nullptr;
  }
  void finish(LoadTimeline& timeline) { records_.finish(timeline); }

 private:
  static bool is_kind(std::string_view text) {
    static constexpr std::string_view kKinds[] = {"REQUEST", "USER", "GROUP", "RUN", "ERROR", "ASSERTION"};
    return std::find(std::begin(kKinds), std::end(kKinds), text) != std::end(kKinds);
  }

  // Whether the request's status is column `at`, behind its times.
  bool fits(std::size_t at) const {
    return at < columns_.size() && at >= 4 && is_status(columns_[at]) && is_whole(columns_[at - 1]) &&
           is_whole(columns_[at - 2]);
  }

  const char* add_request(std::size_t kind) {
    if (!fits(status_)) {
      status_ = 4;
      while (status_ < columns_.size() && !fits(status_)) ++status_;
      if (status_ >= columns_.size()) {
        status_ = 0;
        return "there is no OK or KO behind two times";
      }
    }
    const std::size_t times = kind == 2 ? 4 : 2;
    if (status_ < kind + times + 2) return "it has fewer columns than a request";
    const auto start = parse_time(columns_[status_ - times]), end = parse_time(columns_[status_ - 1]);
    if (!start) return "its start is no time in milliseconds since the epoch";
    const std::size_t name = status_ - times - 1;
    records_.add_request(name - 1 > kind ? columns_[name - 1] : std::string_view{}, columns_[name], *start,
                         end.value_or(*start - Nanoseconds{1}), columns_[status_] == "OK",
                         status_ + 1 < columns_.size() ? columns_[status_ + 1] : std::string_view{});
    return nullptr;
  }

  const char* add_user(std::size_t kind) {
    for (std::size_t i = kind + 1; i + 1 < columns_.size(); ++i) {
      const bool begins = columns_[i] == "START";
      if (!begins && columns_[i] != "END") continue;
      for (std::size_t time = columns_.size() - 1; time > i; --time) {
        if (const auto at = parse_time(columns_[time])) {
          records_.add_user(*at, begins);
          return nullptr;
        }
      }
      return "its time is not in milliseconds since the epoch";
    }
    return "it is neither a user's START nor END";
  }

  GatlingRecords records_;
  Columns columns_;
  std::size_t status_ = 0;  // the column of OK or KO, once known
};

bool recognises(std::string_view head) {
  for (int lines = 0; lines < 64 && !head.empty(); ++lines) {
    const std::size_t newline = head.find('\n');
    if (newline == std::string_view::npos) return false;
    const std::string_view line = head.substr(0, newline);
    if (line.starts_with("RUN\t")) return std::count(line.begin(), line.end(), '\t') >= 4;
    if (!line.starts_with("ASSERTION\t")) {  // 2.0: class, id, RUN, start, description, version
      return std::count(line.begin(), line.end(), '\t') == 5 && line.find("\tRUN\t") != std::string_view::npos;
    }
    head.remove_prefix(newline + 1);
  }
  return false;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  Reader records;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    const char* wrong = nullptr;
    if (lines.too_long()) {
      wrong = "longer than any record";
    } else if (line.empty()) {
      continue;
    } else if (lines.unterminated()) {
      wrong = "cut off (no end of line)";
    } else {
      wrong = records.add(line);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(lines.number()) + ": " + wrong);
  }
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  records.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kGatlingText{"gatling", "Gatling simulation.log (text, to 3.11)", recognises, read};

}  // namespace camprobe::load
