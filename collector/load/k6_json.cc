// collector/load/k6_json.cc
//
// k6 --out json: a JSON object a line. {"type":"Metric",...} introduces a metric before its first point and is passed
// over; {"metric":...,"type":"Point","data":{time,value,tags}} is a measured point. The keys of the two kinds come in
// different orders, so nothing is told by position. See k6.h for what the points mean.
//
// Of about thirteen points a request only four are used. The others are passed over by their first bytes, unparsed:
// they are told from damage only by how they begin and end.
#include <simdjson.h>

#include "collector/load/adapter.h"
#include "collector/load/k6.h"

namespace camprobe::load {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kPointPrefix = "{\"metric\":\"";
constexpr const char* kNoJson = "this is no JSON";

// The tags that are used, and where they go.
std::string_view* tag_of(K6Point& point, std::string_view key) {
  if (key == "name") return &point.name;
  if (key == "url") return &point.url;
  if (key == "status") return &point.status;
  if (key == "error") return &point.error;
  if (key == "error_code") return &point.error_code;
  if (key == "expected_response") return &point.expected_response;
  if (key == "scenario") return &point.scenario;
  if (key == "phase") return &point.phase;
  return nullptr;
}

bool is_unused_point(std::string_view line) {
  if (!line.starts_with(kPointPrefix) || !line.ends_with('}')) return false;
  line.remove_prefix(kPointPrefix.size());
  const std::size_t quote = line.find_first_of("\"\\");
  if (quote == std::string_view::npos || line[quote] == '\\') return false;
  return line.substr(quote).starts_with("\",\"type\":\"Point\"") &&
         k6_metric(line.substr(0, quote)) == K6Metric::kOther;
}

// Reads lines of a LineReader, behind which kPadding bytes may be read. A point's texts hold until the next line.
class Parser {
 public:
  // Returns what is wrong with the line, or nullptr; a line without a point leaves `point.metric` at kOther.
  const char* parse(std::string_view line, K6Point& point) {
    static_assert(LineReader::kPadding >= simdjson::SIMDJSON_PADDING);
    const simdjson::padded_string_view padded(line.data(), line.size(), line.size() + LineReader::kPadding);
    ondemand::document document;
    ondemand::object row;
    if (parser_.iterate(padded).get(document) != simdjson::SUCCESS) return kNoJson;
    if (document.get_object().get(row) != simdjson::SUCCESS) return "this is no JSON object";
    std::string_view type, metric;
    bool has_data = false;
    time_wrong_ = value_wrong_ = true;
    for (auto member : row) {
      std::string_view key;
      ondemand::value value;
      if (member.unescaped_key().get(key) != simdjson::SUCCESS) return kNoJson;
      if (member.value().get(value) != simdjson::SUCCESS) return kNoJson;
      if (key == "type" || key == "metric") {
        if (value.get_string().get(key == "type" ? type : metric) != simdjson::SUCCESS) return "its metric is no text";
      } else if (key == "data") {
        ondemand::object data;
        has_data = value.get_object().get(data) == simdjson::SUCCESS;
        if (has_data && !parse_data(data, point)) return kNoJson;
      }
    }
    const char* behind = nullptr;
    if (document.current_location().get(behind) != simdjson::OUT_OF_BOUNDS) return kNoJson;
    if (type == "Metric") return nullptr;
    if (type != "Point") return "its type is neither Metric nor Point";
    if (metric.empty()) return "the point has no metric";
    point.metric = k6_metric(metric);
    if (point.metric == K6Metric::kOther) return nullptr;
    if (!has_data) return "the point has no data";
    if (time_wrong_) return "the time is not an RFC 3339 time";
    return value_wrong_ ? "the value is not a number" : nullptr;
  }

 private:
  // False: no JSON. What a point must have and this has not is told by time_wrong_ and value_wrong_.
  bool parse_data(ondemand::object& data, K6Point& point) {
    for (auto member : data) {
      std::string_view key;
      ondemand::value value;
      if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
      if (member.value().get(value) != simdjson::SUCCESS) return false;
      if (key == "time") {
        std::string_view text;
        const auto time = value.get_string().get(text) == simdjson::SUCCESS ? parse_rfc3339(text) : std::nullopt;
        time_wrong_ = !time;
        if (time) point.time = *time;
      } else if (key == "value") {
        value_wrong_ = value.get_double().get(point.value) != simdjson::SUCCESS;
      } else if (key == "tags") {
        ondemand::object tags;
        if (value.get_object().get(tags) == simdjson::SUCCESS && !parse_tags(tags, point)) return false;
      }
    }
    return true;
  }

  static bool parse_tags(ondemand::object& tags, K6Point& point) {
    for (auto member : tags) {
      std::string_view key;
      ondemand::value value;
      if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
      if (member.value().get(value) != simdjson::SUCCESS) return false;
      std::string_view* tag = tag_of(point, key);
      if (tag != nullptr && value.get_string().get(*tag) != simdjson::SUCCESS) *tag = {};
    }
    return true;
  }

  ondemand::parser parser_;
  bool time_wrong_ = false, value_wrong_ = false;
};

bool is_row(std::string_view line) {
  const auto has = [&](std::string_view text) { return line.find(text) != std::string_view::npos; };
  return line.starts_with('{') && has("\"metric\":") && (has("\"type\":\"Metric\"") || has("\"type\":\"Point\""));
}

bool recognises(std::string_view head) {
  int rows = 0, others = 0;
  while (!head.empty() && rows + others < 8) {
    const std::size_t newline = head.find('\n');
    const std::string_view line = head.substr(0, newline);
    if (newline == std::string_view::npos && !is_row(line)) break;  // may be cut off by the peek
    ++(is_row(line) ? rows : others);
    if (newline == std::string_view::npos) break;
    head.remove_prefix(newline + 1);
  }
  return rows > others;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  K6Requests requests;
  Parser parser;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    const char* wrong = nullptr;
    if (lines.too_long()) {
      wrong = "longer than any row of k6";
    } else if (line.empty() || is_unused_point(line)) {
      continue;
    } else {
      K6Point point;
      wrong = parser.parse(line, point);
      if (wrong == kNoJson && lines.unterminated()) wrong = "cut off (no end of line)";
      if (wrong == nullptr) wrong = requests.add(point);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(lines.number()) + ": " + wrong);
  }
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  requests.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kK6Json{"k6", "k6 --out json", recognises, read};

}  // namespace camprobe::load
