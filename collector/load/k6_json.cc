// collector/load/k6_json.cc
//
// k6 --out json: a JSON object a line. {"type":"Metric",...} introduces a metric before its first point and is passed
// over; {"metric":...,"type":"Point","data":{time,value,tags}} is a measured point. The keys of the two kinds come in
// different orders, so nothing is told by position. See k6.h for what the points mean.
//
// Of about thirteen points a request only four are used. The others are passed over by their first bytes, unparsed:
// they are told from damage only by how they begin and end.
#include <nlohmann/json.hpp>

#include "collector/load/adapter.h"
#include "collector/load/k6.h"

namespace camprobe::load {
namespace {

using nlohmann::json;

constexpr std::string_view kPointPrefix = "{\"metric\":\"";

// The text of a member, or empty. Views into `object`.
std::string_view text(const json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || !at->is_string()) return {};
  return at->get_ref<const std::string&>();
}

bool is_unused_point(std::string_view line) {
  if (!line.starts_with(kPointPrefix) || !line.ends_with('}')) return false;
  line.remove_prefix(kPointPrefix.size());
  const std::size_t quote = line.find_first_of("\"\\");
  if (quote == std::string_view::npos || line[quote] == '\\') return false;
  return line.substr(quote).starts_with("\",\"type\":\"Point\"") &&
         k6_metric(line.substr(0, quote)) == K6Metric::kOther;
}

// Reads a parsed line. Returns what is wrong with it, or nullptr. The point's texts are views into `row`.
const char* read_point(const json& row, K6Point& point) {
  if (!row.is_object()) return "this is no JSON object";
  const std::string_view type = text(row, "type");
  if (type == "Metric") return nullptr;
  if (type != "Point") return "its type is neither Metric nor Point";
  const std::string_view metric = text(row, "metric");
  if (metric.empty()) return "the point has no metric";
  point.metric = k6_metric(metric);
  if (point.metric == K6Metric::kOther) return nullptr;
  const auto data = row.find("data");
  if (data == row.end() || !data->is_object()) return "the point has no data";
  const auto time = parse_rfc3339(text(*data, "time"));
  if (!time) return "the time is not an RFC 3339 time";
  const auto value = data->find("value");
  if (value == data->end() || !value->is_number()) return "the value is not a number";
  point.time = *time;
  point.value = value->get<double>();
  const auto tags = data->find("tags");
  if (tags == data->end() || !tags->is_object()) return nullptr;
  point.name = text(*tags, "name");
  point.url = text(*tags, "url");
  point.status = text(*tags, "status");
  point.error = text(*tags, "error");
  point.error_code = text(*tags, "error_code");
  point.expected_response = text(*tags, "expected_response");
  point.scenario = text(*tags, "scenario");
  point.phase = text(*tags, "phase");
  return nullptr;
}

bool recognises(std::string_view head) {
  int rows = 0, others = 0;
  while (!head.empty() && rows + others < 8) {
    const std::size_t newline = head.find('\n');
    const std::string_view line = head.substr(0, newline);
    const json row = json::parse(line, nullptr, false);
    const bool is_row =
        row.is_object() && row.contains("metric") && (text(row, "type") == "Metric" || text(row, "type") == "Point");
    if (newline == std::string_view::npos && !is_row) break;  // may be cut off by the peek
    ++(is_row ? rows : others);
    if (newline == std::string_view::npos) break;
    head.remove_prefix(newline + 1);
  }
  return rows > others;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  K6Requests requests;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    const char* wrong = nullptr;
    if (lines.too_long()) {
      wrong = "longer than any row of k6";
    } else if (line.empty() || is_unused_point(line)) {
      continue;
    } else {
      const json row = json::parse(line, nullptr, false);
      if (row.is_discarded()) {
        wrong = lines.unterminated() ? "cut off (no end of line)" : "this is no JSON";
      } else {
        K6Point point;
        wrong = read_point(row, point);
        if (wrong == nullptr) wrong = requests.add(point);
      }
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
