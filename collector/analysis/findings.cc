// collector/analysis/findings.cc
#include "collector/analysis/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "collector/analysis/own_frame.h"
#include "run/units.h"

namespace camprobe::analysis {

using run::at_time;
using run::in_bytes;
using run::in_count;
using run::in_percent;
using run::in_seconds;

namespace {

const char* resource_name(Resource resource) {
  switch (resource) {
    case Resource::kHeap:
      return "heap";
    case Resource::kJsHeap:
      return "js-heap";
    case Resource::kDescriptors:
      return "fd";
    case Resource::kThreads:
      return "thread";
    case Resource::kMappings:
      return "mmap";
  }
  return "heap";
}

bool counts_bytes(Resource r) {
  return r == Resource::kHeap || r == Resource::kJsHeap || r == Resource::kMappings;
}

std::string amount_text(Resource resource, double amount) {
  return counts_bytes(resource) ? in_bytes(amount) : in_count(amount);
}

// Without arguments: "cam::(anonymous namespace)::Cache::put" of "cam::(anonymous namespace)::Cache::put(int)".
std::string name_of(const std::string& function) {
  const std::string anonymous = "(anonymous namespace)";
  std::size_t open = function.find('(');
  while (open != std::string::npos && function.compare(open, anonymous.size(), anonymous) == 0)
    open = function.find('(', open + 1);
  std::string name = function.substr(0, open);
  return name.empty() ? function : name;
}

std::string place_text(const std::vector<run::ReportFrame>& stack) {
  if (stack.empty()) return "an unknown place";
  const run::ReportFrame& frame = stack.front();
  std::string text = name_of(frame.function);
  if (frame.file.empty()) return text;
  const auto slash = frame.file.rfind('/');
  text += " (" + (slash == std::string::npos ? frame.file : frame.file.substr(slash + 1));
  if (frame.line) text += ":" + std::to_string(*frame.line);
  return text + ")";
}

bool is_connection(const std::string& kind) {
  return kind == "connect" || kind == "accept" || kind == "socket";
}

std::string things(Resource resource, const std::string& kind) {
  switch (resource) {
    case Resource::kHeap:
      return "heap memory";
    case Resource::kJsHeap:
      return "JavaScript heap memory";
    case Resource::kDescriptors:
      if (kind == "accept") return "accepted connections";
      if (kind == "connect") return "connections";
      if (kind == "socket") return "sockets";
      if (kind == "file") return "files";
      return kind.empty() || kind == "other" ? "descriptors" : kind + " descriptors";
    case Resource::kThreads:
      return "threads";
    case Resource::kMappings:
      return "mapped memory";
  }
  return "";
}

std::string title_of(const LeakFinding& f, const std::string& kind, const std::vector<run::ReportFrame>& stack) {
  const std::string place = place_text(stack), what = things(f.resource, kind);
  const bool plural = !counts_bytes(f.resource);
  switch (f.verdict.verdict) {
    case Verdict::kLeaks:
      if (f.verdict.ended) return fmt::format("{} leaked {} until {}", place, what, at_time(f.verdict.until));
      if (f.resource == Resource::kDescriptors) return fmt::format("{} opens {} that are never closed", place, what);
      if (f.resource == Resource::kThreads) return fmt::format("{} starts threads that never end", place);
      if (f.resource == Resource::kMappings) return fmt::format("{} maps memory that is never unmapped", place);
      // A cache whose bound lies beyond what was seen is the same data as a block nobody remembers.
      return fmt::format("{}: {} grows, no bound seen", place, what);
    case Verdict::kSaturating:
      return fmt::format("{}: {} {} up ever more slowly", place, what, plural ? "add" : "adds");
    case Verdict::kStep:
      return fmt::format("{}: {} grew once, then no more", place, what);
    case Verdict::kInconclusive:
      return fmt::format("{}: {} {}; too early to tell", place, what, plural ? "add up" : "grows");
    case Verdict::kNone:
      return fmt::format("{}: {} {} bounded", place, what, plural ? "are" : "is");
  }
  return place;
}

std::string advice_of(const LeakFinding& f, const std::string& kind, const std::string& place) {
  const SurvivalVerdict& v = f.verdict;
  switch (v.verdict) {
    case Verdict::kLeaks:
      if (f.resource == Resource::kDescriptors && is_connection(kind)) {
        return fmt::format(
            "Follow what {} opens to where it should be closed: the error, timeout and early-return paths first. "
            "About {} of what is opened there stays open.",
            place, in_percent(v.survivor_share));
      }
      if (f.resource == Resource::kDescriptors)
        return fmt::format("Find the path on which what {} opens is not closed.", place);
      if (f.resource == Resource::kThreads) {
        return fmt::format(
            "Find out what the threads started in {} wait for: they are neither joined nor do they return. Their "
            "stacks take address space even when idle.",
            place);
      }
      if (f.resource == Resource::kMappings)
        return fmt::format("Find the munmap() that is missing for what {} maps.", place);
      if (f.resource == Resource::kJsHeap) {
        return fmt::format(
            "Pages are counted, and named by what allocated when one was added, most often {}. Take a heap snapshot "
            "early and one late (node --heapsnapshot-signal=SIGUSR2) and compare what they keep.",
            place);
      }
      return fmt::format(
          "See who keeps what {} allocates: a container that is only added to, a reference cycle, or a missing delete. "
          "About {} of what is allocated there stays.",
          place, in_percent(v.survivor_share));
    case Verdict::kSaturating:
      return "Looks like a cache or pool that fills. Check that it has a bound, and that the bound fits the memory "
             "limit.";
    case Verdict::kStep:
      return "Came once and stayed, as with a first use, a phase of the load or a pool that reached its size. Nothing "
             "to do if that was intended.";
    case Verdict::kInconclusive:
      if (v.reason == Reason::kOneGrowingBuffer) {
        return "One buffer that is replaced by a larger one each time. Whether it has a final size only a longer run "
               "shows.";
      }
      if (v.reason == Reason::kFollowsLoad) {
        return "Let the highest load go on, or come again: a pool has its size then, and what still comes is a leak.";
      }
      if (v.reason == Reason::kClocksDisagree) {
        return "Grows with time rather than with requests, under a load that only rose. Repeat with a constant load, "
               "or with a pause in it.";
      }
      return "Repeat with a longer run, or sample more densely (CAMPROBE_HEAP_INTERVAL).";
    case Verdict::kNone:
      return "Nothing to do.";
  }
  return "";
}

std::string why_of(const LeakFinding& f) {
  const SurvivalVerdict& v = f.verdict;
  switch (v.reason) {
    case Reason::kGrowsSteadily:
      return "What is born here stays, evenly over the run, and old ones do not go.";
    case Reason::kGrewUntil:
      return "What was born here until then stays; what is born since goes again.";
    case Reason::kNoSurvivors:
      return "Nothing stays.";
    case Reason::kOldOnesDie:
      return "Old ones go: the population is bounded.";
    case Reason::kWithinBound:
      return "As many as the load has users.";
    case Reason::kFollowsLoad:
      return "It grew whenever there were more clients than ever before, and hardly between: as a pool does.";
    case Reason::kBelowMinimum:
      return "Too little to matter.";
    case Reason::kReplaced:
      return "As many go as come.";
    case Reason::kThinsOut:
      return "Fewer and fewer that stay are born.";
    case Reason::kLevelledOff:
      return "Of late as many go as come.";
    case Reason::kOneOff:
      return "All that stay were born within a short time, or none after a certain one.";
    case Reason::kTooFewSurvivors:
      return "Too few sampled ones stay to tell growth from chance.";
    case Reason::kMayThinOut:
      return "It may be a cache on its way to full: too few stay to tell.";
    case Reason::kTooShortForAge:
      return "Nothing got old enough in this run to show whether it goes again.";
    case Reason::kWarmUpTooLong:
      return "More than half of the run was warm-up.";
    case Reason::kDependsOnWarmUp:
      return "With a longer warm-up the verdict would be another.";
    case Reason::kClocksDisagree:
      return "Even in time, but not in requests.";
    case Reason::kOneGrowingBuffer:
      return "One block, freed and replaced by a larger one again and again.";
  }
  return "";
}

run::Estimate estimate(double value, const Interval& interval, double factor, const char* unit) {
  return {value * factor, interval.low * factor, interval.high * factor, unit};
}

std::string window_at(const std::vector<run::LoadWindow>& windows, Seconds at) {
  for (const run::LoadWindow& w : windows) {
    if (at >= static_cast<double>(w.from_ns) / 1e9 && at < static_cast<double>(w.to_ns) / 1e9) return w.name;
  }
  return "";
}

run::ReportForecast forecast_of(const LeakFinding& f, const Stretch& stretch) {
  run::ReportForecast forecast;
  const bool bytes = counts_bytes(f.resource);
  forecast.limit = bytes ? "memory" : "descriptors";
  forecast.limit_value = bytes ? stretch.memory_limit_bytes : stretch.descriptor_limit;
  const std::string limit = bytes ? in_bytes(forecast.limit_value) : in_count(forecast.limit_value) + " descriptors";
  if (f.forecast.hours > 0) forecast.seconds_to_limit = 3600 * f.forecast.hours;
  if (f.forecast.hours_low > 0) forecast.seconds_low = 3600 * f.forecast.hours_low;
  if (f.forecast.hours_high > 0) forecast.seconds_high = 3600 * f.forecast.hours_high;
  if (forecast.seconds_to_limit) {
    forecast.text = fmt::format("under this load the limit of {} is reached in {} (95 %: {} to {})", limit,
                                in_seconds(*forecast.seconds_to_limit), in_seconds(forecast.seconds_low.value_or(0)),
                                forecast.seconds_high ? in_seconds(*forecast.seconds_high) : "never");
  } else {
    forecast.text =
        fmt::format("the limit of {} is {} away at the earliest, too far for a run of this length to say more", limit,
                    in_seconds(forecast.seconds_low.value_or(0)));
  }
  return forecast;
}

// Descriptors: where they lead, if most lead to one place.
std::string peer_of(const RunInput& input, const LeakFinding& f, std::vector<run::ReportEvidence>& evidence) {
  std::map<std::string, std::size_t> peers;
  std::size_t all = 0;
  for (const std::size_t i : f.populations) {
    for (const auto& [peer, n] : input.origins[i].peers) peers[peer] += n, all += n;
  }
  if (peers.empty()) return "";
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const auto& [peer, n] : peers) order.emplace_back(n, peer);
  std::sort(order.rbegin(), order.rend());
  if (order.size() > 1) {
    std::string text = "Still open, by peer: ";
    for (std::size_t i = 0; i < order.size() && i < 4; ++i) {
      text += fmt::format("{}{} {}", i > 0 ? ", " : "", order[i].second.empty() ? "unknown" : order[i].second,
                          order[i].first);
    }
    if (order.size() > 4) text += fmt::format(", {} more", order.size() - 4);
    evidence.push_back({"peers", text + ".", static_cast<double>(order.size())});
  }
  return 2 * order.front().first >= all ? order.front().second : order.front().second + " and others";
}

std::vector<run::ReportEvidence> evidence_of(const LeakFinding& f, const RunInput& input) {
  const SurvivalVerdict& v = f.verdict;
  std::vector<run::ReportEvidence> list;
  list.push_back({"verdict", why_of(f), {}});
  const bool sampled = f.resource == Resource::kHeap;
  if (v.reason == Reason::kOneGrowingBuffer) {
    list.push_back({"size", fmt::format("It is {} now.", in_bytes(v.amount)), v.amount});
    return list;
  }
  list.push_back({"survivors",
                  sampled ? fmt::format("{} sampled objects stayed, worth {} ({} each on average).",
                                        in_count(v.survivors), in_bytes(v.amount), in_bytes(v.amount_per_object))
                          : fmt::format("{} stayed{}.", in_count(v.survivors),
                                        counts_bytes(f.resource) ? ", together " + in_bytes(v.amount) : ""),
                  v.survivors});
  if (v.verdict == Verdict::kLeaks) {
    list.push_back({"old_age",
                    v.old_age_hazard < 0.5
                        ? "Those that got old did not go."
                        : fmt::format("Of those that got old, few went ({} deaths per object and run).",
                                      in_count(v.old_age_hazard)),
                    v.old_age_hazard});
    if ((sampled || f.resource == Resource::kJsHeap) && !v.ended) {
      list.push_back(
          {"bound",
           fmt::format("No bound in sight: if this is a cache or a pool, it holds more than {}.", in_bytes(v.amount)),
           v.amount});
    }
    list.push_back({"share", fmt::format("{} of the objects born here since then stay.", in_percent(v.survivor_share)),
                    v.survivor_share});
    list.push_back({"clock",
                    v.on_time_clock && input.clock.counts_requests() ? "Grows with time, whether or not there is load."
                    : v.on_time_clock                                ? "Judged by time: no requests were counted."
                                                                     : "Grows with the number of requests.",
                    {}});
  }
  if (v.verdict == Verdict::kSaturating && v.plateau_remaining > 0) {
    list.push_back(
        {"saturation",
         fmt::format("Still to come, at this rate of slowing: about {}.", amount_text(f.resource, v.plateau_remaining)),
         v.plateau_remaining});
  }
  if (v.overdispersion > 1 && v.verdict == Verdict::kLeaks) {
    list.push_back(
        {"spread",
         fmt::format("Comes in bursts; the interval is widened by {}.", in_count(std::sqrt(v.overdispersion))),
         v.overdispersion});
  }
  return list;
}

}  // namespace

