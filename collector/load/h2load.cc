// collector/load/h2load.cc
//
// h2load --log-file: one request a line, "start <tab> status <tab> duration", start in microseconds since the epoch,
// duration in microseconds. No header; later versions may add columns. Written at the end of each request, so starts
// are not sorted. Status -1 is a stream that failed. A request whose connection failed has no line at all: only the
// summary that h2load prints counts those, see h2load_summary.h. h2load appends: a file used twice holds both runs.
#include "collector/load/adapter.h"
#include "collector/load/numbers.h"
#include "collector/load/requests.h"

namespace camprobe::load {
namespace {

struct Row {
  WallTime start;
  int status;
  Nanoseconds duration;
};

// Takes the column before the next tab off the front of `line`.
std::string_view take_column(std::string_view& line) {
  const std::size_t tab = line.find('\t');
  const std::string_view column = line.substr(0, tab);
  line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
  return column;
}

// Returns what is wrong with the line, or nullptr.
const char* parse_row(std::string_view line, Row& row) {
  std::uint64_t start = 0;
  std::int64_t duration = 0;
  if (!parse_number(take_column(line), start)) return "the start is not a whole number";
  if (!parse_number(take_column(line), row.status)) return "the status is not a whole number";
  if (!parse_number(take_column(line), duration)) return "the duration is not a whole number";
  const auto at = since_epoch(start, std::chrono::microseconds{1});
  if (!at) return "the start is not a time in microseconds since the epoch";
  if (row.status < -1 || row.status > 999) return "there is no such status";
  if (duration < 0 || duration > 1'000'000'000'000) return "the duration is negative or longer than 11 days";
  row.start = *at;
  row.duration = std::chrono::microseconds{duration};
  return nullptr;
}

bool recognises(std::string_view head) {
  int rows = 0, others = 0;
  while (!head.empty() && rows + others < 20) {
    const std::size_t newline = head.find('\n');
    if (newline == std::string_view::npos) break;  // may be cut off by the peek
    Row row;
    std::string_view line = head.substr(0, newline);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    ++(parse_row(line, row) == nullptr ? rows : others);
    head.remove_prefix(newline + 1);
  }
  return rows > others;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  timeline.tool = "h2load";
  timeline.resolution = std::chrono::microseconds{1};
  timeline.notes.push_back(
      "h2load writes no row for a request whose connection failed: requests and errors are those with a row, unless "
      "the "
      "summary that h2load prints is given too");
  RequestSums requests;
  LineReader lines(input);
  std::string_view line;
  while (lines.next(line)) {
    const auto skip = [&](const char* why) {
      timeline.skipped.row("line " + std::to_string(lines.number()) + ": " + why);
    };
    if (lines.too_long()) {
      skip("longer than any row of h2load");
      continue;
    }
    if (line.empty()) continue;
    if (lines.unterminated()) {  // its duration may lack digits and still look like a number
      skip("cut off (no end of line)");
      continue;
    }
    Row row;
    if (const char* wrong = parse_row(line, row)) {
      skip(wrong);
      continue;
    }
    Request request;
    request.sent = row.start;
    request.took = row.duration;
    request.answered = row.status >= 100;
    request.failed = !request.answered || row.status >= 400;
    if (request.failed && request.answered) requests.kinds.add_status(row.status);
    if (!request.answered) requests.kinds.add("failed stream");
    requests.add(request);
  }
  if (const std::string problem = lines.problem(); !problem.empty()) timeline.skipped.note(problem);
  requests.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kH2load{"h2load", "h2load --log-file", recognises, read};

}  // namespace camprobe::load
