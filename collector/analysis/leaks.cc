// collector/analysis/leaks.cc
#include "collector/analysis/leaks.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>

namespace camprobe::analysis {

namespace {

int rank(Verdict verdict) {
  switch (verdict) {
    case Verdict::kLeaks:
      return 0;
    case Verdict::kSaturating:
      return 1;
    case Verdict::kStep:
      return 2;
    case Verdict::kInconclusive:
      return 3;
    case Verdict::kNone:
      return 4;
  }
  return 4;
}

bool counts_bytes(Resource resource) {
  return resource != Resource::kDescriptors && resource != Resource::kThreads;
}

bool overlap(const Interval& a, const Interval& b) {
  return a.low <= b.high && b.low <= a.high;
}

// Equal onsets within their intervals. Two leaks that go on since the start have the same onset, which tells nothing;
// so equal births are then asked of the profile as well.
bool same_onset(const SurvivalVerdict& a, const SurvivalVerdict& b) {
  if (a.since_start != b.since_start) return false;
  return a.since_start || overlap(a.since_interval, b.since_interval);
}

// Are the births of survivors on two stacks in the same proportion everywhere, and as many objects a request?
// Chi-squared of homogeneity over the parts of the profile that either has births in.
bool same_births(const SurvivalVerdict& a, const SurvivalVerdict& b) {
  const double sum_a = std::accumulate(a.birth_profile.begin(), a.birth_profile.end(), 0.0);
  const double sum_b = std::accumulate(b.birth_profile.begin(), b.birth_profile.end(), 0.0);
  if (sum_a < 8 || sum_b < 8 || a.birth_profile.size() != b.birth_profile.size()) return false;
  double chi_squared = 0;
  int parts = 0;
  for (std::size_t i = 0; i < a.birth_profile.size(); ++i) {
    const double both = a.birth_profile[i] + b.birth_profile[i];
    if (both <= 0) continue;
    ++parts;
    const double expected_a = both * sum_a / (sum_a + sum_b), expected_b = both - expected_a;
    chi_squared += std::pow(a.birth_profile[i] - expected_a, 2) / expected_a +
                   std::pow(b.birth_profile[i] - expected_b, 2) / expected_b;
  }
  // 3 standard deviations of chi-squared with parts - 1 degrees of freedom
  const double df = parts - 1;
  if (chi_squared > df + 3 * std::sqrt(2 * std::max(df, 1.0))) return false;
  const double ratio = a.objects_per_request / std::max(b.objects_per_request, 1e-300);
  const double error = std::sqrt(1 / sum_a + 1 / sum_b);
  return std::abs(std::log(ratio)) < 3 * error;
}

// Stacks are compared from the root: two that share at least half of the shorter one do the same work.
bool same_work(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  if (a.empty() || b.empty()) return true;  // nothing known: the births decide
  std::size_t shared = 0;
  while (shared < a.size() && shared < b.size() && a[a.size() - 1 - shared] == b[b.size() - 1 - shared]) ++shared;
  return 2 * shared >= std::min(a.size(), b.size());
}

Population join(const std::vector<Population>& populations, const std::vector<std::size_t>& members) {
  Population joined = populations[members.front()];
  for (std::size_t i = 1; i < members.size(); ++i) {
    const Population& other = populations[members[i]];
    joined.lives.insert(joined.lives.end(), other.lives.begin(), other.lives.end());
    joined.bound += other.bound;
    joined.concurrency = std::max(joined.concurrency, other.concurrency);
    if (joined.activity.size() < other.activity.size()) joined.activity.resize(other.activity.size());
    for (std::size_t s = 0; s < other.activity.size(); ++s) joined.activity[s] += other.activity[s];
  }
  return joined;
}

class Finder {
 public:
  Finder(const std::vector<Population>& populations, std::size_t number, const Stretch& stretch, const WorkClock& clock,
         const Thresholds& thresholds)
      : populations_(populations), number_(number), stretch_(stretch), clock_(clock), k_(thresholds) {}

