// collector/load/h2load_summary.cc: see h2load_summary.h.
#include "collector/load/h2load_summary.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace camprobe::load {
namespace {

// The number that stands before `word` in "requests: 400 total, 400 started, ...".
std::optional<std::uint64_t> number_before(std::string_view line, std::string_view word) {
  const std::size_t at = line.find(std::string(" ").append(word));
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t digits = line.find_last_of(" \t", at == 0 ? 0 : at - 1);
  const std::string_view number = line.substr(digits + 1, at - digits - 1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  return value;
}

}  // namespace

bool add_h2load_summary(LoadTimeline& timeline, std::string_view printed) {
  if (timeline.tool != "h2load") return false;
  std::size_t at = printed.rfind("\nrequests: ");
  if (at == std::string_view::npos) {
    if (!printed.starts_with("requests: ")) return false;
  } else {
    printed.remove_prefix(at + 1);
  }
  const std::string_view line = printed.substr(0, printed.find('\n'));
  const auto total = number_before(line, "total");
  const auto started = number_before(line, "started");
  const auto succeeded = number_before(line, "succeeded");
  if (!total || !started || !succeeded || *succeeded > *started || *started > *total) return false;
  timeline.notes.clear();
  const std::uint64_t rows = timeline.requests.value_or(0);
  if (*started < rows) {
    timeline.notes.push_back(
        fmt::format("h2load printed {} requests, its log file holds {}: h2load appends to its log file, which may hold "
                    "several runs; "
                    "the log file's figures are kept",
                    *started, rows));
    return true;
  }
  if (*started > rows) {
    timeline.notes.push_back(
        fmt::format("{} requests have no row in h2load's log file; they are in the totals only", *started - rows));
  }
  if (*total > *started) {
    timeline.notes.push_back(fmt::format("{} of the {} requests asked for were never sent", *total - *started, *total));
  }
  timeline.requests = *started;
  timeline.errors = *started - *succeeded;
  return true;
}

}  // namespace camprobe::load
