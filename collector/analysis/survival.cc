// collector/analysis/survival.cc
#include "collector/analysis/survival.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "collector/analysis/lifetimes.h"
#include "collector/analysis/lives.h"
#include "collector/analysis/load_rises.h"
#include "collector/analysis/which_clock.h"

namespace camprobe::analysis {

namespace {

// What must have stayed over the whole stretch before it matters.
double minimum_growth(Resource resource, const Stretch& stretch, const Thresholds& k) {
  if (resource == Resource::kDescriptors || resource == Resource::kThreads) return k.min_exact_events;
  const double by_hour = k.min_bytes_per_hour * (stretch.end - stretch.begin) / 3600;
  return stretch.rss_bytes > 0 ? std::min(by_hour, k.min_growth_share_of_rss * stretch.rss_bytes) : by_hour;
}

}  // namespace

double activity_between(const Population& population, Seconds from, Seconds to) {
  if (!population.activity.empty()) {
    double sum = 0;
    for (std::size_t i = 0; i < population.activity.size(); ++i) {
      const double at = (static_cast<double>(i) + 0.5) * population.activity_width;
      if (at >= from && at < to) sum += population.activity[i];
    }
    return sum;
  }
  double sum = 0;
  for (const Life& life : population.lives) {
    if (life.born >= from && life.born < to) sum += life.objects;
  }
  return sum;
}

namespace {

class Judge {
 public:
  Judge(const Population& population, const Stretch& stretch, const WorkClock& clock, const Thresholds& thresholds,
        bool by_time)
      : population_(population),
        stretch_(stretch),
        clock_(clock),
        k_(thresholds),
        ruler_(stretch, clock, by_time),
        sampling_(population.density, ruler_) {
    v_.on_time_clock = by_time;
  }

