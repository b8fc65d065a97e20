// exporters/otlp.cc: see otlp.h.
#include "exporters/otlp.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "exporters/chosen_spans.h"
#include "exporters/safe_text.h"
#include "exporters/span_attributes.h"
#include "exporters/trace_ids.h"

namespace camprobe::exporters {

namespace {

class Exporter {
 public:
  Exporter(run::Reader& run, const std::vector<ChosenSpan>& spans, Output& out)
      : run_(run), meta_(run.meta()), spans_(spans), ids_(trace_ids(run, spans)), out_(out) {
    for (const run::Thread& thread : run.threads()) threads_.emplace(thread.id, thread.tid);
  }

  // A process is a resource, with all its spans.
  void write() {
    std::set<run::ProcessId> with_spans;
    for (const ChosenSpan& span : spans_) with_spans.insert(span.process);
    std::map<run::ProcessId, run::Process> processes;
    for (run::Process& process : run_.processes()) processes.emplace(process.id, std::move(process));
    out_.write("{\"resourceSpans\":[");
    bool is_first = true;
    for (const run::ProcessId process : with_spans) {
      out_.write(
          fmt::format("{}\n{{\"resource\":{{\"attributes\":[{}]}},\"scopeSpans\":[{{\"scope\":{{\"name\":\"camprobe\","
                      "\"version\":{}}},\"spans\":[\n",
                      is_first ? "" : ",", resource_json(processes[process]), json_text(meta_.camprobe_version)));
      is_first = false;
      bool is_first_span = true;
      for (std::size_t i = 0; i < spans_.size(); ++i) {
        if (spans_[i].process != process) continue;
        if (!is_first_span) out_.write(",\n");
        out_.write(span_json(i));
        is_first_span = false;
      }
      out_.write("\n]}]}");
    }
    out_.write("\n]}\n");
  }

 private:
  std::string span_json(std::size_t at) {
    const ChosenSpan& span = spans_[at];
    const TraceIds& ids = ids_[at];
    const std::string& name = run_.name(span.name);
    constexpr int kInternal = 1, kServer = 2;
    std::string out = fmt::format(R"({{"traceId":"{}","spanId":"{}",)", text_of(ids.trace), text_of_span_id(ids.span));
    if (ids.parent != 0) out += fmt::format(R"("parentSpanId":"{}",)", text_of_span_id(ids.parent));
    out += fmt::format(R"("name":{},"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[)",
                       json_text(name.empty() ? "[unnamed span]" : name), ids.is_entry ? kServer : kInternal,
                       bounded_ns(meta_.started_realtime_ns) + span.began_ns,
                       bounded_ns(meta_.started_realtime_ns) + span.ended_ns);
    std::vector<SpanAttribute> attributes = attributes_of(run_.attributes_of(span.process, span.span));
    if (const auto tid = tid_of(span.thread)) attributes.push_back({"thread.id", static_cast<double>(*tid)});
    bool is_first = true;
    for (const SpanAttribute& attribute : attributes) {
      out += fmt::format(R"({}{{"key":{},"value":{{{}}}}})", is_first ? "" : ",", json_text(attribute.key),
                         value_json(attribute));
      is_first = false;
    }
    return out + "],\"status\":{}}";
  }

  std::optional<std::int64_t> tid_of(run::ThreadId id) const {
    const auto found = threads_.find(id);
    return found != threads_.end() ? std::optional(found->second) : std::nullopt;
  }

  static std::string value_json(const SpanAttribute& attribute) {
    if (const auto* text = std::get_if<std::string>(&attribute.value)) return "\"stringValue\":" + json_text(*text);
    if (const auto* flag = std::get_if<bool>(&attribute.value)) return fmt::format("\"boolValue\":{}", *flag);
    const double number = std::get<double>(attribute.value);
    constexpr double kExact = 9007199254740992.0;  // whole numbers up to here are exact in a double
    if (number == std::floor(number) && std::abs(number) <= kExact)
      return fmt::format("\"intValue\":\"{}\"", static_cast<std::int64_t>(number));
    return fmt::format("\"doubleValue\":{}", std::isfinite(number) ? fmt::format("{}", number) : "\"NaN\"");
  }

  std::string resource_json(const run::Process& process) const {
    const auto text = [](const char* key, const std::string& value) {
      return fmt::format(R"({{"key":"{}","value":{{"stringValue":{}}}}})", key, json_text(value));
    };
    const std::string name = process.executable.substr(process.executable.rfind('/') + 1);
    return text("service.name", name.empty() ? "process" : name) + "," +
           text("service.instance.id", fmt::format("{}/{}/{}", meta_.run_id, process.pid, process.image)) + "," +
           text("process.executable.path", process.executable) + "," + text("host.name", meta_.host) +
           fmt::format(R"(,{{"key":"process.pid","value":{{"intValue":"{}"}}}})", process.pid);
  }

  run::Reader& run_;
  const run::Meta meta_;
  const std::vector<ChosenSpan>& spans_;
  const std::vector<TraceIds> ids_;
  Output& out_;
  std::map<run::ThreadId, std::int64_t> threads_;
};

}  // namespace

void to_otlp_json(run::Reader& run, const Filter& filter, std::vector<std::string>& notes, Output& out) {
  ChosenSpans chosen = chosen_spans(run, filter);
  std::vector<ChosenSpan>& spans = chosen.spans;
  std::erase_if(spans, [](const ChosenSpan& span) { return !span.has_ended; });
  if (chosen.left_out > 0) notes.push_back(note_of_spans(spans.size(), chosen.left_out));
  if (run.error()) throw SliceError(run.error()->sentence);
  if (spans.empty())
    throw SliceError(
        fmt::format("{}: nothing to export for spans {}: the program ended no span there; camprobe.h "
                    "shows how to mark one",
                    run.path(), filter.words));
  Exporter(run, spans, out).write();
}

}  // namespace camprobe::exporters