std::vector<run::ReportFrame> report_stack(run::Reader& reader, run::StackId id) {
  std::vector<run::Frame> frames;
  for (const run::FrameId frame : reader.stack(id).frames) frames.push_back(reader.frame(frame));
  std::vector<run::ReportFrame> stack;
  for (std::size_t i = own_frame(frames); i < frames.size(); ++i) {
    stack.push_back({frames[i].function, frames[i].file, frames[i].line, frames[i].module});
  }
  return stack;
}

namespace {

// What load, idle and the same load again make of a suspicion.
void apply_proof(const LeakFinding& f, const RunInput& input, const Thresholds& k, run::Finding& out) {
  std::vector<const Population*> members;
  for (const std::size_t i : f.populations) members.push_back(&input.populations[i]);
  const Proof proof = judge_proof(members, *input.proof, input.clock, k);
  const auto idle = input.proof->first_idle.high - input.proof->first_idle.low;
  const auto per_1000 = [&](double amount, double requests) {
    if (requests <= 0) return std::string("nothing");
    return amount_text(f.resource, 1000 * amount / requests) +
           (input.clock.counts_requests() ? " per 1,000 requests" : " per 1,000 s");
  };
  std::string figures = fmt::format(
      "the first load left {}, of which {} were there after an idle of {}; the same load again {}, {} after the idle; "
      "second over first {:.2f} [{:.2f}, {:.2f}]; {} of what the first left was there at the end",
      per_1000(proof.first_at_end, proof.first_requests), per_1000(proof.first_after_idle, proof.first_requests),
      in_seconds(idle), per_1000(proof.second_at_end, proof.second_requests),
      per_1000(proof.second_after_idle, proof.second_requests), proof.ratio, proof.ratio_interval.low,
      proof.ratio_interval.high, in_percent(proof.first_at_end > 0 ? proof.first_at_last / proof.first_at_end : 0));
  switch (proof.verdict) {
    case ProofVerdict::kConfirmed:
      out.verdict = to_string(Verdict::kLeaks);
      out.confirmed = true;
      out.needs_seconds.reset();
      out.confidence = std::max(out.confidence, 0.99);
      out.title += " (confirmed: load, idle, same load)";
      figures = "Confirmed: " + figures + ".";
      break;
    case ProofVerdict::kCleared:
      out.verdict = to_string(Verdict::kNone);
      out.confirmed = false;
      out.needs_seconds.reset();
      out.forecast.reset();
      out.confidence = std::max(out.confidence, 0.95);
      out.title += " (cleared: load, idle, same load)";
      out.advice = "Nothing to do: what it holds does not grow with the work done.";
      figures = "Cleared: " + figures + ".";
      break;
    case ProofVerdict::kOpen:
      figures = "The proof leaves it open: " + figures + ".";
      break;
  }
  out.evidence.insert(out.evidence.begin(), {"proof", figures, proof.ratio});
}

}  // namespace

