#include "collector/analysis/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "collector/analysis/finding_words.h"
#include "collector/analysis/own_frame.h"
#include "run/units.h"

namespace camprobe::analysis {

using run::in_bytes;
using run::in_count;
using run::in_percent;
using run::in_seconds;

namespace {

run::Estimate estimate(double value, const Interval& interval, double factor, const char* unit) {
  return {value * factor, interval.low * factor, interval.high * factor, unit};
}

std::string ended_at(const run::Process& process) {
  return run::at_time(seconds_of(process.ended_ns.value_or(0)));
}

// A leak whose stretch is the life of one process, or of workers that began and ended with it.
std::string life_of(const run::Process& process, const OwnStretch& own) {
  const std::string began = run::at_time(own.stretch.begin);
  const std::size_t others = own.processes.size() - 1;
  const std::string who = fmt::format("pid {}", process.pid) +
                          (others == 0 ? "" : fmt::format(" and {} other{}", others, others == 1 ? "" : "s"));
  if (!own.stretch.ended) return fmt::format("Judged from {} on, when {} began.", began, who);
  return fmt::format("Judged within the life of {}, {} to {}: what was held went with it.", who, began,
                     ended_at(process));
}

// A server that was restarted leaks in each of its lives, and a reader wants to see one leak: by finding, the index of
// the one that is shown, which is that of the process that is still there, else of the longest life.
std::vector<std::size_t> shown_for(const RunInput& input, const std::vector<LeakFinding>& findings) {
  std::vector<std::size_t> shown(findings.size());
  std::map<std::pair<Resource, std::uint64_t>, std::size_t> first;
  std::vector<std::size_t> order(findings.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const Stretch &s = stretch_number(input, findings[a].stretch), &t = stretch_number(input, findings[b].stretch);
    if (s.ended != t.ended) return t.ended;
    return s.ended && s.end - s.begin > t.end - t.begin;
  });
  for (const std::size_t i : order) {
    shown[i] = i;
    const std::uint64_t site = input.populations[findings[i].populations.front()].site;
    if (site == 0 || findings[i].verdict.verdict != Verdict::kLeaks) continue;
    const auto [known, is_first] = first.try_emplace({findings[i].resource, site}, i);
    // Two in one stretch are two leaks of one function.
    if (!is_first && stretch_number(input, findings[i].stretch).ended &&
        findings[i].stretch != findings[known->second].stretch)
      shown[i] = known->second;
  }
  return shown;
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

std::vector<run::ReportFrame> report_stack(run::Reader& reader, run::StackId id) {
  std::vector<run::Frame> frames;
  for (const run::FrameId frame : reader.stack(id).frames) frames.push_back(reader.frame(frame));
  std::vector<run::ReportFrame> stack;
  for (std::size_t i = own_frame(frames); i < frames.size(); ++i) {
    stack.push_back({frames[i].function, frames[i].file, frames[i].line, frames[i].module});
  }
  return stack;
}

std::vector<run::Finding> leak_findings(run::Reader& reader, const RunInput& input, const LeakAnalysis& leaks,
                                        const Thresholds& thresholds) {
  std::vector<run::Finding> findings;
  std::map<std::string, int> ids;
  const std::vector<run::LoadWindow> windows = reader.load_windows();
  std::map<run::ProcessId, run::Process> processes;
  for (run::Process& process : reader.processes()) processes.emplace(process.id, std::move(process));
  const std::vector<std::size_t> shown = shown_for(input, leaks.findings);
  for (std::size_t number = 0; number < leaks.findings.size(); ++number) {
    if (shown[number] != number) continue;
    const LeakFinding& f = leaks.findings[number];
    const SurvivalVerdict& v = f.verdict;
    const Stretch& stretch = stretch_number(input, f.stretch);
    const Origin& origin = input.origins[f.populations.front()];
    run::Finding out;
    out.kind = "leak";
    out.resource = resource_name(f.resource);
    out.verdict = to_string(v.verdict);
    out.confirmed = v.verdict == Verdict::kLeaks;
    out.where.stack = report_stack(reader, origin.stack);
    out.where.process = run::number(origin.process);
    out.title = title_of(f, origin.kind, out.where.stack);
    const run::Process& process = processes[origin.process];
    if (stretch.ended) {
      out.title += fmt::format(" (pid {}, ended at {})", process.pid, ended_at(process));
    }
    const std::uint64_t site = input.populations[f.populations.front()].site;
    out.id = fmt::format("{}-{:08x}", out.resource, static_cast<std::uint32_t>(site ^ (site >> 32)));
    if (const int same = ids[out.id]++; same > 0) out.id += "-" + std::to_string(same + 1);
    const char* unit = counts_bytes(f.resource) ? "bytes" : "count";
    if (v.verdict != Verdict::kNone && v.reason != Reason::kOneGrowingBuffer) {
      run::ReportSince since{v.since, v.since_interval.low,       v.since_interval.high, v.since_start,
                             {},      window_at(windows, v.since)};
      if (v.since_start && stretch.begin > input.stretch.begin) {  // the start of its process, not of the load
        since.from_start = false;
        since.at_s = since.low_s = since.high_s = stretch.begin;
      }
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
    if (f.stretch != 0) out.evidence.push_back({"life", life_of(process, input.own[f.stretch - 1]), {}});
    for (std::size_t other = 0; other < leaks.findings.size(); ++other) {
      if (other == number || shown[other] != number) continue;
      const LeakFinding& before = leaks.findings[other];
      const run::Process& earlier = processes[input.origins[before.populations.front()].process];
      out.evidence.push_back({"life",
                              fmt::format("Pid {}, which ended at {}, leaked there as well: {} an hour.", earlier.pid,
                                          ended_at(earlier), amount_text(before.resource, before.verdict.per_hour)),
                              before.verdict.per_hour});
    }
    if (f.resource == Resource::kDescriptors) out.where.peer = peer_of(input, f, out.evidence);
    if (v.verdict == Verdict::kLeaks && !v.ended && f.forecast.hours_low > 0) out.forecast = forecast_of(f, stretch);
    if (v.longer_by > 1) out.needs_seconds = v.longer_by * (stretch.end - stretch.begin);
    for (std::size_t i = 1; i < f.populations.size() && i < 6; ++i) {
      const auto stack = report_stack(reader, input.origins[f.populations[i]].stack);
      std::string text = fmt::format("Also on another stack ({} of it): ", in_percent(f.shares[i]));
      for (std::size_t d = 0; d < stack.size() && d < 4; ++d) text += (d > 0 ? " < " : "") + name_of(stack[d].function);
      out.evidence.push_back({"stack", text, f.shares[i]});
    }
    out.advice = advice_of(f, origin.kind, place_text(out.where.stack));
    if (input.proof && !stretch.ended) apply_proof(f, input, thresholds, out);
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

}  // namespace camprobe::analysis