  LeakAnalysis run() {
    const double requests = clock_.counts_requests() ? clock_.at(stretch_.end) - clock_.at(stretch_.begin) : 0;
    analysis_.too_short =
        stretch_.end - stretch_.begin < k_.min_seconds || (clock_.counts_requests() && requests < k_.min_requests);
    judge_each();
    gather_by_site();
    merge_equal_births();
    for (LeakFinding& finding : analysis_.findings) finish(finding);
    add_the_rest();
    return std::move(analysis_);
  }

 private:
  void judge_each() {
    std::vector<double> p_values;
    std::vector<std::size_t> asked;
    used_.assign(populations_.size(), false);
    for (std::size_t i = 0; i < populations_.size(); ++i) {
      if (populations_[i].stretch != number_) {
        verdicts_.emplace_back().verdict = Verdict::kNone;
        used_[i] = true;
        continue;
      }
      ++analysis_.populations;
      verdicts_.push_back(judge_survival(populations_[i], stretch_, clock_, k_));
      if (verdicts_.back().survivors >= k_.min_candidate) {
        asked.push_back(i);
        p_values.push_back(verdicts_.back().p_value);
      }
    }
    analysis_.candidates = asked.size();
    const std::vector<bool> found = benjamini_hochberg(p_values, k_.false_discovery_rate);
    const std::vector<bool> strict = benjamini_hochberg(p_values, k_.false_discovery_rate, true);
    for (std::size_t a = 0; a < asked.size(); ++a) {
      const std::size_t i = asked[a];
      if (verdicts_[i].verdict != Verdict::kLeaks) continue;
      if (!found[a]) {
        verdicts_[i].verdict = Verdict::kInconclusive;
        verdicts_[i].reason = Reason::kTooFewSurvivors;
        continue;
      }
      convicted_.push_back({populations_[i].resource, number_, {i}, {1}, verdicts_[i], strict[a], 0, {}});
      used_[i] = true;
    }
  }

  // One function that leaks is reached on many stacks, each with too little evidence, or each with some. What has the
  // same innermost function is judged together, all of it first: a part seen too little to be judged alone may look
  // like a step or like nothing, and leaving it out would take its bytes from the rate. Where the whole does not leak
  // (two kinds of use of one function), what does not speak against a leak is tried; else the stacks convicted alone
  // stand alone.
  void gather_by_site() {
    std::map<std::pair<Resource, std::uint64_t>, std::vector<std::size_t>> sites;
    for (std::size_t i = 0; i < populations_.size(); ++i) {
      if (populations_[i].site != 0 && verdicts_[i].survivors > 0) {
        sites[{populations_[i].resource, populations_[i].site}].push_back(i);
      }
    }
    for (auto& [site, members] : sites) {
      if (members.size() < 2) continue;
      order_by_amount(members);
      if (!convict_together(site.first, members)) {
        if (leave_to_the_load(site.first, members)) continue;
        std::vector<std::size_t> suspects = members;
        std::erase_if(suspects, [&](std::size_t i) {
          return verdicts_[i].verdict != Verdict::kLeaks && verdicts_[i].verdict != Verdict::kInconclusive;
        });
        convict_together(site.first, suspects);
      }
      std::erase_if(members, [&](std::size_t i) { return used_[i] || verdicts_[i].verdict == Verdict::kNone; });
      if (members.size() > 1) keep_open_together(site.first, members);
    }
    acquit_what_only_moved();
  }

