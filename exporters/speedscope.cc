// exporters/speedscope.cc: see speedscope.h.
#include "exporters/speedscope.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
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

void write_file(Output& out, const std::string& name, const std::string& frames,
                const std::function<void()>& write_profiles) {
  out.write(fmt::format(
      "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"camprobe\",\"name\":{},"
      "\"activeProfileIndex\":0,\"shared\":{{\"frames\":[{}\n]}},\"profiles\":[\n",
      json_text(name), frames));
  write_profiles();
  out.write("\n]}\n");
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

// One profile a track. Spans of one track nest, so what is open when one begins is closed in the reverse order.
class EventedProfiles {
 public:
  EventedProfiles(run::Reader& run, const Filter& filter, StackTable& stacks) : spans_(span_tracks(run, filter)) {
    for (run::Process& process : run.processes()) processes_.emplace(process.id, std::move(process));
    for (run::Thread& thread : run.threads()) threads_.emplace(thread.id, std::move(thread));
    by_track_.resize(spans_.spans.size());
    std::iota(by_track_.begin(), by_track_.end(), 0u);
    std::stable_sort(by_track_.begin(), by_track_.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return spans_.track_of[a] < spans_.track_of[b]; });
    for (const ChosenSpan& span : spans_.spans) {
      if (frames_.count(span.name) > 0) continue;
      const std::string& name = run.name(span.name);
      frames_[span.name] = stacks.made_up(name.empty() ? "[unnamed span]" : name);
    }
  }

  std::string note() const { return note_of_spans(spans_.spans.size(), spans_.left_out); }

  void write(Output& out) const {
    for (std::size_t first = 0; first < by_track_.size();) {
      std::size_t end = first;
      const std::uint32_t track = spans_.track_of[by_track_[first]];
      while (end < by_track_.size() && spans_.track_of[by_track_[end]] == track) ++end;
      write_track(track, first, end, out);
      first = end;
    }
  }

 private:
  struct Open {
    FrameIndex frame;
    std::int64_t ends_ns;
  };

  void write_track(std::uint32_t track, std::size_t first, std::size_t end, Output& out) const {
    std::int64_t ends_ns = 0;
    for (std::size_t i = first; i < end; ++i) ends_ns = std::max(ends_ns, spans_.spans[by_track_[i]].ended_ns);
    const SpanTrack& at = spans_.tracks[track];
    const auto process = processes_.find(at.process);
    const std::string name =
        (process != processes_.end() ? process_label(process->second) + ", " : "") + track_name(threads_, at);
    out.write(
        fmt::format("{}{{\"type\":\"evented\",\"name\":{},\"unit\":\"nanoseconds\",\"startValue\":{},\"endValue\":{},"
                    "\n\"events\":[",
                    first == 0 ? "" : ",\n", json_text(name), spans_.spans[by_track_[first]].began_ns, ends_ns));
    bool is_first = true;
    const auto put = [&](char type, FrameIndex frame, std::int64_t at_ns) {
      out.write(fmt::format("{}{{\"type\":\"{}\",\"frame\":{},\"at\":{}}}", is_first ? "" : ",", type, frame, at_ns));
      is_first = false;
    };
    std::vector<Open> open;
    const auto close_before = [&](std::int64_t at_ns) {
      for (; !open.empty() && open.back().ends_ns <= at_ns; open.pop_back())
        put('C', open.back().frame, open.back().ends_ns);
    };
    for (std::size_t i = first; i < end; ++i) {
      const ChosenSpan& span = spans_.spans[by_track_[i]];
      close_before(span.began_ns);
      put('O', frames_.at(span.name), span.began_ns);
      open.push_back({frames_.at(span.name), span.ended_ns});
    }
    close_before(std::numeric_limits<std::int64_t>::max());
    out.write("]}");
  }

  const SpanTracks spans_;
  std::map<run::ProcessId, run::Process> processes_;
  std::map<run::ThreadId, run::Thread> threads_;
  std::vector<std::uint32_t> by_track_;
  std::map<run::NameId, FrameIndex> frames_;
};

}  // namespace

void to_speedscope(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes, Output& out) {
  const TimeRange range = filter.outer();
  // Steps fine enough for an eye, and not so many that 72 hours become a file no browser holds.
  const std::int64_t step_s = 1 + (bounded_ns(range.to_ns) - bounded_ns(range.from_ns)) / 1'000'000'000 / 3600;
  const std::string name = fmt::format("{} {}", name_of(what), filter.words);
  StackTable stacks(run);
  const Samples samples = read_samples(run, what, filter, {.threads = true, .step_s = step_s});
  notes.insert(notes.end(), samples.notes.begin(), samples.notes.end());
  if (what == What::kSpans) {
    const EventedProfiles profiles(run, filter, stacks);
    if (run.error()) throw SliceError(run.error()->sentence);
    if (std::string note = profiles.note(); !note.empty()) notes.push_back(std::move(note));
    write_file(out, name, frames_json(stacks.frames()), [&] { profiles.write(out); });
    return;
  }
  const std::string profiles = sampled_profiles(run, samples, stacks);
  if (run.error()) throw SliceError(run.error()->sentence);
  write_file(out, name, frames_json(stacks.frames()), [&] { out.write(profiles); });
}

}  // namespace camprobe::exporters