std::vector<run::Finding> leak_findings(run::Reader& reader, const RunInput& input, const LeakAnalysis& leaks,
                                        const Thresholds& thresholds) {
  std::vector<run::Finding> findings;
  std::map<std::string, int> ids;
  const std::vector<run::LoadWindow> windows = reader.load_windows();
  for (const LeakFinding& f : leaks.findings) {
    const SurvivalVerdict& v = f.verdict;
    const Origin& origin = input.origins[f.populations.front()];
    run::Finding out;
    out.kind = "leak";
    out.resource = resource_name(f.resource);
    out.verdict = to_string(v.verdict);
    out.confirmed = v.verdict == Verdict::kLeaks;
    out.where.stack = report_stack(reader, origin.stack);
    out.where.process = run::number(origin.process);
    out.title = title_of(f, origin.kind, out.where.stack);
    const std::uint64_t site = input.populations[f.populations.front()].site;
    out.id = fmt::format("{}-{:08x}", out.resource, static_cast<std::uint32_t>(site ^ (site >> 32)));
    if (const int same = ids[out.id]++; same > 0) out.id += "-" + std::to_string(same + 1);
    const char* unit = counts_bytes(f.resource) ? "bytes" : "count";
    if (v.verdict != Verdict::kNone && v.reason != Reason::kOneGrowingBuffer) {
      run::ReportSince since{v.since, v.since_interval.low,       v.since_interval.high, v.since_start,
                             {},      window_at(windows, v.since)};
      if (v.ended) since.until_s = v.until;
      out.since = since;
      // Of growth that ends, or fades, an average rate says nothing; how much it came to is in the evidence.
      const bool lasts = v.verdict == Verdict::kLeaks || v.verdict == Verdict::kInconclusive;
      if (lasts && v.per_request > 0 && !v.on_time_clock)
        out.per_1000_requests = estimate(v.per_request, v.per_request_interval, 1000, unit);
      if (lasts && v.per_hour > 0) out.per_hour = estimate(v.per_hour, v.per_hour_interval, 1, unit);
    }
    out.confidence = f.confidence;
    out.evidence = evidence_of(f, input);
    if (f.resource == Resource::kDescriptors) out.where.peer = peer_of(input, f, out.evidence);
    if (v.verdict == Verdict::kLeaks && !v.ended && f.forecast.hours_low > 0)
      out.forecast = forecast_of(f, input.stretch);
    if (v.longer_by > 1) out.needs_seconds = v.longer_by * (input.stretch.end - input.stretch.begin);
    for (std::size_t i = 1; i < f.populations.size() && i < 6; ++i) {
      const auto stack = report_stack(reader, input.origins[f.populations[i]].stack);
      std::string text = fmt::format("Also on another stack ({} of it): ", in_percent(f.shares[i]));
      for (std::size_t d = 0; d < stack.size() && d < 4; ++d) text += (d > 0 ? " < " : "") + name_of(stack[d].function);
      out.evidence.push_back({"stack", text, f.shares[i]});
    }
    out.advice = advice_of(f, origin.kind, place_text(out.where.stack));
    if (input.proof) apply_proof(f, input, thresholds, out);
    findings.push_back(std::move(out));
  }
  // Two leaks of different resources with one onset and one rate are likely one fault seen twice; both are named.
  for (run::Finding& a : findings) {
    for (const run::Finding& b : findings) {
      if (&a == &b || !a.confirmed || !b.confirmed || !a.since || !b.since || a.resource == b.resource) continue;
      if (a.since->from_start || b.since->from_start) continue;
      if (a.since->low_s <= b.since->high_s && b.since->low_s <= a.since->high_s) {
        a.evidence.push_back({"together", "Began at the same time as " + b.id + ".", {}});
      }
    }
  }
  return findings;
}

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