  SurvivalVerdict run(Seconds warm_up_end) {
    if (!ruler_.usable()) return v_;
    warm_up_ = std::max(0.0, ruler_.place(warm_up_end));
    place_lives();
    const auto alive = std::count_if(population_.lives.begin(), population_.lives.end(), [&](const Life& life) {
      return life.born < stretch_.end && life.died >= stretch_.end;
    });
    if (population_.bound > 0 && static_cast<double>(alive) <= population_.bound) {
      return conclude(Verdict::kNone, Reason::kWithinBound);
    }
    if (warm_up_ > 0.5) return conclude(Verdict::kInconclusive, Reason::kWarmUpTooLong);
    youngest_ = std::max(1 - ruler_.place(stretch_.end - k_.shortest_age_seconds), 1e-6);

    const double floor = minimum_growth(population_.resource, stretch_, k_);
    if (is_one_growing_buffer(lives_, warm_up_, std::max(floor, k_.min_bytes_per_hour))) {
      v_.amount = lives_.back().amount;
      v_.longer_by = 2;
      return conclude(Verdict::kInconclusive, Reason::kOneGrowingBuffer);
    }

    // Old age on the length of the run first: what is old there is old by any measure.
    std::optional<Hazard> old = adequate_hazard(1);
    choose_age();
    tell_kinds_apart(old);
    Events all = survivors_of(lives_, warm_up_, age_);
    v_.birth_profile = all.histogram(0, 1, 24);
    find_onset(all);
    Events events = born_after(all, from_);
    find_end(events);
    measure(events);
    const double mean_amount = v_.survivors > 0 ? v_.amount / v_.survivors : 0;

    if (v_.survivors < k_.min_candidate) return conclude_without_survivors(events, floor);
    // A leak that came late has nothing old on the length of the run. Then old means: old for the time since it began.
    if (!old) old = adequate_hazard(1 - from_);
    if (old) {
      v_.old_age = old->age;
      v_.old_age_hazard = old->rate() * horizon_;
      if (v_.old_age_hazard > k_.old_age_hazard && v_.dying_share <= 0)
        return conclude(Verdict::kNone, Reason::kOldOnesDie);
    }

    const bool sampled = is_sampled(events);
    const double needed = sampled ? k_.min_survivors_sampled : k_.min_survivors_exact;
    v_.p_value = poisson_tail(v_.survivors / v_.overdispersion,
                              k_.negligible_share * floor * counted_share() / mean_amount / v_.overdispersion);
    const double span = to_ - from_;
    // An end, or births that crowd at one place, is no growth that goes on. Asked before the count: ten thousand
    // objects at once are a step, and so are five.
    if (came_at_once(events)) return conclude(Verdict::kStep, Reason::kOneOff);
    if (v_.ended && (span < k_.step_share || !still_busy_after_end())) return conclude(Verdict::kStep, Reason::kOneOff);
    if (!is_spread(events)) {
      return conclude(v_.survivors >= needed ? Verdict::kStep : Verdict::kInconclusive,
                      v_.survivors >= needed ? Reason::kOneOff : Reason::kTooFewSurvivors);
    }
    if (is_replacement()) return conclude(Verdict::kNone, Reason::kReplaced);
    const double thinning = thins_out_over_constant(events);
    if (thinning > k_.saturation_clear || is_front_loaded(events)) {
      const double remaining_rate = v_.decay > 0 ? rate_at_end(events) / v_.decay : 0;
      v_.plateau_remaining = remaining_rate * mean_amount;
      return conclude(Verdict::kSaturating, Reason::kThinsOut);
    }
    if (v_.survivors < needed) {
      v_.longer_by = extension_for(needed);
      return conclude(Verdict::kInconclusive, Reason::kTooFewSurvivors);
    }
    if (!v_.ended && has_levelled_off()) return conclude(Verdict::kSaturating, Reason::kLevelledOff);
    if (thinning > k_.saturation_doubt || v_.survivor_share > k_.most_kept_share) {
      v_.longer_by = extension_for(2 * needed);
      return conclude(Verdict::kInconclusive, Reason::kMayThinOut);
    }
    if (!matters(floor)) return conclude(Verdict::kNone, Reason::kBelowMinimum);
    if (!old) {
      v_.longer_by = extension_for(2 * needed);
      return conclude(Verdict::kInconclusive, Reason::kTooShortForAge);
    }
    return conclude(Verdict::kLeaks, v_.ended ? Reason::kGrewUntil : Reason::kGrowsSteadily);
  }

 private:
  SurvivalVerdict conclude(Verdict verdict, Reason reason) {
    v_.verdict = verdict;
    v_.reason = reason;
    return v_;
  }

  void place_lives() {
    lives_.reserve(population_.lives.size());
    for (const Life& life : population_.lives) {
      if (life.born < stretch_.begin || life.born >= stretch_.end || life.amount <= 0) continue;
      const double died = life.died < stretch_.end ? ruler_.place(life.died) : 2;
      const double born = ruler_.place(life.born);
      lives_.push_back({born, died, life.amount, life.objects, sampling_.even(born), life.kept_of});
    }
    std::sort(lives_.begin(), lives_.end(), [](const Placed& a, const Placed& b) { return a.born < b.born; });
  }

  std::optional<Hazard> adequate_hazard(double horizon) {
    for (const double share : k_.old_ages) {
      if (share * horizon < youngest_) continue;
      const Hazard hazard = hazard_past(share * horizon, lives_, warm_up_);
      if (hazard.seen < k_.old_age_exposure * horizon) continue;
      horizon_ = horizon;
      // The oldest objects of all were born before the warm-up ended: a cache that began to evict only lately shows it
      // in them alone. They can worsen the rate, never mend it (what is made at start-up often stays for good).
      const Hazard with_first = hazard_past(share * horizon, lives_, -1);
      return with_first.rate() > hazard.rate() ? with_first : hazard;
    }
    return std::nullopt;
  }

