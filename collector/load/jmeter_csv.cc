// collector/load/jmeter_csv.cc
//
// JMeter's results as CSV (jmeter -l FILE): a header line, then a sample a row. Which columns there are, and what
// stands between them, is set by jmeter.save.saveservice.*: only the header says. A file without one (the default
// before 3.0) is refused by name: its columns could only be guessed. See jmeter.h for what the samples mean.
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/jmeter.h"

namespace camprobe::load {
namespace {

constexpr char kDelimiters[] = {',', '\t', ';', '|'};

struct Columns {
  std::size_t count = 0;
  std::size_t time = kNoColumn, elapsed = kNoColumn, label = kNoColumn, code = kNoColumn, message = kNoColumn,
              success = kNoColumn, failure = kNoColumn, all_threads = kNoColumn;

  explicit Columns(const std::vector<std::string_view>& header) : count(header.size()) {
    find_columns(header, {{"timeStamp", &time},
                          {"elapsed", &elapsed},
                          {"label", &label},
                          {"responseCode", &code},
                          {"success", &success},
                          {"responseMessage", &message},
                          {"failureMessage", &failure},
                          {"allThreads", &all_threads}});
  }
  bool complete() const { return time != kNoColumn && elapsed != kNoColumn; }
};

// What stands between the columns of a header, or '\0' where this is none.
char delimiter_of(std::string_view header) {
  if (header.find("timeStamp") == std::string_view::npos) return '\0';
  const std::size_t at = header.find("elapsed");
  if (at == std::string_view::npos || header.size() > 4096) return '\0';
  for (const char delimiter : kDelimiters) {
    if (at > 0 ? header[at - 1] == delimiter : at + 7 < header.size() && header[at + 7] == delimiter) return delimiter;
  }
  return '\0';
}

// "1795444434742,101,GET /arbitrate,200,OK,...,true,...": JMeter's rows without a header.
bool is_headerless(std::string_view line) {
  if (line.size() < 20 || line[13] != ',' || line.find_first_not_of("0123456789") != 13) return false;
  const std::size_t second = line.find(',', 14);
  if (second == std::string_view::npos || second == 14) return false;
  if (line.substr(14, second - 14).find_first_not_of("0123456789") != std::string_view::npos) return false;
  return line.find(",true,") != std::string_view::npos || line.find(",false,") != std::string_view::npos;
}

bool recognises(std::string_view head) {
  const std::string_view first = head.substr(0, head.find('\n'));
  return delimiter_of(first) != '\0' || is_headerless(first);
}

std::vector<std::string_view> split(std::string_view line, char delimiter) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t end = line.find(delimiter);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  JmeterSamples samples;
  CsvReader rows(input, '\n');  // the first record is the whole line
  if (rows.next() != CsvReader::Read::kRecord) return run::Error{"its header line cannot be read"};
  const std::string header(rows.fields().front());
  const char delimiter = delimiter_of(header);
  if (delimiter == '\0') {
    return run::Error{
        "this JMeter file has no header line, which alone says what its columns are "
        "(jmeter.save.saveservice.print_field_names=true writes it)"};
  }
  Columns columns(split(header, delimiter));
  if (!columns.complete()) return run::Error{"its header lacks timeStamp or elapsed"};
  rows.set_delimiter(delimiter);
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    const auto& row = rows.fields();
    const auto field = [&](std::size_t column) { return column == kNoColumn ? std::string_view{} : row[column]; };
    if (result == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (columns.time < row.size() && row[columns.time] == "timeStamp") {  // JMeter appends to its file
      if (const Columns again(row); again.complete()) {
        columns = again;
      } else {
        wrong = "a second header that lacks a column";
      }
    } else if (rows.unterminated()) {
      wrong = "cut off (no end of line)";
    } else if (row.size() != columns.count) {
      wrong = "it has not as many columns as the header";
    } else {
      wrong = samples.add({field(columns.time), field(columns.elapsed), field(columns.label), field(columns.code),
                           field(columns.message), field(columns.success), field(columns.failure),
                           field(columns.all_threads)});
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  samples.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kJmeterCsv{"jmeter", "jmeter -l (CSV)", recognises, read};

}  // namespace camprobe::load
