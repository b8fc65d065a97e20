// exporters/speedscope.cc: see speedscope.h.
#include "exporters/speedscope.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "exporters/safe_text.h"
#include "exporters/timeline.h"
#include "exporters/whole_numbers.h"

namespace camprobe::exporters {

namespace {

std::string frames_json(const std::vector<Frame>& frames) {
  std::string out;
  for (const Frame& frame : frames) {
    out += (out.empty() ? "\n{\"name\":" : ",\n{\"name\":") + json_text(frame.function);
    if (!frame.file.empty()) out += ",\"file\":" + json_text(frame.file);
    if (frame.line > 0) out += fmt::format(",\"line\":{}", frame.line);
    out += '}';
  }
  return out;
}

std::string_view unit_in_speedscope(What what) {
  const Unit unit = unit_of(what);
  return unit == Unit::kNanoseconds || unit == Unit::kBytes ? name_of(unit) : "none";
}

std::string file(const std::string& name, const std::string& frames, const std::string& profiles) {
  return fmt::format(
      "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"camprobe\",\"name\":{},"
      "\"activeProfileIndex\":0,\"shared\":{{\"frames\":[{}\n]}},\"profiles\":[\n{}\n]}}\n",
      json_text(name), frames, profiles);
}

std::string sampled(const std::string& name, What what, const std::vector<std::pair<std::string, std::int64_t>>& rows) {
  std::string samples, weights;
  std::int64_t total = 0;
  for (const auto& [stack, weight] : rows) {
    samples += (samples.empty() ? "" : ",") + stack;
    weights += fmt::format("{}{}", weights.empty() ? "" : ",", weight);
    total += weight;
  }
  return fmt::format(
      "{{\"type\":\"sampled\",\"name\":{},\"unit\":\"{}\",\"startValue\":0,\"endValue\":{},\n\"samples\":[{}],"
      "\n\"weights\":[{}]}}",
      json_text(name), unit_in_speedscope(what), total, samples, weights);
}

std::string sampled_profiles(run::Reader& run, const Samples& samples, StackTable& stacks) {
  std::map<run::ProcessId, std::string> processes;
  for (const run::Process& process : run.processes()) processes[process.id] = process_label(process);
  std::map<run::ThreadId, std::string> threads;
  for (const run::Thread& thread : run.threads())
    threads[thread.id] =
        thread.name.empty() ? fmt::format("thread {}", thread.tid) : fmt::format("{} ({})", thread.name, thread.tid);
  std::vector<double> figures;
  for (const Sample& row : samples.rows) figures.push_back(row.values[samples.main]);
  const std::vector<std::int64_t> whole = whole_numbers(figures);

  struct Part {
    std::vector<std::pair<std::string, std::int64_t>> rows;
    std::int64_t total = 0;
  };
  std::map<std::pair<run::ProcessId, run::ThreadId>, Part> parts;
  std::vector<std::pair<std::string, std::int64_t>> all;
  std::vector<std::size_t> in_time(samples.rows.size());
  std::iota(in_time.begin(), in_time.end(), 0);
  std::stable_sort(in_time.begin(), in_time.end(),
                   [&](std::size_t a, std::size_t b) { return samples.rows[a].step < samples.rows[b].step; });
  for (const std::size_t i : in_time) {
    if (whole[i] <= 0) continue;
    const Sample& row = samples.rows[i];
    const std::string stack = fmt::format("[{}]", fmt::join(path_of(stacks, samples, row), ","));
    Part& part = parts[{row.process, row.thread}];
    part.rows.emplace_back(stack, whole[i]);
    part.total += whole[i];
    all.emplace_back(stack, whole[i]);
  }
  std::vector<std::pair<std::string, const Part*>> order;
  for (const auto& [key, part] : parts) {
    std::string name = processes[key.first];
    if (const auto thread = threads.find(key.second); thread != threads.end()) name += ", " + thread->second;
    order.emplace_back(name, &part);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second->total > b.second->total; });
  std::string profiles = sampled(fmt::format("{}: everything", name_of(samples.what)), samples.what, all);
  if (order.size() > 1) {
    for (const auto& [name, part] : order) profiles += ",\n" + sampled(name, samples.what, part->rows);
  }
  return profiles;
}

// Spans of one track nest, so what is open when one begins is closed in the reverse order.
std::string evented_profiles(run::Reader& run, const Filter& filter, StackTable& stacks,
                             std::vector<std::string>& notes) {
  Timeline timeline;
  for (run::Process& process : run.processes()) timeline.processes.emplace(process.id, std::move(process));
  for (run::Thread& thread : run.threads()) timeline.threads.emplace(thread.id, std::move(thread));
  timeline.spans = span_tracks(run, filter);
  if (timeline.spans.left_out > 0) notes.push_back(note_of_spans(timeline.spans.spans.size(), timeline.spans.left_out));
  struct Open {
    FrameIndex frame;
    std::int64_t ends_ns;
  };
  std::vector<std::vector<Open>> open(timeline.spans.tracks.size());
  std::vector<std::string> events(open.size());
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges(open.size());
  const auto put = [&](std::uint32_t track, char type, FrameIndex frame, std::int64_t at_ns) {
    events[track] += fmt::format("{}{{\"type\":\"{}\",\"frame\":{},\"at\":{}}}", events[track].empty() ? "" : ",", type,
                                 frame, at_ns);
    ranges[track].second = std::max(ranges[track].second, at_ns);
  };
  const auto close_before = [&](std::uint32_t track, std::int64_t at_ns) {
    while (!open[track].empty() && open[track].back().ends_ns <= at_ns) {
      put(track, 'C', open[track].back().frame, open[track].back().ends_ns);
      open[track].pop_back();
    }
  };
  for (const TrackedSpan& at : timeline.spans.spans) {
    close_before(at.track, at.span.began_ns);
    const std::string& name = run.name(at.span.name);
    const FrameIndex frame = stacks.made_up(name.empty() ? "[unnamed span]" : name);
    if (events[at.track].empty()) ranges[at.track] = {at.span.began_ns, at.span.began_ns};
    put(at.track, 'O', frame, at.span.began_ns);
    open[at.track].push_back({frame, at.ended_ns});
  }
  std::string profiles;
  for (std::uint32_t track = 0; track < open.size(); ++track) {
    close_before(track, std::numeric_limits<std::int64_t>::max());
    const SpanTrack& at = timeline.spans.tracks[track];
    const auto process = timeline.processes.find(at.process);
    const std::string name =
        (process != timeline.processes.end() ? process_label(process->second) + ", " : "") + track_name(timeline, at);
    profiles += fmt::format(
        "{}{{\"type\":\"evented\",\"name\":{},\"unit\":\"nanoseconds\",\"startValue\":{},\"endValue\":{},\n\"events\":["
        "{}]}}",
        profiles.empty() ? "" : ",\n", json_text(name), ranges[track].first, ranges[track].second, events[track]);
  }
  return profiles;
}

}  // namespace

std::string to_speedscope(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes) {
  const TimeRange range = filter.outer();
  // Steps fine enough for an eye, and not so many that 72 hours become a file no browser holds.
  const std::int64_t step_s = 1 + (bounded_ns(range.to_ns) - bounded_ns(range.from_ns)) / 1'000'000'000 / 3600;
  const Samples samples = read_samples(run, what, filter, {.threads = true, .step_s = step_s});
  notes.insert(notes.end(), samples.notes.begin(), samples.notes.end());
  StackTable stacks(run);
  const std::string profiles =
      what == What::kSpans ? evented_profiles(run, filter, stacks, notes) : sampled_profiles(run, samples, stacks);
  if (run.error()) throw SliceError(run.error()->sentence);
  return file(fmt::format("{} {}", name_of(what), filter.words), frames_json(stacks.frames()), profiles);
}

}  // namespace camprobe::exporters