  // The youngest age past which objects no longer die: the younger, the more of a late or short leak is evidence. Every
  // older age that can be judged must agree, or deaths at old age (an expiry) would be missed.
  void choose_age() {
    std::vector<double> ages = {youngest_};
    for (const double age : k_.younger_ages) ages.push_back(age);
    ages.push_back(k_.survivor_age);
    for (auto it = k_.old_ages.rbegin(); it != k_.old_ages.rend(); ++it) {
      if (*it <= 0.5) ages.push_back(*it);
    }
    std::erase_if(ages, [&](double age) { return age < youngest_; });
    age_ = std::max(k_.survivor_age, youngest_);
    bool all_quiet = true;
    for (auto it = ages.rbegin(); it != ages.rend() && all_quiet; ++it) {
      const Hazard hazard = hazard_past(*it, lives_, warm_up_);
      if (hazard.seen < k_.old_age_exposure) continue;
      all_quiet = hazard.rate() <= k_.old_age_hazard;
      if (all_quiet) age_ = *it, is_quiet_ = true;
    }
    v_.survivor_age = age_;
  }

  // Where old objects still die, because what dies lives long: are those that stay a kind of their own? Then evidence
  // is what is so old that next to none of it is of the kind that dies.
  void tell_kinds_apart(const std::optional<Hazard>& old) {
    const bool old_ones_die = old && old->rate() > k_.old_age_hazard;
    if (!old_ones_die && is_quiet_) return;
    const LifetimeMixture kinds =
        fit_lifetimes(lives_, warm_up_, std::max(k_.younger_ages[0], youngest_), k_.slowest_death);
    if (!kinds.fitted || kinds.staying < k_.min_survivors_sampled || kinds.log_likelihood < k_.staying_likelihood_ratio)
      return;
    age_ = std::clamp(kinds.age_when(k_.dying_among_survivors), k_.survivor_age, 0.6);
    double dying = 0, all = 0;
    for (const Placed& life : survivors_of(lives_, warm_up_, age_).lives) {
      dying += kinds.still_to_die(1 - life.born);
      all += 1;
    }
    v_.survivor_age = age_;
    v_.dying_share = all > 0 ? std::max(dying / all, 1e-9) : 1e-9;
  }

  double even(double place) const { return sampling_.even(place); }
  std::vector<double> counts(const Events& events, double from, double to, int parts) const {
    return events.histogram(even(from), even(to), parts);
  }

  // Overdispersion that one rise of the rate leaves unexplained: bursts. A burst is no onset.
  double unevenness(const Events& events, double rise) const {
    const auto parts = std::clamp(static_cast<int>(events.count() / 4), k_.sub_cohorts, 24);
    double worst = 1;
    for (const int n : {k_.sub_cohorts, parts}) {
      if (rise > warm_up_) worst = std::max(worst, overdispersion(counts(events, warm_up_, rise, n)));
      if (rise < to_) worst = std::max(worst, overdispersion_about_decay(born_after(events, rise), rise, n));
    }
    return worst;
  }

  void find_onset(const Events& events) {
    from_ = warm_up_;
    to_ = 1 - age_;
    const double first = even(warm_up_);
    const RateRise rise = find_rate_rise(events.times(first), even(to_) - first);
    const double at = sampling_.place(first + rise.at);
    const double excess = rise.log_likelihood_ratio / unevenness(events, at);
    v_.since_start = excess <= k_.onset_likelihood_ratio;
    // A rise that is not beyond doubt must not cost the evidence that there is.
    const double after = born_after(events, at).count();
    const double needed = is_sampled(events) ? k_.min_survivors_sampled : k_.min_survivors_exact;
    if (after < needed && events.count() >= needed && excess <= 2 * k_.onset_likelihood_ratio) v_.since_start = true;
    if (v_.since_start) {
      v_.since = stretch_.begin;
      v_.since_interval = {stretch_.begin, ruler_.when(warm_up_)};
      return;
    }
    from_ = at;
    const auto when = [&](double after_first) { return ruler_.when(sampling_.place(first + after_first)); };
    v_.since = ruler_.when(from_);
    v_.since_interval = {when(rise.interval.low), when(rise.interval.high)};
  }

