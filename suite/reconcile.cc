#include "suite/reconcile.h"

#include <fmt/format.h>

#include <cstdlib>

namespace camprobe::suite {

Reconciliation reconciled(const RequestCounts& counts) {
  Reconciliation out;
  bool agrees = true;
  const auto say = [&](std::string text) { out.differences.push_back(std::move(text)); };
  const std::int64_t under_way = counts.tool_began && counts.tool_done ? *counts.tool_began - *counts.tool_done : 0;
  if (under_way > 0)
    say(fmt::format("{} requests were under way when the load tool's stages ended: begun, and not waited for",
                    under_way));
  if (counts.tool_done && *counts.tool_done > counts.tool_rows)
    say(fmt::format("{} requests failed before they were sent or got no answer, and have no latency",
                    *counts.tool_done - counts.tool_rows));
  if (counts.tool_began && counts.server && *counts.tool_began != *counts.server) {
    // Those under way may not have reached the server any more.
    const std::int64_t missing = *counts.tool_began - *counts.server;
    const bool was_not_counted = missing < 0 && -missing <= counts.most_under_way;
    const bool is_explained = was_not_counted || (missing > 0 && missing <= under_way);
    say(was_not_counted
            ? fmt::format("the server counted {} more than the load tool, which leaves out what is under way when a "
                          "stage ends: at most {}",
                          -missing, counts.most_under_way)
        : is_explained ? fmt::format("{} of those under way did not reach the server", missing)
                       : fmt::format("the server counted {} {} than the load tool began", std::abs(missing),
                                     missing > 0 ? "fewer" : "more"));
    agrees &= is_explained;
  }
  const auto& expected = counts.server ? counts.server : counts.tool_began;
  if (counts.probe && expected && *counts.probe != *expected) {
    const std::int64_t missing = *expected - *counts.probe;
    const char* who = counts.server ? "the server counted" : "the load tool began";
    // Where the server does not count, the probe is who tells what has reached it.
    const bool did_not_arrive = !counts.server && missing > 0 && missing <= under_way;
    const bool is_explained = did_not_arrive || (missing > 0 && static_cast<std::uint64_t>(missing) <= counts.lost);
    if (did_not_arrive)
      say(fmt::format("{} of those under way did not reach the server", missing));
    else if (is_explained)
      say(fmt::format("{} spans are missing, of {} records that were lost", missing, counts.lost));
    else if (missing > 0 && counts.lost > 0)
      say(
          fmt::format("the probe saw {} fewer requests than {}, and only {} records were lost: {} spans are missing "
                      "without a reason",
                      missing, who, counts.lost, missing - static_cast<std::int64_t>(counts.lost)));
    else
      say(fmt::format("the probe saw {} {} requests than {}", std::abs(missing), missing > 0 ? "fewer" : "more", who));
    agrees &= is_explained;
  }
  if (counts.tool_began && (counts.server || counts.probe)) out.reconciled = agrees;
  return out;
}

}  // namespace camprobe::suite
