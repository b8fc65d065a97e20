// collector/load/vegeta_csv.cc
//
// vegeta encode --to csv: no header; nanoseconds since the epoch, code, latency in nanoseconds, bytes out, bytes in,
// error, body (base64), attack, sequence number, and since 12.8 method, URL and headers (base64). See vegeta.h.
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/csv.h"
#include "collector/load/numbers.h"
#include "collector/load/vegeta.h"

namespace camprobe::load {
namespace {

enum Column : std::size_t { kTime, kCode, kLatency, kBytesOut, kBytesIn, kError, kBody, kAttack, kSeq, kMethod, kUrl };

const char* parse_result(const std::vector<std::string_view>& row, VegetaResult& result) {
  if (row.size() <= kSeq) return "it has fewer columns than a result of vegeta";
  std::uint64_t at = 0;
  if (!parse_number(row[kTime], at)) return "its time is not a whole number";
  const auto sent = since_epoch(at, Nanoseconds{1});
  if (!sent) return "its time is not in nanoseconds since the epoch";
  result.sent = *sent;
  if (!parse_number(row[kCode], result.code)) return "its code is not a whole number";
  if (!parse_number(row[kLatency], result.latency_ns)) return "its latency is not a whole number";
  result.error = row[kError];
  if (row.size() > kUrl) {
    result.method = row[kMethod];
    result.url = row[kUrl];
  }
  return nullptr;
}

bool recognises(std::string_view head) {
  // By its first line: 19 digits, and as many columns as vegeta writes. A longer body may be cut off by the peek.
  const std::string_view line = head.substr(0, head.find('\n'));
  if (line.size() < 30 || line[19] != ',' || line.find_first_not_of("0123456789") != 19) return false;
  std::size_t at = 20;
  for (std::size_t column = kCode; column <= kBytesIn; ++column) {
    const std::size_t end = line.find(',', at);
    if (end == std::string_view::npos || end == at) return false;
    if (line.substr(at, end - at).find_first_not_of("0123456789") != std::string_view::npos) return false;
    at = end + 1;
  }
  return true;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  VegetaResults results;
  CsvReader rows(input);
  for (;;) {
    const CsvReader::Read read = rows.next();
    if (read == CsvReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (read == CsvReader::Read::kBad) {
      wrong = rows.why();
    } else if (rows.unterminated()) {
      wrong = "cut off (no end of line)";
    } else {
      VegetaResult result;
      wrong = parse_result(rows.fields(), result);
      if (wrong == nullptr) wrong = results.add(result);
    }
    if (wrong != nullptr) timeline.skipped.row("line " + std::to_string(rows.line()) + ": " + wrong);
  }
  if (const std::string problem = rows.problem(); !problem.empty()) timeline.skipped.note(problem);
  results.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kVegetaCsv{"vegeta", "vegeta encode --to csv", recognises, read};

}  // namespace camprobe::load
