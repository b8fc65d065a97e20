// suite/engine_counts.cc: the load from its first check to its last, and what tool, server and suite counted.
#include <fmt/format.h>

#include <filesystem>
#include <tuple>

#include "collector/load/adapter.h"
#include "run/units.h"
#include "suite/measurement.h"
#include "suite/timelines.h"

namespace camprobe::suite {

namespace fs = std::filesystem;

void Measurement::run_checks(const char* when) {
  for (const Check& check : filled_.checks) {
    const auto path = variables_.fill(check.request.path), body = variables_.fill(check.request.body);
    const Answer answer = ask_target(check.request.method, filled_.load.base + (path ? *path : check.request.path),
                                     body ? *body : check.request.body, check.request.headers);
    std::string wrong;
    if (answer.status == 0)
      wrong = "no answer: " + answer.why;
    else if (answer.status != check.status)
      wrong = fmt::format("status {} instead of {}", answer.status, check.status);
    out_.checks.emplace_back(check.name + ", " + when, wrong);
  }
}

Json Measurement::stats_of(const std::string& url) {
  // A provider that was made to go away is asked again until it is back.
  for (double waited = 0;; waited += 0.2) {
    const Answer answer = ask_target("GET", url);
    if (answer.status == 200) return Json::parse(answer.body, nullptr, false);
    if (answer.status != 0 || waited >= 4 || !target_lives()) return Json(Json::value_t::discarded);
    nap(0.2);
  }
}

std::vector<Json> Measurement::figure_sources() {
  std::vector<Json> sources;
  for (const Figure& figure : filled_.figures) {
    Json list = Json::array();
    for (const std::string& url : figure.from) {
      Json stats = stats_of(url);
      list.push_back(stats.is_discarded() ? Json(nullptr) : std::move(stats));
    }
    sources.push_back(std::move(list));
  }
  return sources;
}

void Measurement::collect_figures(const std::vector<Json>& before, const std::vector<Json>& after) {
  const auto sum = [](const Json& list, const std::string& pointer) -> std::optional<double> {
    double total = 0;
    for (const Json& stats : list) {
      const Json::json_pointer at(pointer);
      if (!stats.contains(at) || !stats[at].is_number()) return std::nullopt;
      total += stats[at].get<double>();
    }
    return total;
  };
  for (std::size_t i = 0; i < filled_.figures.size() && i < before.size() && i < after.size(); ++i) {
    const Figure& figure = filled_.figures[i];
    const auto rise = [&](const std::string& pointer) -> std::optional<double> {
      const auto was = sum(before[i], pointer), is = sum(after[i], pointer);
      return was && is ? std::optional(*is - *was) : std::nullopt;
    };
    const auto value = rise(figure.value);
    const auto per = figure.per.empty() ? std::optional(1.0) : rise(figure.per);
    if (value && per && *per != 0)
      out_.figures[figure.name] = figure.scale * *value / *per;
    else
      out_.notes.push_back(fmt::format("figure {} is not known: {} {}", figure.name, figure.value,
                                       value ? "was divided by nothing" : "is no number there"));
  }
}

void Measurement::drive() {
  run_checks("before the load");
  std::vector<Json> figures_before = figure_sources();
  Json before = filled_.stats.empty() ? Json(Json::value_t::discarded) : stats_of(filled_.stats);
  out_.counted.own_in_between = 0;
  if (before.is_object() && !filled_.counted.empty()) {
    const Json::json_pointer at(filled_.counted);
    if (before.contains(at) && before[at].is_number()) server_before_ = before[at].get<std::int64_t>();
  }
  const std::int64_t began_ns = wall_ns();
  journal_.put({{"attempt", load_done_s_}, {"at_ns", began_ns}});
  next_checkpoint_ = load_done_s_ + settings_.checkpoint_s;
  if (out_.from_ns == 0) out_.from_ns = began_ns;
  for (const Step& step : translation_.steps) {
    if (!run_step(step)) break;
  }
  out_.to_ns = wall_ns();
  tell("the load is over");
  nap(0.3);  // what was under way ends
  Json after(Json::value_t::discarded);
  if (!filled_.stats.empty() && target_lives()) after = stats_of(filled_.stats);
  // Of the suite's own requests only those between the two readings are in their difference; the second one is.
  for (const auto& [stats, into, name] : {std::tuple{&before, &out_.stats_before, "stats-before.json"},
                                          {&after, &out_.stats_after, "stats-after.json"}}) {
    if (stats->is_discarded()) continue;
    *into = stats->dump();
    write_all(in_run(name), stats->dump(1));  // of the raw outputs: what the server itself said
  }
  if (!before.is_discarded() && !after.is_discarded() && !filled_.counted.empty()) {
    const Json::json_pointer at(filled_.counted);
    if (before.contains(at) && after.contains(at) && after[at].is_number())
      out_.counted.server = after[at].get<std::int64_t>() - before[at].get<std::int64_t>();
    else
      out_.notes.push_back(
          fmt::format("{} has no {}: what the server counted is not known", filled_.stats, filled_.counted));
  }
  const std::int64_t in_between = out_.counted.own_in_between;
  if (target_lives()) {
    collect_figures(figures_before, figure_sources());
    if (out_.state != State::kInterrupted) run_checks("after the load");
  }
  out_.counted.own_in_between = in_between;
  read_results();
}

void Measurement::read_results() {
  Json files = Json::array(), phases = Json::array();
  std::uint64_t began = 0, done = 0;
  const std::size_t counted_from = earlier_.results.size();
  bool all_counted = results_.size() > counted_from;
  std::uint64_t rows = 0, rows_before = 0;
  for (std::size_t i = 0; i < results_.size(); ++i) {
    const auto& [file, printed, began_at_ns, phase] = results_[i];
    const bool is_earlier = i < counted_from;
    std::error_code none;
    if (!fs::exists(file, none) || fs::file_size(file, none) == 0) {
      // A process of h2load's that was answered nothing has no rows, and says how many requests it began.
      if (const auto counts = suite_.load.tool == "h2load" ? begun_of_h2load(read_all(printed)) : std::nullopt) {
        began += is_earlier ? 0 : counts->began;
        done += is_earlier ? 0 : counts->done;
        continue;
      }
      out_.notes.push_back(fmt::format("{} left no results in {}", suite_.load.tool, file));
      all_counted = all_counted && is_earlier;
      continue;
    }
    auto timeline = load::read_load_file(file);
    if (!timeline) {
      out_.notes.push_back(timeline.error());
      if (is_earlier) continue;
      fail(State::kLoadFailed, timeline.error());
      all_counted = false;
      continue;
    }
    timeline->place(at_wall(began_at_ns));
    if (i >= earlier_.results_in_recording) {
      const int in_recording = phase < 0 ? -1 : phase - static_cast<int>(phases_in_recording_);
      files.push_back({{"file", file}, {"began_ns", began_at_ns}, {"phase", in_recording}});
    }
    (is_earlier ? rows_before : rows) += timeline->requests.value_or(0);
    if (is_earlier) {
      parts_.push_back({std::move(*timeline), phase});
      continue;
    }
    const auto counts = suite_.load.tool == "h2load" ? begun_of_h2load(read_all(printed)) : std::nullopt;
    if (counts) {
      began += counts->began;
      done += counts->done;
    } else if (timeline->requests) {
      began += *timeline->requests;
      done += *timeline->requests;
    } else {
      all_counted = false;
    }
    parts_.push_back({std::move(*timeline), phase});
  }
  if (all_counted) {
    out_.counted.tool_began = began;
    out_.counted.tool_done = done;
  }
  if (!earlier_.attempts.empty()) {
    std::int64_t server = 0;
    for (const Attempt& attempt : earlier_.attempts) server += attempt.server;
    out_.counted.tool_rows = static_cast<std::int64_t>(rows);
    out_.before_resumed = fmt::format(
        "the run was broken off {} after {} of load and gone on with: the counts are of the time since, of before "
        "there "
        "is what was written down until then, {} requests in the load tool's results and {} by the server's counter",
        earlier_.attempts.size() == 1 ? "once" : fmt::format("{} times, last", earlier_.attempts.size()),
        run::in_seconds(earlier_.done_s), rows_before, server);
  }
  std::vector<load::LoadPhase> spans;
  for (std::size_t i = 0; i < out_.phases.size(); ++i) {
    const PhaseSpan& phase = out_.phases[i];
    spans.push_back({phase.name, phase.kind, at_wall(phase.from_ns), at_wall(phase.to_ns)});
    if (i < phases_in_recording_) continue;
    phases.push_back({{"name", phase.name}, {"kind", phase.kind}, {"from_ns", phase.from_ns}, {"to_ns", phase.to_ns}});
  }
  write_all(in_run("load-parts.json"), Json{{"results", files}, {"phases", phases}}.dump(1));
  out_.by_phase = by_phase(parts_, spans);
  std::vector<load::LoadTimeline> all;
  for (Part& part : parts_) all.push_back(std::move(part.timeline));
  out_.timeline = joined(std::move(all), std::move(spans));
}

}  // namespace camprobe::suite