  // Would a leak that goes on have been silent for so long at the end? Overdispersion (bursts) lengthens silences too.
  void find_end(const Events& events) {
    v_.until = stretch_.end;
    if (events.count() < 4) return;
    const double last = events.lives.back().born;
    const double span = even(to_) - even(from_);
    if (last <= from_ || last >= to_ || span <= 0) return;
    const auto parts = std::clamp(static_cast<int>(events.count() / 4), k_.sub_cohorts, 24);
    const double phi = std::max(overdispersion(counts(events, from_, last, k_.sub_cohorts), {}, 0.99),
                                overdispersion(counts(events, from_, last, parts), {}, 0.99));
    const double silence = std::pow(1 - (even(to_) - even(last)) / span, (events.count() - 1) / phi);
    if (silence >= k_.stopped_probability) return;
    v_.ended = true;
    to_ = last;
    v_.until = ruler_.when(last);
  }

  void measure(const Events& events) {
    v_.survivors = events.count();
    v_.effective_survivors = events.effective();
    v_.overdispersion = to_ > from_ ? overdispersion(counts(events, from_, to_, k_.sub_cohorts)) : 1;
    v_.amount = events.amount() * (1 - v_.dying_share);
    v_.amount_per_object = events.objects() > 0 ? events.amount() / events.objects() : 0;
    const Decay decay = fit_decay(events.times(even(from_)), even(to_) - even(from_));
    v_.decay = decay.k;
    v_.decay_error = decay.standard_error;

    decay_overdispersion_ =
        std::max(overdispersion_about_decay(events, from_, k_.sub_cohorts),
                 overdispersion_about_decay(events, from_,
                                            std::clamp(static_cast<int>(events.count() / 4), k_.sub_cohorts, 24)));

    double born = 0;
    for (const Placed& life : lives_) {
      if (life.born >= from_ && life.born <= to_) born += life.objects;
    }
    const double active = activity_between(population_, ruler_.when(from_), ruler_.when(to_));
    v_.survivor_share = std::max(born, active) > 0 ? std::min(1.0, events.objects() / std::max(born, active)) : 0;

    const Seconds from_time = ruler_.when(from_), to_time = ruler_.when(to_);
    const double requests = clock_.counts_requests() ? clock_.at(to_time) - clock_.at(from_time) : 0;
    const double hours = (to_time - from_time) / 3600;
    const double effective = v_.effective_survivors / v_.overdispersion;
    if (effective <= 0) return;
    const Interval events_interval = garwood(effective);
    const auto per = [&](double unit, double& value, Interval& interval) {
      if (unit <= 0) return;
      value = v_.amount / unit;
      interval = {value * events_interval.low / effective, value * events_interval.high / effective};
    };
    per(requests, v_.per_request, v_.per_request_interval);
    per(hours, v_.per_hour, v_.per_hour_interval);
    if (requests > 0) v_.objects_per_request = events.objects() / requests;
  }

  // Against the fitted exp(-k t) from `from` on: a thinning is no unevenness.
  double overdispersion_about_decay(const Events& events, double from, int n) const {
    const double length = even(to_) - even(from);
    if (length <= 0 || events.count() < 4) return 1;
    const double kappa = fit_decay(events.times(even(from)), length).k * length, parts = n;
    std::vector<double> expected;
    for (int i = 0; i < n; ++i) {
      const double share =
          std::abs(kappa) < 1e-6
              ? 1 / parts
              : (std::exp(-kappa * i / parts) - std::exp(-kappa * (i + 1) / parts)) / -std::expm1(-kappa);
      expected.push_back(events.count() * share);
    }
    return overdispersion(counts(events, from, to_, n), expected);
  }

