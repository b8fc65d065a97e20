// collector/load/k6_csv.cc
//
// k6 --out csv: a header line, then one measured point a row. Which columns there are depends on --system-tags and on
// the version: only the header says, and a file made of several has several. Times are whole seconds unless
// K6_CSV_TIME_FORMAT says otherwise (unix, unix_milli, unix_micro, unix_nano, rfc3339, rfc3339_nano): each is told by
// its form. extra_tags holds "a=b&c=d", not escaped. See k6.h for what the points mean.
#include <charconv>
#include <cmath>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/k6.h"

namespace camprobe::load {
namespace {

// Where the header puts what is used; npos: not in this file.
struct Columns {
  std::size_t count = 0;
  std::size_t metric = kNoColumn, time = kNoColumn, value = kNoColumn;
  std::size_t name = kNoColumn, url = kNoColumn, status = kNoColumn, error = kNoColumn, error_code = kNoColumn,
              expected_response = kNoColumn, scenario = kNoColumn, extra_tags = kNoColumn, metadata = kNoColumn;

  explicit Columns(const std::vector<std::string_view>& header) : count(header.size()) {
    find_columns(header, {{"metric_name", &metric},
                          {"timestamp", &time},
                          {"metric_value", &value},
                          {"name", &name},
                          {"url", &url},
                          {"status", &status},
                          {"error", &error},
                          {"error_code", &error_code},
                          {"expected_response", &expected_response},
                          {"scenario", &scenario},
                          {"extra_tags", &extra_tags},
                          {"metadata", &metadata}});
  }
  bool complete() const { return metric != kNoColumn && time != kNoColumn && value != kNoColumn; }
};

// The value of tag `key` in "a=b&key=value&c=d".
std::string_view extra_tag(std::string_view tags, std::string_view key) {
  while (!tags.empty()) {
    const std::size_t end = tags.find('&');
    const std::string_view tag = tags.substr(0, end);
    if (tag.size() > key.size() && tag.starts_with(key) && tag[key.size()] == '=') return tag.substr(key.size() + 1);
    tags.remove_prefix(end == std::string_view::npos ? tags.size() : end + 1);
  }
  return {};
}

// Returns what is wrong with the row, or nullptr.
const char* read_point(const std::vector<std::string_view>& row, const Columns& columns, K6Point& point) {
  if (row.size() != columns.count) return "it has not as many columns as the header";
  point.metric = k6_metric(row[columns.metric]);
  if (point.metric == K6Metric::kOther) return nullptr;
  const std::string_view time = row[columns.time];
  const auto stamp = time.find('T') == std::string_view::npos ? parse_epoch(time) : parse_rfc3339(time);
  if (!stamp) return "the timestamp is in none of k6's time formats";
  const std::string_view value = row[columns.value];
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), point.value);
  if (error != std::errc{} || end != value.data() + value.size()) return "the value is not a number";
  const auto field = [&](std::size_t column) { return field_at(row, column); };
  point.time = *stamp;
  point.name = field(columns.name);
  point.url = field(columns.url);
  point.status = field(columns.status);
  point.error = field(columns.error);
  point.error_code = field(columns.error_code);
  point.expected_response = field(columns.expected_response);
  point.scenario = field(columns.scenario);
  point.phase = extra_tag(field(columns.extra_tags), "phase");
  return nullptr;
}

bool recognises(std::string_view head) {
  const std::string_view header = head.substr(0, head.find('\n'));
  return header.starts_with("metric_name,") && header.find(",timestamp") != std::string_view::npos &&
         header.find(",metric_value") != std::string_view::npos;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  K6Requests requests;
  CsvReader rows(input);
  if (rows.next() != CsvReader::Read::kRecord) return run::Error{"its header line cannot be read"};
  Columns columns(rows.fields());
  if (!columns.complete()) return run::Error{"its header lacks metric_name, timestamp or metric_value"};
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (result == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (rows.fields().front() == "metric_name") {
      const Columns again(rows.fields());
      if (again.complete()) {
        columns = again;
      } else {
        wrong = "a second header that lacks a column";
      }
    } else if (rows.unterminated() && (rows.fields().size() < columns.count || columns.metadata + 1 != columns.count)) {
      wrong = "cut off (no end of line)";  // the last column may lack its end; as metadata it is not used anyway
    } else {
      K6Point point;
      wrong = read_point(rows.fields(), columns, point);
      if (wrong == nullptr) wrong = requests.add(point);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  requests.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kK6Csv{"k6", "k6 --out csv", recognises, read};

}  // namespace camprobe::load
