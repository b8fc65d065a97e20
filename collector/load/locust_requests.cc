// collector/load/locust_requests.cc
//
// Locust's rows for single requests, as its contributed CSV logger writes them (locust.contrib, from 2.44 on; the same
// header is common in locustfiles): timestamp,request_type,name,response_time_ms,response_length,status_code,exception.
// The timestamp is when the request was sent, in seconds with a fraction. Rows come in the order of the answers. Status
// 0 or empty with an exception is a request that got no answer.
#include <charconv>
#include <cmath>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/numbers.h"
#include "collector/load/requests.h"

namespace camprobe::load {
namespace {

constexpr double kLongestMs = 1e9;  // 11 days

enum Column : std::size_t { kTime, kType, kName, kMs, kLength, kStatus, kException, kColumns };

// "1795444785.305334": exact, which a double would not be.
std::optional<WallTime> parse_seconds(std::string_view text) {
  const std::size_t point = text.find('.');
  std::uint64_t seconds = 0;
  if (!parse_number(text.substr(0, point), seconds)) return std::nullopt;
  auto at = since_epoch(seconds, std::chrono::seconds{1});
  if (!at || point == std::string_view::npos) return at;
  std::int64_t unit = 100'000'000;
  for (const char c : text.substr(point + 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    *at += Nanoseconds{(c - '0') * unit};
    unit /= 10;
  }
  return at;
}

// Returns what is wrong with the row, or nullptr.
const char* add(const std::vector<std::string_view>& row, std::string& name, RequestSums& requests) {
  if (row.size() != kColumns) return "it has not as many columns as the header";
  Request request;
  const auto sent = parse_seconds(row[kTime]);
  if (!sent) return "its timestamp is no time in seconds since the epoch";
  request.sent = *sent;
  double ms = 0;
  if (!parse_number(row[kMs], ms) || !(ms >= 0 && ms < kLongestMs))
    return "its response time is no number of milliseconds";
  request.took = Nanoseconds{std::llround(ms * 1e6)};
  int status = 0;
  if (!row[kStatus].empty() && !parse_number(row[kStatus], status)) return "its status is not a whole number";
  request.answered = status != 0 || row[kException].empty();
  request.failed = status >= 400 || !row[kException].empty();
  if (request.failed && status >= 400) requests.kinds.add_status(status);
  if (request.failed && status < 400) requests.kinds.add(row[kException]);
  name.assign(row[kType]);
  if (!name.empty()) name += ' ';
  name += row[kName];
  request.endpoint = requests.endpoint(name);
  requests.add(request);
  return nullptr;
}

bool recognises(std::string_view head) {
  return head.starts_with("timestamp,request_type,name,response_time_ms,response_length,status_code,exception");
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  timeline.tool = "locust";
  timeline.resolution = std::chrono::microseconds{1};
  RequestSums requests;
  std::string name;
  CsvReader rows(input);
  if (rows.next() != CsvReader::Read::kRecord || rows.fields().size() != kColumns) {
    return run::Error{"its header line cannot be read"};
  }
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (result == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (rows.unterminated()) {
      wrong = "cut off (no end of line)";
    } else if (rows.fields().front() != "timestamp") {
      wrong = add(rows.fields(), name, requests);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  requests.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kLocustRequests{"locust", "Locust's CSV request logger", recognises, read};

}  // namespace camprobe::load
