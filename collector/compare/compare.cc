// collector/compare/compare.cc
#include "collector/compare/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "collector/analysis/poisson.h"
#include "collector/compare/effects.h"
#include "collector/gates/metric.h"
#include "run/units.h"

namespace camprobe::compare {

namespace {

constexpr double kSameLoad = 0.05;
constexpr double kSameMix = 0.1;          // Hellinger
constexpr double kLeastNewShare = 0.005;  // of all samples: lighter stacks come and go
constexpr double kChanceOfMissing = 1e-6;

using Side = std::vector<RunSummary>;

double rate_of(const Side& side) {
  double logs = 0;
  for (const RunSummary& run : side) {
    if (run.requests_per_second <= 0) return 0;
    logs += std::log(run.requests_per_second) / static_cast<double>(side.size());
  }
  return std::exp(logs);
}

std::map<std::string, double> mix_of(const Side& side) {
  std::map<std::string, double> mix;
  for (const RunSummary& run : side) {
    for (const auto& [endpoint, share] : run.mix) mix[endpoint] += share / static_cast<double>(side.size());
  }
  return mix;
}

double mix_distance(const Side& base, const Side& other) {
  const auto a = mix_of(base), b = mix_of(other);
  if (a.empty() || b.empty()) return 0;
  double overlap = 0;
  for (const auto& [endpoint, share] : a) {
    if (const auto found = b.find(endpoint); found != b.end()) overlap += std::sqrt(share * found->second);
  }
  return std::sqrt(std::max(0.0, 1 - overlap));
}

std::vector<Level> levels_of(const Side& side, std::string_view metric, const std::string& endpoint) {
  std::vector<Level> levels;
  for (const RunSummary& run : side) {
    for (const Figure& f : run.figures) {
      if (f.metric == metric && f.endpoint == endpoint) levels.push_back(f.level);
    }
  }
  return levels;
}

bool is_latency(std::string_view metric) {
  return metric.starts_with("latency_");
}

class Comparer {
 public:
  Comparer(const Side& base, const Side& other) : base_(base), other_(other) {}

  run::Comparison make() {
    describe();
    compare_load();
    compare_figures();
    compare_findings();
    for (const char* kind : {"cpu", "alloc"}) {
      find_new(kind, base_, other_, result_.new_stacks);
      find_new(kind, other_, base_, result_.vanished_stacks);
    }
    conclude();
    return std::move(result_);
  }

 private:
  void describe() {
    const auto list = [](const Side& side, std::vector<run::ComparedRun>& out) {
      for (const RunSummary& run : side)
        out.push_back({run.file, run.run_id, run.started_at, run.host, run.seconds, run.requests_per_second});
    };
    list(base_, result_.base);
    list(other_, result_.other);
    std::set<std::string> hosts, bases;
    for (const Side* side : {&base_, &other_}) {
      for (const RunSummary& run : *side) {
        hosts.insert(run.host);
        bases.insert(run.latency_basis);
      }
    }
    if (hosts.size() > 1)
      result_.notes.push_back("The runs are from different machines, which by itself makes figures differ.");
    latencies_differ_ = bases.size() > 1;
    if (latencies_differ_)
      result_.notes.push_back(
          "Latency is counted from different instants (load.latency_basis of the reports), so it is not compared.");
    if (base_.size() + other_.size() < 4) {
      result_.notes.push_back(
          "With one run a side, how much runs of this program differ by themselves is assumed, not measured: give "
          "several runs a side (--base A --base B) for sharper verdicts.");
    }
  }

  void compare_load() {
    const double base = rate_of(base_), other = rate_of(other_);
    result_.base_requests_per_second = base;
    result_.other_requests_per_second = other;
    result_.mix_distance = mix_distance(base_, other_);
    same_mix_ = result_.mix_distance <= kSameMix;
    if (base <= 0 || other <= 0) {
      result_.same_load = false;
      result_.load = "Requests were not counted on both sides, so the load cannot be compared.";
      load_known_ = false;
      return;
    }
    load_change_ = std::log(other / base);
    result_.same_load = std::abs(load_change_) <= kSameLoad && same_mix_;
    if (!same_mix_) {
      result_.load = "The endpoints are mixed otherwise than in the base: figures over all of them are not compared.";
    } else if (result_.same_load) {
      result_.load =
          fmt::format("The same load: {} and {} requests a second.", run::in_count(base), run::in_count(other));
    } else {
      result_.load = fmt::format(
          "The load differs: {} and {} requests a second ({:+.0f} %). What depends on the load is only compared where "
          "the load cannot explain it.",
          run::in_count(base), run::in_count(other), 100 * (other / base - 1));
    }
  }

