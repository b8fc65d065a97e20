// exporters/formats.cc: see formats.h.
#include "exporters/formats.h"

#include <fmt/format.h>

#include <algorithm>

#include "exporters/callgrind.h"
#include "exporters/chrome_trace.h"
#include "exporters/difference.h"
#include "exporters/flamegraph_svg.h"
#include "exporters/folded.h"
#include "exporters/gperftools.h"
#include "exporters/otlp.h"
#include "exporters/perfetto.h"
#include "exporters/pprof.h"
#include "exporters/safe_text.h"
#include "exporters/series_csv.h"
#include "exporters/series_jsonl.h"
#include "exporters/slice.h"
#include "exporters/speedscope.h"
#include "exporters/timeline.h"

namespace camprobe::exporters {

namespace {

struct Job {
  run::Reader& run;
  const ExportRequest& request;
  What what;
  Filter filter;
  Output& out;
  std::vector<std::string> notes{};
};
using Write = void (*)(Job&);

Slice slice_of(Job& job, const SliceDetail& detail = {}) {
  Slice slice = read_slice(job.run, job.what, job.filter, detail);
  job.notes = slice.notes;
  return slice;
}

double requests_in(run::Reader& run, const Filter& filter) {
  double requests = 0;
  for (const run::LoadBucket& bucket : run.load_buckets("")) {
    if (filter.has_time(ns_of_second(bucket.second))) requests += static_cast<double>(bucket.requests);
  }
  return requests;
}

// From the same part of the base run, brought to as many requests where both know theirs, else to the same total.
Slice difference_from_base(Job& job) {
  run::Reader& base = *job.request.base;
  const Filter filter = filter_of(base, job.request.filter);
  const Slice before = read_slice(base, job.what, filter);
  const Slice after = slice_of(job);
  const double requests_before = requests_in(base, filter), requests_after = requests_in(job.run, job.filter);
  const bool both_known = requests_before > 0 && requests_after > 0;
  job.notes.push_back(both_known ? fmt::format("weights of {} are brought to the same number of requests", base.path())
                                 : fmt::format("weights of {} are brought to the same total", base.path()));
  return difference_of({before}, {after}, both_known ? requests_after / requests_before : 0);
}

void write_folded(Job& job) {
  job.out.write(job.request.base != nullptr ? to_folded_difference(difference_from_base(job))
                                            : to_folded(slice_of(job)));
}

void write_svg(Job& job) {
  SvgOptions options;
  if (job.request.colour == "language") options.colour = SvgColour::kLanguage;
  job.out.write(to_flamegraph_svg(job.request.base != nullptr ? difference_from_base(job) : slice_of(job), options));
}

void write_callgrind(Job& job) {
  const run::Meta meta = job.run.meta();
  job.out.write(to_callgrind(slice_of(job, {.all_columns = true, .lines = Lines::kApart}),
                             fmt::format("{}", fmt::join(meta.command, " "))));
}

void write_gperftools(Job& job) {
  if (!gperftools_holds(job.what))
    throw SliceError(
        fmt::format("--what {}: gperftools has CPU and heap profiles only; choose cpu, wait, alloc, live, "
                    "growth or retained, or another format",
                    name_of(job.what)));
  const run::Meta meta = job.run.meta();
  job.out.write(
      to_gperftools(slice_of(job, {.all_columns = true}), meta.command.empty() ? "program" : meta.command.front()));
}

template <class WriteTimeline>
void write_timeline(Job& job, WriteTimeline write) {
  const Timeline timeline = timeline_of(job.run, job.filter);
  job.notes = notes_of(timeline);
  write(job.run, job.filter, timeline, job.out);
}

struct Row {
  Format format;
  Write write;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {{"folded", Content::kSlice, false, "stacks, one a line: flamegraph.pl, inferno, speedscope"}, write_folded},
      {{"svg", Content::kSlice, false, "a flame graph to open in a browser"}, write_svg},
      {{"pprof", Content::kSlice, true, "gzipped profile.proto: go tool pprof, Pyroscope, Parca"},
       [](Job& job) { job.out.write(to_pprof(job.run, job.what, job.filter, job.notes)); }},
      {{"speedscope", Content::kSlice, false, "speedscope.app, by thread and in the order of time"},
       [](Job& job) { to_speedscope(job.run, job.what, job.filter, job.notes, job.out); }},
      {{"gperftools", Content::kSlice, true, "CPU or heap profile with its names: google-pprof"}, write_gperftools},
      {{"callgrind", Content::kSlice, false, "KCachegrind, QCachegrind, callgrind_annotate"}, write_callgrind},
      {{"chrome", Content::kTimeline, false, "Trace Event JSON: spans, counters, load windows, marks"},
       [](Job& job) { write_timeline(job, to_chrome_trace); }},
      {{"perfetto", Content::kTimeline, true, "the same for ui.perfetto.dev, small enough for days"},
       [](Job& job) { write_timeline(job, to_perfetto); }},
      {{"otlp", Content::kSpans, false, "spans as OTLP JSON: OpenTelemetry, Jaeger, Tempo"},
       [](Job& job) { to_otlp_json(job.run, job.filter, job.notes, job.out); }},
      {{"csv", Content::kSeries, false, "every series and event in one table"},
       [](Job& job) { series_csv(job.run, job.filter, job.out); }},
      {{"jsonl", Content::kSeries, false, "the same as JSON lines"},
       [](Job& job) { series_jsonl(job.run, job.filter, job.out); }},
  };
  return all;
}

// What the user asked to see, or what the format is about.
What what_of(const ExportRequest& request, const Format& format) {
  const std::string asked = shortened(printable_utf8(request.what), 60);
  if (format.content == Content::kSlice) {
    const auto what = what_named(request.what.empty() ? "cpu" : request.what);
    if (!what) throw SliceError(fmt::format("--what {}: no such slice; choose one of {}", asked, all_names_of_what()));
    return *what;
  }
  const std::string_view holds = format.content == Content::kSeries ? "series" : "spans";
  if (!request.what.empty() && request.what != holds)
    throw SliceError(
        fmt::format("--what {}: {} holds {}; leave --what out, or choose folded, svg, pprof, speedscope, "
                    "gperftools or callgrind",
                    asked, format.name,
                    format.content == Content::kSeries     ? "all series and events and no stacks"
                    : format.content == Content::kTimeline ? "spans, counters and marks and no stacks"
                                                           : "spans and no stacks"));
  return What::kSpans;
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = [] {
    std::vector<Format> list;
    for (const Row& row : rows()) list.push_back(row.format);
    return list;
  }();
  return all;
}

std::string all_names_of_formats() {
  std::vector<std::string_view> names;
  for (const Format& format : formats()) names.push_back(format.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<std::string> export_run(run::Reader& run, const ExportRequest& request, Output& out) {
  const auto row = std::find_if(rows().begin(), rows().end(),
                                [&](const Row& candidate) { return candidate.format.name == request.format; });
  if (row == rows().end())
    throw SliceError(fmt::format("--format {}: no such format; choose one of {}",
                                 shortened(printable_utf8(request.format), 60), all_names_of_formats()));
  const bool is_flame = request.format == "svg" || request.format == "folded";
  if (request.base != nullptr && !is_flame)
    throw SliceError(fmt::format("--base: {} has no place for what changed; choose svg or folded", request.format));
  if (!request.colour.empty() && request.format != "svg")
    throw SliceError(fmt::format("--colour: {} has no colours; choose svg", request.format));
  if (!request.colour.empty() && request.colour != "module" && request.colour != "language")
    throw SliceError(
        fmt::format("--colour {}: choose module or language", shortened(printable_utf8(request.colour), 60)));
  Job job{run, request, what_of(request, row->format), filter_of(run, request.filter), out};
  row->write(job);
  if (run.error()) throw SliceError(run.error()->sentence);  // read while it was written
  out.finish();
  return std::move(job.notes);
}

}  // namespace camprobe::exporters