  // A compiler at run time gives code a new stack, and a load balancer another worker: what was born on one stack is
  // from then on born on another of the same function. The new one has nothing old; whether such objects die, those on
  // the stacks it took over from tell, though none of them is alive.
  void acquit_what_only_moved() {
    std::erase_if(convicted_, [&](const LeakFinding& finding) {
      const Population& first = populations_[finding.populations.front()];
      const Seconds since = finding.verdict.since;
      if (first.site == 0 || finding.verdict.since_start) return false;
      std::vector<std::size_t> members = finding.populations;
      if (births_changed_by(members, since) < 1 / k_.moved_share) return false;  // was busy before
      for (std::size_t i = 0; i < populations_.size(); ++i) {
        if (populations_[i].site != first.site || populations_[i].resource != first.resource) continue;
        if (populations_[i].stretch != number_) continue;
        if (std::count(members.begin(), members.end(), i) != 0) continue;
        if (births_changed_by({i}, since) <= k_.moved_share) members.push_back(i);
      }
      if (members.size() == finding.populations.size()) return false;
      const SurvivalVerdict together = judge_survival(join(populations_, members), stretch_, clock_, k_);
      if (together.verdict == Verdict::kLeaks) return false;
      for (const std::size_t i : finding.populations) verdicts_[i] = together, used_[i] = true;
      if (together.verdict != Verdict::kNone) {
        open_.push_back({first.resource, number_, finding.populations, {}, together, false, 0, {}});
      }
      return true;
    });
  }

  // How many times as many objects a second are born on these stacks after an instant as before it.
  double births_changed_by(const std::vector<std::size_t>& members, Seconds instant) const {
    double before = 0, after = 0;
    for (const std::size_t i : members) {
      before += activity_between(populations_[i], stretch_.begin, instant) / (instant - stretch_.begin);
      after += activity_between(populations_[i], instant, stretch_.end) / (stretch_.end - instant);
    }
    return after / std::max(before, 1e-300);
  }

  bool convict_together(Resource resource, std::vector<std::size_t> members) {
    if (members.size() < 2) return false;
    SurvivalVerdict together = judge_survival(join(populations_, members), stretch_, clock_, k_);
    // Leaks in one function that began at very different times are two. But a stack may be used in turns, so its own
    // onset is not enough to set it apart: one that began later kept next to nothing before, one that began earlier
    // kept some.
    const double far = k_.same_onset_share * (stretch_.end - stretch_.begin);
    const auto is_another = [&](std::size_t i) {
      const SurvivalVerdict& own = verdicts_[i];
      if (own.verdict != Verdict::kLeaks || std::abs(own.since - together.since) <= far) return false;
      if (overlap(own.since_interval, together.since_interval)) return false;
      return own.since > together.since ? kept_before(i, own.since) < 0.1 : kept_before(i, together.since) >= 0.1;
    };
    if (std::erase_if(members, is_another) > 0) {
      if (members.size() < 2) return false;
      together = judge_survival(join(populations_, members), stretch_, clock_, k_);
    }
    if (together.verdict != Verdict::kLeaks || together.p_value > k_.false_discovery_rate / 10) return false;
    bool strict = false;
    std::erase_if(convicted_, [&](const LeakFinding& finding) {
      const bool in_it = std::count(members.begin(), members.end(), finding.populations.front()) != 0;
      strict |= in_it && finding.holds_strictly;
      return in_it;
    });
    for (const std::size_t i : members) used_[i] = true;
    convicted_.push_back({resource, number_, members, {}, together, strict, 0, {}});
    return true;
  }

  // A pool is filled from several places of one function. Each sees a part of it, which may look as if it grew with the
  // requests, or with time, though all of it together does not leak, and is no more than the load may have had a use
  // for at once. Then none of its parts is convicted alone.
  bool leave_to_the_load(Resource resource, const std::vector<std::size_t>& members) {
    const auto convicted = [&](const LeakFinding& finding) {
      return std::count(members.begin(), members.end(), finding.populations.front()) != 0;
    };
    if (std::none_of(convicted_.begin(), convicted_.end(), convicted)) return false;
    const Population all = join(populations_, members);
    if (all.concurrency <= 0) return false;
    const SurvivalVerdict together = judge_survival(all, stretch_, clock_, k_);
    if (together.verdict == Verdict::kLeaks) return false;
    if (together.reason != Reason::kFollowsLoad && together.survivors > all.concurrency) return false;
    std::erase_if(convicted_, convicted);
    for (const std::size_t i : members) used_[i] = true;
    open_.push_back({resource, number_, members, {}, together, false, 0, {}});
    return true;
  }

