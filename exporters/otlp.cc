// exporters/otlp.cc: see otlp.h.
#include "exporters/otlp.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/span_attributes.h"
#include "exporters/span_tracks.h"

namespace camprobe::exporters {

namespace {

struct TraceParent {
  std::string trace;  // 32 hexadecimal digits, not all 0
  std::string span;   // 16
};

bool is_id(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         text.find_first_not_of('0') != std::string_view::npos;
}

// "00-<trace id>-<parent id>-<flags>"; later versions may go on after a dash.
std::optional<TraceParent> trace_parent_of(const std::string& text) {
  constexpr std::size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  if (text.substr(0, 2) == "ff" || (text.substr(0, 2) == "00" && text.size() != kLength)) return std::nullopt;
  TraceParent parent{text.substr(3, 32), text.substr(36, 16)};
  if (!is_id(parent.trace) || !is_id(parent.span)) return std::nullopt;
  return parent;
}

// FNV-1a, then a round of mixing: ids must differ, not be secret.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 14695981039346656037ull ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 33;
  return hash == 0 ? 1 : hash;
}

struct Ids {
  std::string trace, span;
  std::string parent;    // "" for none
  std::string received;  // the remote parent of its trace, so that what is handed on is known again
  bool is_entry = false;
};

class Exporter {
 public:
  Exporter(run::Reader& run, const std::vector<run::Span>& spans) : run_(run), meta_(run.meta()), spans_(spans) {
    for (std::size_t i = 0; i < spans.size(); ++i) places_.emplace(std::pair{spans[i].process, spans[i].span}, i);
    ids_.resize(spans.size());
  }

  std::string write() {
    std::map<run::ProcessId, std::string> by_process;
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      std::string& text = by_process[spans_[i].process];
      text += (text.empty() ? "" : ",\n") + span_json(i);
    }
    std::map<run::ProcessId, run::Process> processes;
    for (run::Process& process : run_.processes()) processes.emplace(process.id, std::move(process));
    std::string out = "{\"resourceSpans\":[";
    bool is_first = true;
    for (const auto& [id, text] : by_process) {
      out += fmt::format(
          "{}\n{{\"resource\":{{\"attributes\":[{}]}},\"scopeSpans\":[{{\"scope\":{{\"name\":\"camprobe\","
          "\"version\":{}}},\"spans\":[\n{}\n]}}]}}",
          is_first ? "" : ",", resource_json(processes[id]), json_text(meta_.camprobe_version), text);
      is_first = false;
    }
    return out + "\n]}\n";
  }

 private:
  std::string own_id(const run::Span& span) const {
    return fmt::format("{:016x}",
                       hash_of(fmt::format("{}/{}/{}", meta_.run_id, run::number(span.process), span.span), 0));
  }
  std::string own_trace(const run::Span& span, std::int64_t root) const {
    const std::string text = fmt::format("{}/{}/{}", meta_.run_id, run::number(span.process), root);
    return fmt::format("{:016x}{:016x}", hash_of(text, 1), hash_of(text, 2));
  }

  // Parents begin before their children, so their ids are there already; not so where parents form a ring.
  const Ids& ids_of(std::size_t at, int depth = 0) {
    Ids& ids = ids_[at];
    if (!ids.span.empty()) return ids;
    const run::Span& span = spans_[at];
    const auto carried = trace_parent_of(text_attribute(span.attributes, "traceparent"));
    const auto parent = places_.find({span.process, span.parent});
    constexpr int kDeepest = 512;
    const bool has_parent = parent != places_.end() && parent->second != at && depth < kDeepest;
    ids.span = own_id(span);  // before the parent is asked, which ends a ring
    if (has_parent) {
      const Ids above = ids_of(parent->second, depth + 1);
      ids.trace = above.trace;
      ids.parent = above.span;
      ids.received = above.received;
      if (carried && carried->span != above.received) {
        if (carried->trace == above.trace || above.received.empty()) {
          ids.span = carried->span;
        }
        if (carried->trace != above.trace) {  // a trace of its own: what it lies in is of another
          ids.trace = carried->trace;
          ids.parent.clear();
        }
      }
      if (ids.trace.empty()) ids.trace = own_trace(span, span.span);
    } else if (carried) {
      ids.trace = carried->trace;
      ids.parent = ids.received = carried->span;
      ids.is_entry = true;
    } else {
      // Spans of one parent that was not kept are of one trace.
      ids.trace = own_trace(span, span.parent != 0 ? span.parent : span.span);
    }
    return ids;
  }

  std::string span_json(std::size_t at) {
    const run::Span& span = spans_[at];
    const Ids& ids = ids_of(at);
    const std::string& name = run_.name(span.name);
    constexpr int kInternal = 1, kServer = 2;
    std::string out = fmt::format(R"({{"traceId":"{}","spanId":"{}",)", ids.trace, ids.span);
    if (!ids.parent.empty()) out += fmt::format(R"("parentSpanId":"{}",)", ids.parent);
    out += fmt::format(
        R"("name":{},"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[)",
        json_text(name.empty() ? "[unnamed span]" : name), ids.is_entry ? kServer : kInternal,
        bounded_ns(meta_.started_realtime_ns) + span.began_ns,
        bounded_ns(meta_.started_realtime_ns) + std::max(span.began_ns, span.ended_ns.value_or(span.began_ns)));
    std::vector<SpanAttribute> attributes = attributes_of(span.attributes);
    if (const auto tid = tid_of(span.begin_thread)) attributes.push_back({"thread.id", static_cast<double>(*tid)});
    bool is_first = true;
    for (const SpanAttribute& attribute : attributes) {
      out += fmt::format(R"({}{{"key":{},"value":{{{}}}}})", is_first ? "" : ",", json_text(attribute.key),
                         value_json(attribute));
      is_first = false;
    }
    return out + "],\"status\":{}}";
  }

  std::optional<std::int64_t> tid_of(run::ThreadId id) {
    if (threads_.empty()) {
      for (const run::Thread& thread : run_.threads()) threads_.emplace(thread.id, thread.tid);
    }
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
  const std::vector<run::Span>& spans_;
  std::map<std::pair<run::ProcessId, std::int64_t>, std::size_t> places_;
  std::vector<Ids> ids_;
  std::map<run::ThreadId, std::int64_t> threads_;
};

}  // namespace

std::string to_otlp_json(run::Reader& run, const Filter& filter, std::vector<std::string>& notes) {
  ChosenSpans chosen = spans_of(run, filter);
  if (chosen.left_out > 0) notes.push_back(note_of_spans(chosen.spans.size(), chosen.left_out));
  std::vector<run::Span>& spans = chosen.spans;
  std::erase_if(spans, [](const run::Span& span) { return !span.ended_ns; });
  if (run.error()) throw SliceError(run.error()->sentence);
  if (spans.empty())
    throw SliceError(
        fmt::format("{}: nothing to export for spans {}: the program ended no span there; camprobe.h "
                    "shows how to mark one",
                    run.path(), filter.words));
  return Exporter(run, spans).write();
}

}  // namespace camprobe::exporters