  // How likely would so many births lie so close together if they could have come at any time?
  bool came_at_once(const Events& events) const {
    const double span = even(1 - age_) - even(warm_up_);
    if (span <= 0) return false;
    const double width = std::max(events.lives.back().even - events.lives.front().even, 1e-4 * span) / span;
    const bool later_is_known = events.lives.back().born < 1 - age_ - k_.at_once_share;
    return later_is_known && width < k_.at_once_share &&
           events.count() * std::pow(width, events.count() - 1) < k_.stopped_probability;
  }

  bool is_spread(const Events& events) const {
    if (to_ <= from_) return false;
    const std::vector<double> cohorts = counts(events, from_, to_, k_.sub_cohorts);
    const auto occupied = std::count_if(cohorts.begin(), cohorts.end(), [](double n) { return n > 0; });
    return occupied >= k_.sub_cohorts_with_survivors && (cohorts.back() > 0 || cohorts[cohorts.size() - 2] > 0);
  }

  // A cache that fills against a leak that goes on: log-likelihood of births that thin out as those of a cache with a
  // time constant of 1/k of the run, over births at an even rate. Where growth has ended, or began late, against the
  // length over which it went on: a fill that began half way through has had half the time to bend.
  //
  // What goes on since the start is asked of the start as well: a cache, or a pool that grows at records of its use,
  // fills fastest there, a leak does not, and the tenth that is warm-up knows more of that than any other. But a
  // start-up makes more of everything, so what it says for a cache is bounded; what it says against one is not.
  double thins_out_over_constant(const Events& events) const {
    const double length = even(to_) - even(from_);
    if (length <= 0) return 0;
    const double whole = v_.ended ? length : v_.since_start ? 1 : 1 - even(from_);
    // Where the length begins, or ends, with an event because it was put there, that event tells nothing.
    std::vector<double> times = events.times(even(from_));
    if (!v_.since_start && !times.empty()) times.erase(times.begin());
    if (v_.ended && !times.empty()) times.pop_back();
    const double thinning = decay_over_constant(times, length, k_.saturation_rate / whole) / decay_overdispersion_;
    if (!v_.since_start) return thinning;
    std::vector<double> with_start;
    for (const Placed& life : survivors_of(lives_, -1, age_).lives)
      if (life.born <= to_) with_start.push_back(life.even);
    if (v_.ended && !with_start.empty()) with_start.pop_back();
    const double end = even(to_), since_start = v_.ended ? end : 1;
    return std::min(decay_over_constant(with_start, end, k_.saturation_rate / since_start) / decay_overdispersion_,
                    thinning + k_.saturation_start_up);
  }

  // Most of it soon after it began, next to nothing of late, in whatever shape: stands in where exp(-k t) does not fit.
  bool is_front_loaded(const Events& events) const {
    const std::vector<double> thirds = counts(events, from_, to_, 3);
    return thirds[2] < k_.front_loaded_share * thirds[0] &&
           thirds[0] - thirds[2] > 4 * std::sqrt(thirds[0] + thirds[2]);
  }

  // A cache that filled only lately: births go on, but for each one now another leaves. What came and went in the last
  // eighth, against what the growth until then promised for it, in standard deviations of that difference. They are
  // those of a growth that goes on: none at all coming is not the more certain for having no spread. An object counts
  // from the age of a survivor on, so that what comes and goes beside does not. The very last births may not have
  // reached the run file yet.
  bool has_levelled_off() const {
    constexpr double kLast = 0.125;
    const double end = 1 - youngest_, begin = end - kLast;
    if (to_ - from_ < 2 * kLast) return false;
    const double before = begin - age_ - from_;
    if (before <= 0) return false;
    const double scale = kLast / before;
    double came = 0, left = 0, promised = 0, variance = 0, came_variance = 0, promised_variance = 0;
    for (const Placed& life : lives_) {
      const double n = life.objects, grown_up = life.born + age_;
      if (life.died <= grown_up) continue;
      if (grown_up > begin && grown_up <= end) came += n, came_variance += n * n;
      if (life.died > begin && life.died <= end) left += n, variance += n * n;
      // alive when the last eighth began: what the growth until then amounted to
      const bool grown = life.born > from_ && grown_up <= begin && life.died > begin;
      if (grown) promised += n * scale, variance += n * n * scale * scale, promised_variance += n * n * scale;
    }
    const double error = std::sqrt((variance + std::max(came_variance, promised_variance)) *
                                   std::max(v_.overdispersion, decay_overdispersion_));
    return came - left < k_.last_eighth_growth * promised && promised - (came - left) > 2.33 * error;
  }