  // The share of a stack's survivors that were born before an instant.
  double kept_before(std::size_t i, Seconds instant) const {
    double before = 0, all = 0;
    for (const Life& life : populations_[i].lives) {
      if (life.died < stretch_.end || life.born < stretch_.warm_up || life.born >= stretch_.end) continue;
      all += life.objects;
      if (life.born < instant) before += life.objects;
    }
    return all > 0 ? before / all : 0;
  }

  // What is open, or grew once, on several stacks of one function is one thing to read.
  void keep_open_together(Resource resource, const std::vector<std::size_t>& members) {
    const SurvivalVerdict together = judge_survival(join(populations_, members), stretch_, clock_, k_);
    if (together.verdict == Verdict::kLeaks) return;
    for (const std::size_t i : members) used_[i] = true;
    open_.push_back({resource, number_, members, {}, together, false, 0, {}});
  }

  // A record and the text it holds are two stacks and one leak.
  void merge_equal_births() {
    std::stable_sort(convicted_.begin(), convicted_.end(),
                     [](const auto& a, const auto& b) { return a.verdict.amount > b.verdict.amount; });
    std::vector<bool> taken(convicted_.size(), false);
    for (std::size_t i = 0; i < convicted_.size(); ++i) {
      if (taken[i]) continue;
      LeakFinding finding = convicted_[i];
      for (std::size_t j = i + 1; j < convicted_.size(); ++j) {
        const LeakFinding& other = convicted_[j];
        if (taken[j] || other.resource != finding.resource || !same_onset(finding.verdict, other.verdict) ||
            !same_births(convicted_[i].verdict, other.verdict) ||
            !same_work(populations_[finding.populations.front()].frames,
                       populations_[other.populations.front()].frames)) {
          continue;
        }
        std::vector<std::size_t> members = finding.populations;
        members.insert(members.end(), other.populations.begin(), other.populations.end());
        SurvivalVerdict together = judge_survival(join(populations_, members), stretch_, clock_, k_);
        if (together.verdict != Verdict::kLeaks) continue;
        finding.populations = std::move(members);
        finding.verdict = together;
        finding.holds_strictly |= other.holds_strictly;
        taken[j] = true;
      }
      order_by_amount(finding.populations);
      analysis_.findings.push_back(std::move(finding));
    }
  }

  void order_by_amount(std::vector<std::size_t>& members) const {
    std::stable_sort(members.begin(), members.end(),
                     [&](auto a, auto b) { return verdicts_[a].amount > verdicts_[b].amount; });
  }

  void finish(LeakFinding& finding) const {
    double sum = 0;
    for (const std::size_t i : finding.populations) sum += verdicts_[i].amount;
    finding.shares.clear();
    for (const std::size_t i : finding.populations) finding.shares.push_back(sum > 0 ? verdicts_[i].amount / sum : 0);
    finding.confidence = confidence_of(finding.verdict);
    const bool bytes = counts_bytes(finding.resource);
    const double limit = bytes ? stretch_.memory_limit_bytes
                               : (finding.resource == Resource::kDescriptors ? stretch_.descriptor_limit : 0);
    const double now =
        bytes ? stretch_.rss_bytes : (finding.resource == Resource::kDescriptors ? stretch_.descriptors : 0);
    if (finding.verdict.verdict == Verdict::kLeaks && !finding.verdict.ended && !stretch_.ended && limit > 0) {
      const double horizon = k_.forecast_horizon * (stretch_.end - stretch_.begin) / 3600;
      finding.forecast =
          forecast_limit(now, limit, finding.verdict.per_hour, finding.verdict.per_hour_interval, horizon);
    }
  }