std::vector<run::Finding> memory_findings(const RunInput& input, const MemoryVerdict& memory,
                                          const std::vector<run::Finding>& leaks, const Thresholds& k) {
  if (memory.rss.verdict == Verdict::kNone || memory.mainly == MemoryGrowth::kNone ||
      memory.mainly == MemoryGrowth::kLiveHeap)
    return {};
  // Descriptors cost kernel memory and threads stacks; where one of those leaks, what RSS does is its shadow.
  for (const run::Finding& f : leaks) {
    if (f.confirmed && (f.resource == "thread" || f.resource == "mmap" || f.resource == "js-heap")) return {};
  }
  const double unexplained = memory.rss_growth - std::max(0.0, memory.live_growth);
  if (unexplained < std::max(0.05 * input.stretch.rss_bytes, 4 * k.min_bytes_per_hour) ||
      unexplained < 0.5 * memory.rss_growth)
    return {};
  run::Finding out;
  out.kind = "budget";
  out.resource = "rss";
  out.id = "rss";
  const bool retained = memory.mainly == MemoryGrowth::kRetention;
  if (memory.rss.verdict == Verdict::kLeaks && !retained) {
    out.verdict = "inconclusive";
    out.needs_seconds = 4 * (input.stretch.end - input.stretch.begin);
  } else {
    out.verdict = memory.rss.verdict == Verdict::kLeaks ? "none" : to_string(memory.rss.verdict);
  }
  out.title = retained ? fmt::format("Resident memory rose by {}: kept by the allocator, not leaked",
                                     in_bytes(memory.rss_growth))
                       : fmt::format("Resident memory rose by {}, the live heap by {}", in_bytes(memory.rss_growth),
                                     in_bytes(memory.live_growth));
  out.since = run::ReportSince{memory.rss.since_start ? input.stretch.begin : memory.rss.since,
                               memory.rss.since_interval.low,
                               memory.rss.since_interval.high,
                               memory.rss.since_start,
                               {},
                               ""};
  if (memory.rss.trend.judged) {
    out.per_hour = run::Estimate{memory.rss.trend.slope * 3600, memory.rss.trend.interval.low * 3600,
                                 memory.rss.trend.interval.high * 3600, "bytes"};
  }
  out.confidence = 0.8;
  out.evidence.push_back({"rss", memory.rss.why + ".", memory.rss_growth});
  out.evidence.push_back(
      {"live", fmt::format("Sampled live heap changed by {}.", in_bytes(memory.live_growth)), memory.live_growth});
  if (memory.retained_known) {
    out.evidence.push_back(
        {"retained",
         fmt::format("Memory the allocator keeps for reuse changed by {}.", in_bytes(memory.retained_growth)),
         memory.retained_growth});
  }
  out.advice =
      retained && memory.retained_known
          ? "The allocator keeps what was freed: nothing leaks. If the memory is wanted back, try MALLOC_ARENA_MAX, "
            "malloc_trim(), the allocator's own decay settings or another allocator (--allocator)."
          : "Fragmentation or retention by the allocator, most likely: try MALLOC_ARENA_MAX, malloc_trim() or another "
            "allocator, and see whether it levels off in a longer run.";
  return {out};
}

}  // namespace camprobe::analysis
