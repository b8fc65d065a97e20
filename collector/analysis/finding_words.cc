#include "collector/analysis/finding_words.h"

#include <fmt/format.h>

#include "run/units.h"

namespace camprobe::analysis {

using run::at_time;
using run::in_bytes;
using run::in_count;
using run::in_percent;

namespace {

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

}  // namespace

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

std::string window_at(const std::vector<run::LoadWindow>& windows, Seconds at) {
  for (const run::LoadWindow& w : windows) {
    if (at >= static_cast<double>(w.from_ns) / 1e9 && at < static_cast<double>(w.to_ns) / 1e9) return w.name;
  }
  return "";
}

}  // namespace camprobe::analysis
