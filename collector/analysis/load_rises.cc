#include "collector/analysis/load_rises.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "collector/analysis/lives.h"

namespace camprobe::analysis {
namespace {

constexpr double kFinest = 1.02;     // of the record before: finer ones are not kept
constexpr double kRise = 1.25;       // of the level before: a rise
constexpr double kFewestMore = 4;    // connections: below that a quarter is next to nothing
constexpr double kTogether = 0.025;  // of the stretch: rises this close are one, a thousand clients connecting
constexpr int kParts = 60;           // of the stretch, in which births are counted
constexpr double kDelay = 0.02;      // of the stretch, on average, from a client's coming to a member for it
constexpr double kStill = 0.1;       // of the records' growth at most while the load is said to stay
constexpr double kBeside = 0.1;      // of a pool's births come when they like

std::vector<Seconds> rises_in(const std::vector<ClientRecord>& records) {
  std::vector<Seconds> rises;
  double level = 0;
  for (const ClientRecord& record : records) {
    if (record.clients < std::max(kRise * level, level + kFewestMore)) continue;
    level = record.clients;
    rises.push_back(record.at);
  }
  return rises;
}

// Where the load stays: of each time between two rises the second half, because a pool needs a while to get to its
// size, without the last tenth, in which the clients of the next rise may be arriving.
std::vector<std::pair<Seconds, Seconds>> settled_parts(const std::vector<Seconds>& rises, const Stretch& stretch) {
  const Seconds near = kTogether * (stretch.end - stretch.begin);
  std::vector<std::pair<Seconds, Seconds>> parts;
  Seconds since = stretch.warm_up;  // the load it had by then is as old as the warm-up
  bool is_settled = true;
  const auto end_at = [&](Seconds until) {
    const Seconds from = is_settled ? since : since + (until - since) / 2;
    const Seconds to = until < stretch.end ? until - (until - since) / 10 : until;
    if (until - since > near) parts.emplace_back(from, to);
  };
  for (const Seconds rise : rises) {
    if (rise <= stretch.warm_up || rise >= stretch.end) continue;
    end_at(rise);
    since = rise;
    is_settled = false;
  }
  end_at(stretch.end);
  return parts;
}

// Within what is judged.
bool any_rise(const std::vector<Seconds>& rises, const Stretch& stretch) {
  return std::any_of(rises.begin(), rises.end(), [&](Seconds t) { return t > stretch.warm_up && t < stretch.end; });
}

// What came and went, part by part of (from, to).
struct Parts {
  Seconds from, width;
  std::vector<double> births, deaths, records, work;
  Parts(Seconds from, Seconds to)
      : from(from), width((to - from) / kParts), births(kParts), deaths(kParts), records(kParts), work(kParts) {}
  void add(std::vector<double>& to, Seconds at, double n) const {
    const double part = std::floor((at - from) / width);
    if (part >= 0 && part < kParts) to[static_cast<std::size_t>(part)] += n;
  }
};

// Log-likelihood of the births if they came as the load's records did, or in place of members that died, over that of
// births with the work.
double with_records_over_with_work(const Parts& parts) {
  double births = 0, deaths = 0, records = 0, work = 0;
  for (std::size_t i = 0; i < kParts; ++i)
    births += parts.births[i], deaths += parts.deaths[i], records += parts.records[i], work += parts.work[i];
  if (births <= 0 || records <= 0 || work <= 0) return -1;
  const double replaced = std::min(deaths / births, 1 - kBeside);  // of the births
  double ratio = 0;
  for (std::size_t i = 0; i < kParts; ++i) {
    const double by_work = parts.work[i] / work;
    const double as_deaths = deaths > 0 ? parts.deaths[i] / deaths : 0;
    const double by_records =
        replaced * as_deaths + (1 - replaced) * ((1 - kBeside) * parts.records[i] / records + kBeside * by_work);
    if (parts.births[i] > 0) ratio += parts.births[i] * std::log(std::max(by_records, 1e-9) / std::max(by_work, 1e-9));
  }
  return ratio;
}

}  // namespace

std::vector<ClientRecord> records_of(const std::vector<Life>& accepted) {
  std::vector<std::pair<Seconds, double>> changes;
  for (const Life& life : accepted) {
    changes.emplace_back(life.born, life.objects);
    if (life.died < kAlive) changes.emplace_back(life.died, -life.objects);
  }
  std::sort(changes.begin(), changes.end());  // of one instant what closes first
  std::vector<ClientRecord> records;
  double open = 0, noted = 0;
  for (const auto& [at, change] : changes) {
    open += change;
    if (open <= noted) continue;
    if (open >= kFinest * noted)
      records.push_back({at, noted = open});
    else
      // Too little more for a record of its own, but the peak is the peak.
      records.back().clients = std::max(records.back().clients, open);
  }
  return records;
}

GrowthWithLoad growth_with_load(const Population& population, const Stretch& stretch, const WorkClock& clock,
                                const SurvivalVerdict& verdict, const Thresholds& thresholds) {
  GrowthWithLoad out;
  const std::vector<Seconds> rises = rises_in(population.records);
  const Ruler ruler(stretch, clock, verdict.on_time_clock);
  if (!any_rise(rises, stretch) || !ruler.usable()) return out;
  const double age = verdict.survivor_age;
  const Seconds last = ruler.when(1 - age);
  if (last <= stretch.warm_up) return out;
  const auto settled = settled_parts(rises, stretch);
  const auto is_settled = [&](Seconds t) {
    return std::any_of(settled.begin(), settled.end(),
                       [&](const auto& part) { return t >= part.first && t < part.second; });
  };
  Parts parts(stretch.warm_up, last);
  for (const Life& life : population.lives) {
    if (life.died >= stretch.end) {
      parts.add(parts.births, life.born, 1);
      if (life.born > stretch.warm_up && life.born <= last && is_settled(life.born)) ++out.between;
    } else if (ruler.place(life.died) - ruler.place(life.born) >= age) {
      parts.add(parts.deaths, life.died, 1);
      if (is_settled(life.died)) --out.between;
    }
  }
  for (int i = 0; i < kParts; ++i) {
    const Seconds from = parts.from + i * parts.width;
    parts.work[static_cast<std::size_t>(i)] = ruler.place(from + parts.width) - ruler.place(from);
  }
  // A member comes a while after the client that needed it: each record's growth, spread over what follows it.
  double level = 0, grew = 0, grew_while_settled = 0;
  const Seconds delay = kDelay * (stretch.end - stretch.begin);
  for (const ClientRecord& record : population.records) {
    const double more = record.clients - level;
    level = record.clients;
    if (record.at > stretch.warm_up && record.at <= last) {
      grew += more;
      if (is_settled(record.at)) grew_while_settled += more;
    }
    for (int i = 0; i < kParts; ++i) {
      const Seconds from = std::max(0.0, parts.from + i * parts.width - record.at);
      const Seconds to = std::max(0.0, parts.from + (i + 1) * parts.width - record.at);
      parts.records[static_cast<std::size_t>(i)] += more * (std::exp(-from / delay) - std::exp(-to / delay));
    }
  }
  out.stood_still = !settled.empty() && grew_while_settled <= kStill * grew;
  out.log_likelihood = with_records_over_with_work(parts);
  out.follows = out.log_likelihood > thresholds.records_over_requests;
  return out;
}

}  // namespace camprobe::analysis
