// collector/load/vegeta_json.cc
//
// vegeta encode --to json: a JSON object a line: attack, seq, code, timestamp (RFC 3339), latency (nanoseconds), error,
// and, since 12.8, method and url; body and headers are passed over. See vegeta.h.
#include <simdjson.h>

#include <string>

#include "collector/load/adapter.h"
#include "collector/load/vegeta.h"

namespace camprobe::load {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr const char* kNoJson = "this is no JSON";

class Parser {
 public:
  // Reads a line of a LineReader, behind which kPadding bytes may be read. Returns what is wrong with it, or nullptr.
  // The result's texts hold until the next call.
  const char* parse(std::string_view line, VegetaResult& result) {
    static_assert(LineReader::kPadding >= simdjson::SIMDJSON_PADDING);
    const simdjson::padded_string_view padded(line.data(), line.size(), line.size() + LineReader::kPadding);
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(padded).get(document) != simdjson::SUCCESS) return kNoJson;
    if (document.get_object().get(object) != simdjson::SUCCESS) return "this is no JSON object";
    bool has_time = false, has_code = false, has_latency = false;
    for (auto member : object) {
      std::string_view key;
      if (member.unescaped_key().get(key) != simdjson::SUCCESS) return kNoJson;
      ondemand::value value;
      if (member.value().get(value) != simdjson::SUCCESS) return kNoJson;
      if (key == "timestamp") {
        std::string_view text;
        const auto stamp = value.get_string().get(text) == simdjson::SUCCESS ? parse_rfc3339(text) : std::nullopt;
        if (!stamp) return "its timestamp is not an RFC 3339 time";
        result.sent = stamp->at;
        has_time = true;
      } else if (key == "code") {
        std::int64_t code = 0;
        if (value.get_int64().get(code) != simdjson::SUCCESS || code < 0 || code > 999) return "there is no such code";
        result.code = static_cast<int>(code);
        has_code = true;
      } else if (key == "latency") {
        if (value.get_int64().get(result.latency_ns) != simdjson::SUCCESS) return "its latency is not a whole number";
        has_latency = true;
      } else if (key == "error" || key == "method" || key == "url") {
        std::string_view text;
        if (value.get_string().get(text) != simdjson::SUCCESS) return "its error, method or url is not a text";
        (key == "error" ? result.error : key == "method" ? result.method : result.url) = text;
      }
    }
    if (!has_time || !has_code || !has_latency) return "it has no timestamp, code or latency";
    const char* behind = nullptr;
    return document.current_location().get(behind) == simdjson::OUT_OF_BOUNDS ? nullptr : kNoJson;
  }

 private:
  ondemand::parser parser_;
};

bool recognises(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\n'));
  const auto has = [&](std::string_view key) { return line.find(key) != std::string_view::npos; };
  return line.starts_with('{') && has("\"attack\":") && has("\"seq\":") && has("\"code\":") && has("\"latency\":");
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  VegetaResults results;
  Parser parser;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    const char* wrong = nullptr;
    if (lines.too_long()) {
      wrong = "longer than is read (a body of more than 700 KB); vegeta attack -max-body=0 leaves bodies out";
    } else if (line.empty()) {
      continue;
    } else {
      VegetaResult result;
      wrong = parser.parse(line, result);
      if (wrong != nullptr && lines.unterminated()) wrong = "cut off (no end of line)";
      if (wrong == nullptr) wrong = results.add(result);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(lines.number()) + ": " + wrong);
  }
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  results.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kVegetaJson{"vegeta", "vegeta encode --to json", recognises, read};

}  // namespace camprobe::load
