// tests/ground_truth/table.cc
//
// Prints the tables of docs/ground-truth.md. scripts/ground-truth builds and runs it.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "collector/analysis/degradation.h"
#include "collector/analysis/early.h"
#include "collector/analysis/leaks.h"
#include "tests/ground_truth/baselines.h"
#include "tests/ground_truth/judged.h"
#include "tests/ground_truth/restarts.h"
#include "tests/ground_truth/services.h"

namespace camprobe::ground_truth {
namespace {

constexpr const char* kUsage = R"(Prints how often the judgement is right on streams whose truth is known.

  ground-truth [--runs N] [--seed N] [--survivors N,N,...] [--shapes PREFIX] [--tuning] [--set THRESHOLD=VALUE]...
               [--hours H --interval BYTES] [--only leaks|delay|looks|baselines|services|rising|restarts|ablation|reasons]
               [--rising]

--rising: the shapes under a load that rises, instead of the others (--only rising prints their table).
Without --tuning, shapes draw their parameters anew in every run, and shapes are added that no threshold was chosen on.
)";

struct Options {
  int runs = 200;
  std::uint64_t seed = 700001;
  std::vector<double> survivors = {16, 32, 64, 128};
  std::string shapes, only;
  bool held_out = true;
  bool rising = false;  // the shapes under a load that rises, instead of the others
  double hours = 4, interval = 512 * 1024;
  analysis::Thresholds thresholds;
};

// Wilson (JASA 22, 1927), 95 %.
std::string wilson(int hits, int all) {
  if (all == 0) return "-";
  const double n = all, p = hits / n, z = 1.96;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  char text[64];
  std::snprintf(text, sizeof text, "%.3f [%.3f, %.3f]", p, std::max(0.0, middle - half), std::min(1.0, middle + half));
  return text;
}

Size size_for(const Options& options, double survivors) {
  Size size;
  size.seconds = 3600 * options.hours;
  size.interval = options.interval;
  size.survivors = survivors;
  size.births = 10 * survivors;
  size.held_out = options.held_out;
  return size;
}

std::vector<Shape> shapes_for(const Options& options) {
  std::vector<Shape> list;
  if (options.rising) {
    for (const Shape& shape : shapes_under_rising_load())
      if (shape.name.starts_with(options.shapes)) list.push_back(shape);
    return list;
  }
  for (const bool leaks : {true, false}) {
    for (const auto* all : {&shapes(), &held_out_shapes()}) {
      if (all == &held_out_shapes() && !options.held_out) continue;
      for (const Shape& shape : *all) {
        if (shape.leaks == leaks && shape.name.starts_with(options.shapes)) list.push_back(shape);
      }
    }
  }
  return list;
}

std::string others(const Row& row, const std::string& except) {
  int all = 0;
  for (const auto& [verdict, n] : row.verdicts) all += n;
  std::string text;
  for (const auto& [verdict, n] : row.verdicts) {
    if (verdict == except || all == 0 || 100 * n < all) continue;
    text += (text.empty() ? "" : ", ") + verdict + " " + std::to_string((100 * n + all / 2) / all) + " %";
  }
  return text.empty() ? "-" : text;
}

void print_leaks(const Options& options) {
  std::map<double, std::pair<double, int>> recall;
  std::map<double, std::pair<int, int>> false_runs;
  int rates = 0, covered = 0, onsets = 0, onsets_covered = 0, ends = 0, ends_named = 0;
  bool header_for = false;
  for (const Shape& shape : shapes_for(options)) {
    if (shape.leaks != header_for) {
      header_for = shape.leaks;
      std::printf(shape.leaks ? "\n| leaky shape |" : "\n| clean shape |");
      for (const double s : options.survivors)
        std::printf(shape.leaks ? " found at %.0f |" : " runs with a false leak at %.0f |", s);
      std::printf(shape.leaks ? " interval covers | otherwise called |\n" : " called |\n");
      std::printf("|---|");
      for (std::size_t i = 0; i < options.survivors.size() + (shape.leaks ? 2 : 1); ++i) std::printf("---|");
      std::printf("\n");
    }
    std::printf("| %s |", shape.name.c_str());
    Row sum;
    for (const double survivors : options.survivors) {
      const Row row = play(shape, size_for(options, survivors), options.runs, options.seed, options.thresholds);
      sum.ambiguous = row.ambiguous;
      for (const auto& [verdict, n] : row.verdicts) sum.verdicts[verdict] += n;
      if (!shape.leaks) {
        std::printf(" %.3f |", double(row.with_false_leak) / row.runs);
        false_runs[survivors].first += row.with_false_leak;
        false_runs[survivors].second += row.runs;
        continue;
      }
      const double found = double(row.found) / std::max(row.leaky, 1);
      std::printf(" %.2f |", found);
      sum.rates += row.rates, sum.rates_covered += row.rates_covered;
      if (row.ambiguous) continue;
      recall[survivors].first += found;
      recall[survivors].second += 1;
      rates += row.rates, covered += row.rates_covered;
      onsets += row.onsets, onsets_covered += row.onsets_covered;
      ends += row.ends, ends_named += row.ends_within_tenth;
    }
    if (shape.leaks && sum.rates > 0) std::printf(" %.3f |", double(sum.rates_covered) / sum.rates);
    if (shape.leaks && sum.rates == 0) std::printf(" - |");
    std::printf(" %s%s |\n", others(sum, shape.leaks ? "leaks" : "").c_str(), sum.ambiguous ? " (ambiguous)" : "");
    std::fflush(stdout);
  }
  std::printf("\nMacro-averaged over leaky shapes that are not ambiguous, recall at");
  for (const auto& [survivors, of] : recall) std::printf(" %.0f: %.3f;", survivors, of.first / of.second);
  std::printf("\nclean runs with any false leak at");
  int all_false = 0, all_clean = 0;
  for (const auto& [survivors, of] : false_runs) {
    std::printf(" %.0f: %d of %d;", survivors, of.first, of.second);
    all_false += of.first, all_clean += of.second;
  }
  std::printf("\nall of them: %d of %d, %s\n", all_false, all_clean, wilson(all_false, all_clean).c_str());
  std::printf("95 %% intervals cover the rate in %s, the onset in %s; ends named within a tenth of the run: %s\n",
              wilson(covered, rates).c_str(), wilson(onsets_covered, onsets).c_str(), wilson(ends_named, ends).c_str());
}

bool accuses_the_leaky(const Scenario& scenario, const analysis::Thresholds& thresholds) {
  Row row;
  judge(scenario, thresholds, row);
  return row.leaky > 0 && row.found == row.leaky;
}

// Prefixes on a grid of 5 %: the first from which on every longer one says "leaks" too.
void print_delay(const Options& options) {
  const double survivors = 64;
  std::printf(
      "\nAt %.0f survivors in %.0f h: from the leak's first object to the first instant from which on the verdict "
      "stays.\n\n",
      survivors, options.hours);
  std::printf(
      "| leaky shape | median, min | p90, min | median, survivors | verdicts that changed back "
      "|\n|---|---|---|---|---|\n");
  for (const Shape& shape : shapes_for(options)) {
    if (!shape.leaks) continue;
    std::vector<double> delays;
    int looks = 0, flips = 0, missed = 0;
    bool ambiguous = false;
    double since = 0;
    for (int i = 0; i < std::max(options.runs / 4, 1); ++i) {
      Random random(options.seed + static_cast<std::uint64_t>(i) * 7919);
      const Scenario scenario = shape.make(size_for(options, survivors), random);
      ambiguous = scenario.truth.ambiguous;
      since = scenario.truth.since;
      double stable = -1;
      bool before = false;
      for (int part = 4; part <= 20; ++part) {
        const double at = scenario.stretch.end * part / 20;
        const bool leaks = accuses_the_leaky(until(scenario, at), options.thresholds);
        if (leaks && stable < 0) stable = at;
        if (!leaks) stable = -1;
        flips += before && !leaks;
        looks += 1;
        before = leaks;
      }
      if (stable < 0) {
        ++missed;
      } else {
        delays.push_back((stable - since) / 60);
      }
    }
    if (ambiguous) continue;
    std::sort(delays.begin(), delays.end());
    const auto runs = delays.size() + static_cast<std::size_t>(missed);
    const auto quantile = [&](double q) {
      const auto at = static_cast<std::size_t>(q * static_cast<double>(runs));
      return at < delays.size() ? std::to_string(std::lround(delays[at])) : std::string("never");
    };
    const std::string median = quantile(0.5);
    const double share = median == "never" ? 0 : std::stod(median) * 60 / (3600 * options.hours - since);
    std::printf("| %s | %s | %s | %.0f | %.3f |\n", shape.name.c_str(), median.c_str(), quantile(0.9).c_str(),
                share * survivors, double(flips) / looks);
    std::fflush(stdout);
  }
}

// A run that may be convicted at three quarters and at its end, by the rules of early.h.
void print_looks(const Options& options) {
  const double survivors = 64;
  std::printf("\nLooked at twice, at %.0f survivors.\n\n", survivors);
  std::printf("| shape | at three quarters | by the end | at the end alone |\n|---|---|---|---|\n");
  int clean = 0, false_looking = 0, false_at_end = 0;
  double early = 0;
  int leaky = 0;
  for (const Shape& shape : shapes_for(options)) {
    int three = 0, any = 0, end = 0;
    bool ambiguous = false;
    const int runs = std::max(options.runs / 2, 1);
    for (int i = 0; i < runs; ++i) {
      Random random(options.seed + static_cast<std::uint64_t>(i) * 7919);
      const Scenario scenario = shape.make(size_for(options, survivors), random);
      ambiguous = scenario.truth.ambiguous;
      // Of a leaky scenario: all that leaks was named; of a clean one: anything was accused.
      const auto convicts = [&](const Scenario& seen, const analysis::Thresholds& thresholds) {
        Row row;
        judge(seen, thresholds, row);
        return shape.leaks ? row.leaky > 0 && row.found == row.leaky : row.with_false_leak > 0;
      };
      const auto at = [&](double part, double share) {
        const double seconds = part * scenario.stretch.end;
        return convicts(until(scenario, seconds), analysis::for_look(options.thresholds, {seconds, share}));
      };
      const bool early_one = at(0.75, 0.3), last = convicts(scenario, options.thresholds);
      three += early_one, any += early_one || last, end += last;
    }
    std::printf("| %s%s | %.3f | %.3f | %.3f |\n", shape.name.c_str(), ambiguous ? " (ambiguous)" : "",
                double(three) / runs, double(any) / runs, double(end) / runs);
    std::fflush(stdout);
    if (!shape.leaks) clean += runs, false_looking += any, false_at_end += end;
    if (shape.leaks && !ambiguous) early += double(three) / runs, ++leaky;
  }
  std::printf("\nclean runs with any false leak: looked at twice %s, at the end alone %s\n",
              wilson(false_looking, clean).c_str(), wilson(false_at_end, clean).c_str());
  std::printf("leaky shapes: convicted by three quarters of the run, on average %.2f\n", leaky ? early / leaky : 0);
}

void print_baselines(const Options& options) {
  const double survivors = 64;
  std::printf(
      "\nShare of runs called a leak, at %.0f survivors, from the live total at 240 instants after warm-up.\n\n",
      survivors);
  std::printf("| shape | camprobe |");
  for (const Baseline& baseline : baselines()) std::printf(" %s |", baseline.name.c_str());
  std::printf("\n|---|---|");
  for (std::size_t i = 0; i < baselines().size(); ++i) std::printf("---|");
  std::printf("\n");
  std::map<bool, std::vector<double>> mean;
  std::map<bool, int> shapes_of;
  for (const Shape& shape : shapes_for(options)) {
    std::vector<int> hits(baselines().size() + 1, 0);
    bool ambiguous = false;
    const int runs = std::max(options.runs / 2, 1);
    for (int i = 0; i < runs; ++i) {
      Random random(options.seed + static_cast<std::uint64_t>(i) * 7919);
      const Scenario scenario = shape.make(size_for(options, survivors), random);
      ambiguous = scenario.truth.ambiguous;
      Row row;
      judge(scenario, options.thresholds, row);
      hits[0] += row.found > 0 || row.with_false_leak > 0;
      const std::vector<double> level = level_of(scenario, 240);
      for (std::size_t b = 0; b < baselines().size(); ++b) hits[b + 1] += baselines()[b].accuses(level);
    }
    std::printf("| %s%s |", shape.name.c_str(), ambiguous ? " (ambiguous)" : "");
    auto& sum = mean[shape.leaks];
    sum.resize(hits.size(), 0);
    for (std::size_t b = 0; b < hits.size(); ++b) {
      std::printf(" %.2f |", double(hits[b]) / runs);
      if (!ambiguous) sum[b] += double(hits[b]) / runs;
    }
    if (!ambiguous) ++shapes_of[shape.leaks];
    std::printf("\n");
    std::fflush(stdout);
  }
  for (const bool leaks : {true, false}) {
    if (shapes_of[leaks] == 0) continue;
    std::printf("| **%s, mean** |", leaks ? "leaky" : "clean");
    for (const double value : mean[leaks]) std::printf(" %.2f |", value / shapes_of[leaks]);
    std::printf("\n");
  }
}

void print_services(const Options& options) {
  std::printf(
      "\n| service | called degraded | of it CPU | p50 | p95 | p99 | left open |\n|---|---|---|---|---|---|---|\n");
  int clean = 0, alarms = 0;
  for (const ServiceShape& shape : service_shapes()) {
    if (!shape.name.starts_with(options.shapes)) continue;
    int any = 0, open = 0;
    std::map<analysis::CostKind, int> of;
    for (int i = 0; i < options.runs; ++i) {
      Random random(options.seed + static_cast<std::uint64_t>(i) * 104729);
      const Service service = shape.make(random);
      const analysis::Degradation result =
          analysis::find_degradation(record(service, random), stretch_of(service.seconds), options.thresholds);
      std::map<analysis::CostKind, bool> kinds;
      bool confirmed = false, is_open = !result.same_load;
      for (const auto& change : result.changes) {
        confirmed |= change.confirmed;
        is_open |= change.open || change.verdict == analysis::Verdict::kInconclusive;
        if (change.confirmed) kinds[change.kind] = true;
      }
      any += confirmed;
      open += !confirmed && is_open;
      for (const auto& [kind, yes] : kinds) of[kind] += yes;
    }
    using enum analysis::CostKind;
    const double n = options.runs;
    std::printf("| %s | %s | %.2f | %.2f | %.2f | %.2f | %.2f |\n", shape.name.c_str(),
                wilson(any, options.runs).c_str(), of[kCpu] / n, of[kP50] / n, of[kP95] / n, of[kP99] / n, open / n);
    std::fflush(stdout);
    if (!shape.degrades) clean += options.runs, alarms += any;
  }
  std::printf("\nclean runs with any false alarm: %d of %d, %s\n", alarms, clean, wilson(alarms, clean).c_str());
}

// A server that is restarted somewhere in the run.
void print_restarts(const Options& options) {
  std::printf(
      "\nRestarted once, between a fifth and four fifths of %.0f h; survivors are those of both lives.\n\n"
      "| shape |",
      options.hours);
  for (const double s : options.survivors) std::printf(" accused at %.0f | judged as one run |", s);
  std::printf("\n|---|");
  for (std::size_t i = 0; i < 2 * options.survivors.size(); ++i) std::printf("---|");
  std::printf("\n");
  struct Sum {
    double found = 0, found_as_one = 0;
    int leaky = 0, clean = 0, wrong = 0, wrong_as_one = 0;
  };
  std::map<double, Sum> sums;
  for (const Shape& shape : shapes_for(options)) {
    Random random(options.seed);
    const Scenario one = shape.make(size_for(options, 16), random);
    if (one.populations.empty() || one.truth.ambiguous) continue;
    std::printf("| %s |", shape.name.c_str());
    for (const double survivors : options.survivors) {
      const RestartRow row =
          play_restarted(shape, size_for(options, survivors), options.runs, options.seed, options.thresholds);
      std::printf(" %.3f | %.3f |", double(row.accused) / row.runs, double(row.accused_as_one) / row.runs);
      Sum& sum = sums[survivors];
      if (shape.leaks) {
        sum.found += double(row.accused) / row.runs, sum.found_as_one += double(row.accused_as_one) / row.runs;
        ++sum.leaky;
      } else {
        sum.clean += row.runs, sum.wrong += row.accused, sum.wrong_as_one += row.accused_as_one;
      }
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  for (const auto& [survivors, sum] : sums) {
    std::printf("\nat %.0f: leaks found in %.3f (judged as one run: %.3f); clean runs with any false leak %s (%s)",
                survivors, sum.leaky ? sum.found / sum.leaky : 0, sum.leaky ? sum.found_as_one / sum.leaky : 0,
                wilson(sum.wrong, sum.clean).c_str(), wilson(sum.wrong_as_one, sum.clean).c_str());
  }
  std::printf("\n");
}

// Which rule decides: verdicts with their reasons, of what is listed.
void print_reasons(const Options& options) {
  for (const double survivors : options.survivors) {
    std::printf("\n| shape at %.0f | verdicts and reasons, %% |\n|---|---|\n", survivors);
    for (const Shape& shape : shapes_for(options)) {
      const Row row = play(shape, size_for(options, survivors), options.runs, options.seed, options.thresholds);
      std::printf("| %s |", shape.name.c_str());
      for (const auto& [reason, n] : row.reasons)
        std::printf(" %s %.1f;", reason.c_str(), 100.0 * n / (row.leaky > 0 ? row.leaky : row.runs));
      std::printf(" |\n");
    }
  }
}

// What each veto is worth: without it, and what is lost by it.
void print_ablation(const Options& options) {
  struct Without {
    const char* name;
    std::vector<std::pair<const char*, double>> set;
  };
  const std::vector<Without> all = {
      {"(all in force)", {}},
      {"spread", {{"sub_cohorts_with_survivors", 0}}},
      {"old age", {{"old_age_hazard", 1e9}}},
      {"two kinds of lifetimes", {{"staying_likelihood_ratio", 1e9}}},
      {"saturation",
       {{"saturation_doubt", 1e9}, {"saturation_clear", 1e9}, {"saturation_again", 1e9}, {"front_loaded_share", 0}}},
      {"net growth", {{"min_net_growth", -1e9}, {"last_eighth_growth", -1e9}}},
      {"the longer warm-up", {{"warm_up_repeat", 1}}},
      {"several stacks' false discovery rate", {{"false_discovery_rate", 1}}}};
  std::printf("\n| without | recall at 64 | clean runs with a false leak at 64 |\n|---|---|---|\n");
  for (const Without& without : all) {
    analysis::Thresholds thresholds = options.thresholds;
    for (const auto& [name, value] : without.set) analysis::set_threshold(thresholds, name, value);
    double recall = 0;
    int leaky = 0, clean = 0, accused = 0;
    for (const Shape& shape : shapes_for(options)) {
      const Row row = play(shape, size_for(options, 64), std::max(options.runs / 4, 1), options.seed, thresholds);
      if (!shape.leaks) clean += row.runs, accused += row.with_false_leak;
      if (shape.leaks && !row.ambiguous) recall += double(row.found) / std::max(row.leaky, 1), ++leaky;
    }
    std::printf("| %s | %.3f | %s |\n", without.name, leaky ? recall / leaky : 0, wilson(accused, clean).c_str());
    std::fflush(stdout);
  }
}

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "ground-truth: %s\n%s", why.c_str(), kUsage);
  std::exit(2);
}

double number(const std::string& option, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) refuse(option + ": not a number: " + text);
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help") std::fputs(kUsage, stdout), std::exit(0);
    if (option == "--tuning") {
      options.held_out = false;
      options.seed = 1;
      continue;
    }
    if (option == "--rising") {
      options.rising = true;
      continue;
    }
    if (i + 1 >= argc) refuse(option + ": what?");
    const std::string value = argv[++i];
    if (option == "--runs") {
      options.runs = static_cast<int>(std::max(1.0, number(option, value)));
    } else if (option == "--seed") {
      options.seed = static_cast<std::uint64_t>(number(option, value));
    } else if (option == "--hours") {
      options.hours = number(option, value);
    } else if (option == "--interval") {
      options.interval = number(option, value);
    } else if (option == "--shapes") {
      options.shapes = value;
    } else if (option == "--only") {
      options.only = value;
    } else if (option == "--survivors") {
      options.survivors.clear();
      for (std::size_t at = 0; at <= value.size();) {
        const std::size_t comma = std::min(value.find(',', at), value.size());
        options.survivors.push_back(number(option, value.substr(at, comma - at)));
        at = comma + 1;
      }
    } else if (option == "--set") {
      const std::size_t equals = value.find('=');
      if (equals == std::string::npos || !analysis::set_threshold(options.thresholds, value.substr(0, equals),
                                                                  number(option, value.substr(equals + 1))))
        refuse("--set: no such threshold: " + value);
    } else {
      refuse("no such option: " + option);
    }
  }
  return options;
}

}  // namespace
}  // namespace camprobe::ground_truth

int main(int argc, char** argv) {
  using namespace camprobe::ground_truth;
  const Options options = parse(argc, argv);
  std::printf("Thresholds %d, %d runs a cell, first seed %llu, %s, %.0f h, sampled every %.0f KiB.\n",
              options.thresholds.version, options.runs, static_cast<unsigned long long>(options.seed),
              options.held_out ? "held-out shapes and parameters" : "the shapes thresholds were chosen on",
              options.hours, options.interval / 1024);
  const auto wanted = [&](const char* table) { return options.only.empty() || options.only == table; };
  if (wanted("leaks")) print_leaks(options);
  if (wanted("rising")) {
    Options rising = options;
    rising.rising = true;
    std::printf("\nUnder a load that rises:\n");
    print_leaks(rising);
  }
  if (wanted("delay")) print_delay(options);
  if (wanted("looks")) print_looks(options);
  if (wanted("baselines")) print_baselines(options);
  if (wanted("services")) print_services(options);
  if (wanted("restarts")) print_restarts(options);
  if (wanted("ablation")) print_ablation(options);
  if (options.only == "reasons") print_reasons(options);
}