  // What does not leak but grew, and what could not be told: listed where it is large enough that one would ask.
  void add_the_rest() {
    const double worth_a_word = std::max(k_.min_growth_share_of_rss * stretch_.rss_bytes, 0.25 * k_.min_bytes_per_hour);
    std::map<Reason, int> listed;
    const auto list = [&](LeakFinding finding) {
      const SurvivalVerdict& verdict = finding.verdict;
      if (verdict.verdict == Verdict::kNone || verdict.verdict == Verdict::kLeaks) return;
      const bool large =
          counts_bytes(finding.resource) ? verdict.amount >= worth_a_word : verdict.survivors >= k_.min_survivors_exact;
      const bool seen_enough = verdict.survivors >= k_.min_candidate || verdict.reason == Reason::kOneGrowingBuffer;
      if (!large || !seen_enough || ++listed[verdict.reason] > 5) return;
      finish(finding);
      analysis_.findings.push_back(std::move(finding));
    };
    for (LeakFinding& finding : open_) list(std::move(finding));
    std::vector<std::size_t> order(populations_.size());
    std::iota(order.begin(), order.end(), 0);
    order_by_amount(order);
    for (const std::size_t i : order) {
      if (!used_[i]) list({populations_[i].resource, number_, {i}, {1}, verdicts_[i], false, 0, {}});
    }
  }

  const std::vector<Population>& populations_;
  const std::size_t number_;  // of the stretch
  const Stretch& stretch_;
  const WorkClock& clock_;
  const Thresholds& k_;
  std::vector<SurvivalVerdict> verdicts_;
  std::vector<LeakFinding> convicted_, open_;
  std::vector<bool> used_;
  LeakAnalysis analysis_;
};

}  // namespace

LeakAnalysis find_leaks(const std::vector<Population>& populations, const std::vector<Stretch>& stretches,
                        const WorkClock& clock, const Thresholds& thresholds) {
  Thresholds shared = thresholds;
  shared.false_discovery_rate /= static_cast<double>(stretches.size());
  LeakAnalysis all;
  for (std::size_t number = 0; number < stretches.size(); ++number) {
    LeakAnalysis one = Finder(populations, number, stretches[number], clock, shared).run();
    if (number == 0) {
      all = std::move(one);
      continue;
    }
    all.populations += one.populations;
    all.candidates += one.candidates;
    if (stretches[number].ended)
      std::erase_if(one.findings, [](const LeakFinding& f) { return f.verdict.verdict != Verdict::kLeaks; });
    std::move(one.findings.begin(), one.findings.end(), std::back_inserter(all.findings));
  }
  std::stable_sort(all.findings.begin(), all.findings.end(), [](const auto& a, const auto& b) {
    if (rank(a.verdict.verdict) != rank(b.verdict.verdict)) return rank(a.verdict.verdict) < rank(b.verdict.verdict);
    return a.verdict.amount > b.verdict.amount;
  });
  return all;
}

LeakAnalysis find_leaks(const std::vector<Population>& populations, const Stretch& stretch, const WorkClock& clock,
                        const Thresholds& thresholds) {
  return find_leaks(populations, std::vector<Stretch>{stretch}, clock, thresholds);
}

Forecast forecast_limit(double now, double limit, double per_hour, const Interval& per_hour_interval,
                        double horizon_hours) {
  Forecast forecast;
  const double room = limit - now;
  if (room <= 0 || per_hour_interval.high <= 0) return forecast;
  const auto hours = [&](double rate) { return rate > 0 ? room / rate : 0; };
  forecast.hours_low = hours(per_hour_interval.high);
  forecast.hours_high = hours(per_hour_interval.low);
  forecast.hours = hours(per_hour) <= horizon_hours ? hours(per_hour) : 0;
  forecast.reaches_limit = forecast.hours_low <= horizon_hours;
  return forecast;
}

double confidence_of(const SurvivalVerdict& verdict) {
  const double survivors = verdict.effective_survivors / verdict.overdispersion;
  switch (verdict.verdict) {
    case Verdict::kLeaks:
      return survivors >= 64 ? 0.98 : survivors >= 32 ? 0.96 : survivors >= 16 ? 0.93 : 0.9;
    case Verdict::kSaturating:
      return survivors >= 64 ? 0.95 : 0.85;
    case Verdict::kStep:
      return survivors >= 32 ? 0.95 : 0.85;
    case Verdict::kNone:
      return 0.95;
    case Verdict::kInconclusive:
      return 0.5;
  }
  return 0.5;
}

}  // namespace camprobe::analysis