  // A pool of connections that are replaced as they wear out: new ones stay, but the total does not grow. Only what
  // lived to the age of a survivor counts: a sawtooth in the same place is high or low at either end by chance.
  bool is_replacement() const {
    double stayed = 0, left = 0;
    for (const Life& life : population_.lives) {
      const double born = ruler_.place(life.born), died = life.died < stretch_.end ? ruler_.place(life.died) : 2;
      if (std::min(died, 1.0) - born < age_) continue;
      if (born > warm_up_ && born <= 1 && died > 1) stayed += life.objects;
      if (born <= warm_up_ && died > warm_up_ && died <= 1) left += life.objects;
    }
    return stayed - left < k_.min_net_growth * stayed;
  }

  double rate_at_end(const Events& events) const {  // survivors per stretch, from the fitted decay
    const double length = even(to_) - even(from_);
    const double lambda0 = v_.decay * events.count() / -std::expm1(-v_.decay * length);
    return lambda0 * std::exp(-v_.decay * (1 - even(from_)));
  }

  bool still_busy_after_end() const {
    const Seconds from = ruler_.when(from_), to = v_.until;
    const Seconds after = to + 0.02 * (stretch_.end - stretch_.begin);
    if (after >= stretch_.end || to <= from) return false;
    const double before_rate = activity_between(population_, from, to) / (to - from);
    const double after_rate = activity_between(population_, after, stretch_.end) / (stretch_.end - after);
    return after_rate >= 0.5 * before_rate;
  }

  // Of the time over which it grew, the part whose births were counted: what was born before the warm-up ended, or too
  // late to be old, is no evidence, but the growth is of the whole.
  double counted_share() const {
    const double grew = even(v_.ended ? to_ : 1) - even(v_.since_start ? 0 : from_);
    return grew > 0 ? std::min(1.0, (even(to_) - even(from_)) / grew) : 1;
  }

  bool matters(double floor) const {
    const bool bytes = population_.resource != Resource::kDescriptors && population_.resource != Resource::kThreads;
    if (v_.amount < floor * counted_share()) return false;
    const double limit = bytes ? stretch_.memory_limit_bytes
                               : (population_.resource == Resource::kDescriptors ? stretch_.descriptor_limit : 0);
    return limit <= 0 || v_.per_hour_interval.low * 24 >= k_.min_daily_share_of_limit * limit;
  }

  double extension_for(double needed) const {
    const double active = std::max(1 - from_, 0.05);
    const double missing = std::max(0.0, needed / std::max(v_.survivors, 1.0) - 1) * active;
    return 1 + std::max(missing, 0.5 * active);
  }

  SurvivalVerdict conclude_without_survivors(const Events& events, double floor) {
    const Interval upper = garwood(events.count());
    double mean = 0;
    for (const Placed& life : lives_) mean += life.amount;
    mean = lives_.empty() ? 0 : mean / static_cast<double>(lives_.size());
    if (upper.high * mean <= floor || lives_.empty()) return conclude(Verdict::kNone, Reason::kNoSurvivors);
    // Deaths say as much as survivors: where old age, or any age, kills them the population is bounded.
    double died = 0;
    for (const Placed& life : lives_) died += life.born > warm_up_ && life.died <= 1 ? 1 : 0;
    if (died >= 10 && events.count() == 0) return conclude(Verdict::kNone, Reason::kNoSurvivors);
    v_.longer_by = extension_for(is_sampled(events) ? k_.min_survivors_sampled : k_.min_survivors_exact);
    return conclude(Verdict::kInconclusive, Reason::kTooFewSurvivors);
  }

