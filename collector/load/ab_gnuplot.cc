// collector/load/ab_gnuplot.cc
//
// ab -g: a header, then a complete request a row, sorted by how long it took: start as a local time of day in words,
// the same in whole seconds since the epoch, connect, processing and total time in milliseconds, and the wait for the
// first byte. Requests that failed have no row, and a row has no status: errors are not known. Times are whole seconds,
// and runs of ab are short: a request is placed to half a second.
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/numbers.h"
#include "collector/load/requests.h"

namespace camprobe::load {
namespace {

constexpr std::string_view kHeader = "starttime\tseconds\tctime\tdtime\tttime\twait";
constexpr std::int64_t kLongestMs = 1'000'000'000;  // 11 days
enum Column : std::size_t { kStart, kSeconds, kConnect, kProcessing, kTotal, kWait, kColumns };

// Returns what is wrong with the row, or nullptr.
const char* add(const std::vector<std::string_view>& row, RequestSums& requests) {
  if (row.size() != kColumns) return "it has not as many columns as the header";
  std::uint64_t seconds = 0;
  const auto sent = parse_number(row[kSeconds], seconds) ? since_epoch(seconds, std::chrono::seconds{1}) : std::nullopt;
  if (!sent) return "its start is not in seconds since the epoch";
  std::int64_t ms = 0;
  if (!parse_number(row[kTotal], ms) || ms < 0 || ms > kLongestMs) return "its total time is no number of milliseconds";
  Request request;
  request.sent = *sent;
  request.took = std::chrono::milliseconds{ms};
  requests.add(request);
  return nullptr;
}

bool recognises(std::string_view head) {
  return head.starts_with(kHeader);
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  timeline.tool = "ab";
  timeline.resolution = std::chrono::seconds{1};
  RequestSums requests;
  CsvReader rows(input, '\t');
  for (;;) {
    const CsvReader::Read result = rows.next();
    if (result == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (result == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (rows.unterminated()) {
      wrong = "cut off (no end of line)";
    } else if (rows.fields().front() != "starttime") {
      wrong = add(rows.fields(), requests);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  requests.finish(timeline);
  timeline.errors.reset();
  timeline.notes.push_back("ab -g writes no row for a request that failed, and no status: errors are not known");
  timeline.notes.push_back("ab writes starts in whole seconds and latencies in whole milliseconds");
  return timeline;
}

}  // namespace

const Adapter kAbGnuplot{"ab", "ab -g", recognises, read};

}  // namespace camprobe::load