  // Why the load forbids this verdict; "" where it does not.
  std::string forbidden(const Effect& effect, const std::string& endpoint, Outcome outcome) const {
    if (is_latency(effect.metric) && latencies_differ_) return "latency is counted from different instants";
    if (!effect.depends_on_load && effect.metric != "throughput_rps") return "";
    if (endpoint.empty() && !same_mix_) return "the mix of endpoints differs";
    if (effect.metric == "throughput_rps") return "";
    if (!load_known_) return "the load is not known on both sides";
    if (std::abs(load_change_) <= kSameLoad) return "";
    if (load_change_ < 0 && outcome == Outcome::kWorse) return "";
    if (load_change_ > 0 && outcome == Outcome::kBetter) return "";
    return "the load differs";
  }

  void compare_figures() {
    std::map<std::string, Judgement> latency;  // p50 by endpoint, for what throughput means
    for (const Effect& effect : all_effects()) {
      std::set<std::string> endpoints;
      for (const Side* side : {&base_, &other_}) {
        for (const RunSummary& run : *side) {
          for (const Figure& f : run.figures) {
            if (f.metric == effect.metric) endpoints.insert(f.endpoint);
          }
        }
      }
      for (const std::string& endpoint : endpoints) compare_figure(effect, endpoint, latency);
    }
    const auto rank = [](const run::ComparedFigure& f) {
      return f.verdict == "worse" ? 0 : f.verdict == "better" ? 1 : f.verdict == "cannot tell" ? 2 : 3;
    };
    std::stable_sort(result_.figures.begin(), result_.figures.end(),
                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  }

  void compare_figure(const Effect& effect, const std::string& endpoint, std::map<std::string, Judgement>& latency) {
    const gates::Metric& metric = *gates::metric_named(effect.metric);
    const double sign = metric.better == gates::Better::kLower ? 1 : -1;
    double minimum = effect.is_ratio ? std::log1p(effect.minimum) : effect.minimum;
    // The fixed part of CPU weighs more on fewer requests.
    if (effect.metric == "cpu_per_request_ms" && load_change_ < -kSameLoad) minimum += 0.5 * -load_change_;
    const std::vector<Level> base = levels_of(base_, effect.metric, endpoint),
                             other = levels_of(other_, effect.metric, endpoint);
    Judgement judged = judge(base, other, sign, minimum, effect.usual_deviation);
    if (effect.metric == "latency_p50_ms") latency[endpoint] = judged;
    if (effect.metric == "throughput_rps" &&
        (judged.outcome == Outcome::kWorse || judged.outcome == Outcome::kBetter)) {
      const auto found = latency.find(endpoint);
      const bool rose = found != latency.end() && found->second.interval.low > 0;
      const bool fell = found != latency.end() && found->second.interval.high < 0;
      if (judged.outcome == Outcome::kWorse && !rose)
        judged.outcome = Outcome::kCannotTell, judged.why = "latency did not rise with it: the load asked for less";
      if (judged.outcome == Outcome::kBetter && !fell)
        judged.outcome = Outcome::kCannotTell, judged.why = "latency did not fall with it: the load asked for more";
    }
    if (const std::string why = forbidden(effect, endpoint, judged.outcome);
        !why.empty() && !base.empty() && !other.empty()) {
      judged.outcome = Outcome::kCannotTell;
      judged.why = why;
    }
    run::ComparedFigure out;
    out.metric = metric.name;
    out.endpoint = endpoint;
    out.unit = metric.unit;
    out.verdict = to_string(judged.outcome);
    out.why = judged.why;
    out.is_ratio = effect.is_ratio;
    out.minimum = effect.minimum;
    const auto shown = [&](const Level& level) {
      const double low = level.value - level.error, high = level.value + level.error;
      return effect.is_ratio ? run::Estimate{std::exp(level.value), std::exp(low), std::exp(high), out.unit}
                             : run::Estimate{level.value, low, high, out.unit};
    };
    if (!base.empty() && !other.empty()) {
      out.base = shown(judged.base);
      out.other = shown(judged.other);
      out.change = effect.is_ratio ? run::Estimate{std::expm1(judged.change), std::expm1(judged.interval.low),
                                                   std::expm1(judged.interval.high), "ratio"}
                                   : run::Estimate{judged.change, judged.interval.low, judged.interval.high, out.unit};
    }
    result_.figures.push_back(std::move(out));
  }

  void compare_findings() {
    const auto confirmed = [](const Side& side) {
      std::map<std::string, std::string> found;
      for (const RunSummary& run : side) {
        for (const SummedFinding& f : run.findings) {
          if (f.confirmed) found.emplace(f.id, f.title);
        }
      }
      return found;
    };
    const auto base = confirmed(base_), other = confirmed(other_);
    for (const auto& [id, title] : other) {
      if (!base.contains(id)) result_.new_findings.push_back({id, title});
    }
    const bool all_judged = std::all_of(other_.begin(), other_.end(), [](const auto& r) { return r.leaks_judged; });
    for (const auto& [id, title] : base) {
      if (!other.contains(id) && all_judged) result_.gone_findings.push_back({id, title});
    }
  }

  // Stacks of `has` that `lacks` does not have, or has below kLightest, and not by the luck of sampling.
  static void find_new(const std::string& kind, const Side& lacks, const Side& has,
                       std::vector<run::ComparedStack>& out) {
    std::map<std::vector<std::string>, std::int64_t> samples;
    std::set<std::vector<std::string>> known;
    double all = 0, all_there = 0;
    for (const RunSummary& run : has) {
      if (const auto total = run.stack_totals.find(kind); total != run.stack_totals.end()) all += total->second;
      for (const HeavyStack& s : run.stacks) {
        if (s.kind == kind) samples[s.frames] += s.samples;
      }
    }
    for (const RunSummary& run : lacks) {
      if (const auto total = run.stack_totals.find(kind); total != run.stack_totals.end()) all_there += total->second;
      for (const HeavyStack& s : run.stacks) {
        if (s.kind == kind) known.insert(s.frames);
      }
    }
    if (all <= 0 || all_there <= 0) return;
    std::vector<run::ComparedStack> found;
    for (const auto& [frames, count] : samples) {
      const double share = static_cast<double>(count) / all;
      if (known.contains(frames) || share < kLeastNewShare) continue;
      const double surely = analysis::garwood(static_cast<double>(count)).low / all;
      // As often as this would be seen there: at most what kLightest lets by.
      const double unlucky = 1 - analysis::poisson_tail(std::floor(kLightest * all_there) + 1, surely * all_there);
      if (unlucky < kChanceOfMissing) found.push_back({kind, frames, share, count});
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.share > b.share; });
    if (found.size() > 20) found.resize(20);
    out.insert(out.end(), found.begin(), found.end());
  }