  const Population& population_;
  const Stretch& stretch_;
  const WorkClock& clock_;
  const Thresholds& k_;
  Ruler ruler_;
  EvenSampling sampling_;
  SurvivalVerdict v_;
  std::vector<Placed> lives_;  // ascending by birth
  double warm_up_ = 0, youngest_ = 0, age_ = 0, horizon_ = 1, decay_overdispersion_ = 1;
  bool is_quiet_ = false;     // past `age_` objects do not die
  double from_ = 0, to_ = 1;  // where survivors are counted
};

}  // namespace

SurvivalVerdict judge_survival(const Population& population, const Stretch& stretch, const WorkClock& clock,
                               const Thresholds& thresholds) {
  const auto judge = [&](Seconds warm_up, bool by_time, const Thresholds& k) {
    return Judge(population, stretch, clock, k, by_time).run(warm_up);
  };
  const bool by_time_only = !clock.counts_requests();
  SurvivalVerdict verdict = judge(stretch.warm_up, by_time_only, thresholds);
  const LoadShape load = by_time_only ? LoadShape{} : load_shape(stretch, clock);
  if (load.varies && verdict.survivors >= thresholds.min_candidate) {
    const double favours_time = time_over_work(population, stretch, clock);
    if (favours_time > 3) {
      SurvivalVerdict on_time = judge(stretch.warm_up, true, thresholds);
      if (on_time.verdict == Verdict::kLeaks && (load.falls || verdict.verdict == Verdict::kLeaks)) {
        verdict = on_time;
      } else if (on_time.verdict == Verdict::kLeaks && verdict.verdict != Verdict::kInconclusive) {
        verdict.verdict = Verdict::kInconclusive;
        verdict.reason = Reason::kClocksDisagree;
      }
    }
  }
  if (verdict.verdict == Verdict::kLeaks) {
    const GrowthWithLoad growth = growth_with_load(population, stretch, clock, verdict, thresholds);
    if (growth.follows) {
      // More than there was work for at a time, or a few that came otherwise: it may be a pool and a leak.
      const auto alive = std::count_if(population.lives.begin(), population.lives.end(),
                                       [&](const Life& life) { return life.died >= stretch.end; });
      const bool is_pool = growth.stood_still && growth.between < thresholds.min_survivors_exact &&
                           population.concurrency > 0 && static_cast<double>(alive) <= population.concurrency;
      verdict.verdict = is_pool ? Verdict::kNone : Verdict::kInconclusive;
      verdict.reason = Reason::kFollowsLoad;
      return verdict;
    }
    const Seconds longer = stretch.begin + thresholds.warm_up_repeat * (stretch.warm_up - stretch.begin);
    // Less of the run is less evidence: a verdict that is only left open by that is no contradiction.
    Thresholds surely = thresholds;
    surely.saturation_clear = thresholds.saturation_again;
    surely.staying_likelihood_ratio = 0;
    surely.min_survivors_sampled *= (stretch.end - longer) / (stretch.end - stretch.warm_up);
    const SurvivalVerdict again = judge(longer, verdict.on_time_clock, surely);
    if (again.verdict == Verdict::kSaturating) {
      verdict.verdict = Verdict::kInconclusive;
      verdict.reason = Reason::kMayThinOut;
    } else if (again.verdict == Verdict::kNone || (again.verdict == Verdict::kStep && !verdict.ended)) {
      verdict.verdict = Verdict::kInconclusive;
      verdict.reason = Reason::kDependsOnWarmUp;
    }
  }
  return verdict;
}

}  // namespace camprobe::analysis
