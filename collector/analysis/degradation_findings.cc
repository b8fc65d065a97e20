#include "collector/analysis/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "collector/analysis/finding_words.h"
#include "run/units.h"

namespace camprobe::analysis {

using run::in_percent;
using run::in_seconds;

std::vector<run::Finding> degradation_findings(run::Reader& reader, const RunInput& input,
                                               const Degradation& degradation, const Thresholds& k) {
  const std::vector<run::LoadWindow> windows = reader.load_windows();
  std::vector<run::Finding> findings;
  const bool neighbours = input.neighbours > k.neighbour_share;

  // One finding an endpoint and resource; the quantiles of one endpoint belong together.
  std::map<std::pair<std::string, std::string>, std::vector<const CostChange*>> groups;
  std::set<std::string> endpoints_with_latency;
  for (const CostChange& change : degradation.changes) {
    if (!change.confirmed) continue;
    const std::string resource = change.kind == CostKind::kCpu      ? "cpu"
                                 : change.kind == CostKind::kErrors ? "errors"
                                                                    : "latency";
    groups[{resource, change.endpoint}].push_back(&change);
  }
  const auto confirmed_endpoints =
      static_cast<std::size_t>(std::count_if(groups.begin(), groups.end(), [](const auto& g) {
        return g.first.first == "latency" && !g.first.second.empty();
      }));
  const bool everywhere =
      groups.contains({"latency", ""}) &&
      (input.service.endpoints.empty() || 2 * confirmed_endpoints >= input.service.endpoints.size());
  for (auto& [key, changes] : groups) {
    const auto& [resource, endpoint] = key;
    // All endpoints alike are one finding; a few slow ones are named, and their sum is not.
    if (resource != "cpu" && !endpoint.empty() && everywhere) continue;
    if (resource == "latency" && endpoint.empty() && !everywhere && confirmed_endpoints > 0) continue;
    const CostChange& c = *changes.front();
    run::Finding out;
    out.kind = "degradation";
    out.resource = resource;
    out.id = resource + (endpoint.empty() ? "" : "-" + endpoint);
    out.verdict = to_string(c.verdict);
    out.confirmed = true;
    out.where.endpoint = endpoint;
    const char* unit = c.kind == CostKind::kCpu ? "ns" : c.kind == CostKind::kErrors ? "ratio" : "ms";
    out.before = run::Estimate{c.early, c.early, c.early, unit};
    out.after = run::Estimate{c.late, c.early * c.ratio_interval.low, c.early * c.ratio_interval.high, unit};
    if (c.kind == CostKind::kErrors) out.after = run::Estimate{c.late, c.late, c.late, unit};
    out.since = run::ReportSince{
        c.since, c.since_interval.low,       c.since_interval.high, c.since <= input.stretch.warm_up + 1e-9,
        {},      window_at(windows, c.since)};
    out.confidence = std::clamp(1 - c.p_value, 0.5, 0.99);
    const std::string who = endpoint.empty() ? "" : " of " + endpoint;
    if (resource == "latency") {
      out.title = fmt::format("Latency{} rose: {} {} to {}", who, to_string(c.kind), in_seconds(c.early / 1e3),
                              in_seconds(c.late / 1e3));
      for (const CostChange* each : changes) {
        out.evidence.push_back(
            {to_string(each->kind),
             fmt::format("{}: {} early, {} late ({:+.0f} %; 95 %: {:+.0f} to {:+.0f} %).", to_string(each->kind),
                         in_seconds(each->early / 1e3), in_seconds(each->late / 1e3), 100 * (each->ratio - 1),
                         100 * (each->ratio_interval.low - 1), 100 * (each->ratio_interval.high - 1)),
             each->ratio});
      }
      if (c.waiting) {
        out.evidence.push_back(
            {"waiting",
             "CPU per request is what it was: requests wait (for locks, I/O, other services), they do not work more.",
             {}});
        out.advice =
            "Look at what requests wait for: locks, connection pools, downstream services. More CPU will not help.";
      } else {
        out.advice = "CPU per request rose as well: see the finding on CPU for the function to blame.";
      }
    } else if (resource == "cpu") {
      out.title = fmt::format("CPU per request rose: {} to {}", in_seconds(c.early / 1e9), in_seconds(c.late / 1e9));
      out.evidence.push_back({"cpu",
                              fmt::format("{:+.0f} % (95 %: {:+.0f} to {:+.0f} %).", 100 * (c.ratio - 1),
                                          100 * (c.ratio_interval.low - 1), 100 * (c.ratio_interval.high - 1)),
                              c.ratio});
      if (!c.culprits.empty()) {
        const Culprit& culprit = c.culprits.front();
        out.title += " in " + name_of(culprit.name);
        out.evidence.push_back(
            {"culprit",
             fmt::format("{} carries {} of the growth: {} a request early, {} late, with all it calls.", culprit.name,
                         in_percent(std::min(culprit.share, 1.0)), in_seconds(culprit.early / 1e9),
                         in_seconds(culprit.late / 1e9)),
             culprit.share});
        const run::Slice late{
            static_cast<std::int64_t>((input.stretch.end - (input.stretch.end - input.stretch.warm_up) / 3) * 1e9),
            run::kEver,
            {},
            {},
            {}};
        for (const run::StackWeight& weight : reader.cpu(late)) {
          std::vector<run::ReportFrame> stack;
          for (const run::FrameId id : reader.stack(weight.stack).frames) {
            const run::Frame& frame = reader.frame(id);
            if (stack.empty() && frame.function != culprit.name) continue;
            stack.push_back({frame.function, frame.file, frame.line, frame.module});
          }
          if (stack.empty()) continue;
          out.where.stack = std::move(stack);
          break;
        }
        out.advice = fmt::format(
            "See what makes {} do more work a request as the run goes on: a container it scans or sorts that grows, "
            "usually.",
            name_of(culprit.name));
      } else {
        out.advice =
            "No single function carries most of it; compare the CPU flame graphs of the first and the last third.";
      }
    } else {
      out.title = fmt::format("Errors{} rose: {} to {} of requests", who, in_percent(c.early), in_percent(c.late));
      out.advice = "Read the server's log from there on; descriptors and memory running out are the usual causes.";
    }
    if (std::abs(degradation.load_change) > 0.02) {
      out.evidence.push_back({"load",
                              fmt::format("Meanwhile the load changed by {:+.0f} %.", 100 * degradation.load_change),
                              degradation.load_change});
    }
    // With no processor idle, a wait for a processor looks like any other, and other programs' part in it is not known.
    if (resource == "latency" && c.waiting && input.idle < k.min_idle_share) {
      out.verdict = "inconclusive";
      out.confirmed = false;
      out.confidence = 0.5;
      std::erase_if(out.evidence, [](const auto& e) { return e.what == "waiting"; });
      out.evidence.push_back({"processors",
                              fmt::format("CPU per request did not rise, and {} of the machine was idle: requests may "
                                          "have waited for a processor that other programs held.",
                                          in_percent(input.idle)),
                              input.idle});
      out.advice = "Repeat on a machine that does nothing else, or with less load.";
    }
    const bool slight = resource == "cpu" ? c.ratio < 1.5 : resource == "latency";
    if (neighbours && slight) {
      out.verdict = "inconclusive";
      out.confirmed = false;
      out.confidence = 0.5;
      out.evidence.push_back(
          {"neighbours",
           fmt::format("Other programs took {} more of the machine late than early, which alone may explain it.",
                       in_percent(input.neighbours)),
           input.neighbours});
      out.advice = "Repeat on a machine that does nothing else.";
    }
    findings.push_back(std::move(out));
  }
  for (run::Finding& f : findings) {
    if (f.resource != "latency" || f.evidence.empty()) continue;
    const auto cpu = std::find_if(findings.begin(), findings.end(), [](const auto& g) { return g.resource == "cpu"; });
    if (cpu != findings.end()) {
      f.where.stack = cpu->where.stack;
    } else if (!std::any_of(f.evidence.begin(), f.evidence.end(), [](const auto& e) { return e.what == "waiting"; }) &&
               f.confirmed) {
      f.advice = "Compare the flame graphs and the waiting of the first and the last third of the run.";
    }
  }
  return findings;
}

}  // namespace camprobe::analysis