  void conclude() {
    std::vector<std::string> worse, better;
    bool open = false, any = false;
    static const std::set<std::string> kPrimary = {"latency_p50_ms", "latency_p95_ms", "cpu_per_request_ms",
                                                   "error_rate"};
    for (const run::ComparedFigure& f : result_.figures) {
      const std::string what = f.metric + (f.endpoint.empty() ? "" : " of " + f.endpoint);
      const auto said = [&]() -> std::string {
        if (!f.change) return what;
        return f.is_ratio ? fmt::format("{} {:+.1f} %", what, 100 * f.change->value)
                          : fmt::format("{} {}{}", what, f.change->value > 0 ? "+" : "",
                                        run::in_unit(f.change->value, f.unit));
      };
      if (f.verdict == "worse") worse.push_back(said());
      if (f.verdict == "better") better.push_back(said());
      if (kPrimary.contains(f.metric) && f.endpoint.empty()) {
        any = true;
        open |= f.verdict == "cannot tell";
      }
    }
    const auto joined = [](const std::vector<std::string>& list) {
      std::string text;
      for (std::size_t i = 0; i < list.size() && i < 4; ++i) text += (i == 0 ? "" : ", ") + list[i];
      if (list.size() > 4) text += fmt::format(" and {} more", list.size() - 4);
      return text;
    };
    for (const run::ComparedFinding& f : result_.new_findings) worse.push_back(f.title);
    if (!worse.empty()) {
      result_.verdict = "worse";
      result_.summary = "Worse: " + joined(worse) + ".";
      if (!better.empty()) result_.summary += " Better: " + joined(better) + ".";
    } else if (open || !any) {
      result_.verdict = "cannot tell";
      result_.summary =
          any ? "Nothing is surely worse, but not everything could be told." : "There is too little to compare.";
      if (!better.empty()) result_.summary = "Better: " + joined(better) + ". " + result_.summary;
    } else if (!better.empty()) {
      result_.verdict = "better";
      result_.summary = "Better: " + joined(better) + ".";
    } else {
      result_.verdict = "same";
      result_.summary = "The same, as far as it counts.";
    }
  }

  const Side& base_;
  const Side& other_;
  run::Comparison result_;
  bool latencies_differ_ = false, same_mix_ = true, load_known_ = true;
  double load_change_ = 0;  // logarithm
};

}  // namespace

run::Comparison compare(const std::vector<RunSummary>& base, const std::vector<RunSummary>& other) {
  return Comparer(base, other).make();
}

}  // namespace camprobe::compare
