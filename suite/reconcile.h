// suite/reconcile.h
//
// Three counts of the same requests held against each other: the load tool's, the server's and the probe's. Every
// difference gets a name, and an excuse covers no more than it can: requests that were under way explain as many that
// the server does not have, lost records explain as many spans that are missing. What is beyond that is not reconciled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace camprobe::suite {

struct RequestCounts {
  std::optional<std::int64_t> tool_began, tool_done;  // requests the load tool began, and saw the end of
  std::int64_t tool_rows = 0;                         // of those, the ones it wrote a row for
  std::int64_t most_under_way = 0;            // at the ends of its stages, of a tool that counts only what was answered
  std::optional<std::int64_t> server, probe;  // the suite's own requests left out
  std::uint64_t lost = 0;                     // records that may each have been a request's span
};

struct Reconciliation {
  std::vector<std::string> differences;
  std::optional<bool> reconciled;  // nothing: fewer than two counts are known
};

Reconciliation reconciled(const RequestCounts& counts);

}  // namespace camprobe::suite
