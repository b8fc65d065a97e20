// collector/load/describe.cc: see describe.h.
#include "collector/load/describe.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace camprobe::load {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostRowsShown = 12;

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json time_or_null(const std::optional<WallTime>& time) {
  return time ? ordered_json(to_rfc3339(*time)) : ordered_json(nullptr);
}

// Three digits behind the point: a microsecond.
std::optional<double> rounded(std::optional<double> ms) {
  return ms ? std::optional(std::round(*ms * 1000) / 1000) : std::nullopt;
}

// Texts come from files that others wrote: control characters would move a reader's terminal, and JSON is UTF-8.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

std::string valid_utf8(const std::string& text) {
  const std::string quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

std::string milliseconds(std::optional<double> ms) {
  if (!ms) return "unknown";
  return fmt::format("{:.{}f} ms", *ms, *ms < 10 ? 2 : *ms < 100 ? 1 : 0);
}

std::string count_text(const std::optional<std::uint64_t>& count) {
  return count ? fmt::format("{}", *count) : "unknown";
}

std::string duration_text(Nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.1f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string errors_text(const LoadTimeline& timeline) {
  std::string text = count_text(timeline.errors);
  if (timeline.errors && timeline.requests && *timeline.requests > 0) {
    text += fmt::format(" ({:.2f} %)",
                        100.0 * static_cast<double>(*timeline.errors) / static_cast<double>(*timeline.requests));
  }
  return text;
}

std::string endpoints_text(const LoadTimeline& timeline) {
  std::string text;
  for (std::size_t i = 0; i < timeline.endpoints.size(); ++i) {
    if (i == kMostRowsShown) {
      return text + fmt::format("            and {} more\n", timeline.endpoints.size() - i);
    }
    LoadCell sum;
    for (const LoadBucket& bucket : timeline.buckets) {
      for (const auto& [endpoint, cell] : bucket.endpoints) {
        if (endpoint != i) continue;
        sum.requests += cell.requests;
        sum.errors += cell.errors;
        sum.latency.merge(cell.latency);
      }
    }
    if (timeline.buckets.empty()) {  // one summary: what it says is of this endpoint
      text += fmt::format("{:<12}{}\n", i == 0 ? "endpoints" : "", printable(timeline.endpoints[i]));
      continue;
    }
    text +=
        fmt::format("{:<12}{}: {} requests", i == 0 ? "endpoints" : "", printable(timeline.endpoints[i]), sum.requests);
    if (timeline.errors) text += fmt::format(", {} errors", sum.errors);
    if (const auto p95 = sum.latency.quantile(0.95)) {
      text += fmt::format(", p95 {}", milliseconds(static_cast<double>(*p95) / 1e6));
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string describe_text(const LoadTimeline& timeline) {
  std::string text = fmt::format("{:<12}{}\n", "tool", timeline.tool);
  text += fmt::format("{:<12}{}\n", "requests", count_text(timeline.requests));
  text += fmt::format("{:<12}{}\n", "errors", errors_text(timeline));
  for (std::size_t i = 0; i < timeline.error_kinds.size() && i < kMostRowsShown; ++i) {
    text +=
        fmt::format("            {} x {}\n", timeline.error_kinds[i].count, printable(timeline.error_kinds[i].kind));
  }
  if (timeline.error_kinds.size() > kMostRowsShown) {
    text += fmt::format("            and {} more kinds\n", timeline.error_kinds.size() - kMostRowsShown);
  }
  if (timeline.start && timeline.end) {
    text += fmt::format("{:<12}{} to {} ({})\n", "time", to_rfc3339(*timeline.start), to_rfc3339(*timeline.end),
                        duration_text(*timeline.end - *timeline.start));
  } else if (timeline.duration) {
    text += fmt::format("{:<12}{}, at a time that the tool does not tell\n", "time", duration_text(*timeline.duration));
  } else {
    text += fmt::format("{:<12}unknown\n", "time");
  }
  if (const auto q = timeline.quantiles()) {
    text +=
        fmt::format("{:<12}p50 {}, p95 {}, p99 {}, max {} ({}counted from when a request was {})\n", "latency",
                    milliseconds(q->p50_ms), milliseconds(q->p95_ms), milliseconds(q->p99_ms), milliseconds(q->max_ms),
                    timeline.latency.empty() ? "as the tool printed them, " : "", to_string(timeline.latency_basis));
  } else {
    text += fmt::format("{:<12}unknown\n", "latency");
  }
  text += endpoints_text(timeline);
  for (std::size_t i = 0; i < timeline.phases.size() && i < kMostRowsShown; ++i) {
    const LoadPhase& phase = timeline.phases[i];
    const std::string kind = phase.kind == phase.name || phase.kind == "load" ? "" : fmt::format(" ({})", phase.kind);
    text += fmt::format("{:<12}{}{}: {} to {} ({})\n", i == 0 ? "phases" : "", printable(phase.name), kind,
                        to_rfc3339(phase.from), to_rfc3339(phase.to), duration_text(phase.to - phase.from));
  }
  if (timeline.phases.size() > kMostRowsShown) {
    text += fmt::format("            and {} more\n", timeline.phases.size() - kMostRowsShown);
  }
  for (const std::string& note : timeline.notes) text += fmt::format("{:<12}{}\n", "note", printable(note));
  if (timeline.skipped.rows > 0 || !timeline.skipped.why.empty()) {
    text += fmt::format("{:<12}{} rows\n", "skipped", timeline.skipped.rows);
    for (const std::string& why : timeline.skipped.why) text += fmt::format("            {}\n", printable(why));
    if (timeline.skipped.rows > timeline.skipped.why.size()) text += "            and more\n";
  }
  return text;
}

ordered_json describe_json(const LoadTimeline& timeline) {
  ordered_json json;
  json["tool"] = timeline.tool;
  json["requests"] = or_null(timeline.requests);
  json["errors"] = or_null(timeline.errors);
  json["start"] = time_or_null(timeline.start);
  json["end"] = time_or_null(timeline.end);
  json["latency_ms"] = nullptr;
  if (const auto q = timeline.quantiles()) {
    json["latency_ms"] = {{"p50", or_null(rounded(q->p50_ms))},
                          {"p95", or_null(rounded(q->p95_ms))},
                          {"p99", or_null(rounded(q->p99_ms))},
                          {"max", or_null(rounded(q->max_ms))}};
  }
  json["phases"] = ordered_json::array();
  for (const LoadPhase& phase : timeline.phases) {
    json["phases"].push_back({{"name", valid_utf8(phase.name)},
                              {"kind", phase.kind},
                              {"from", to_rfc3339(phase.from)},
                              {"to", to_rfc3339(phase.to)}});
  }
  json["skipped"]["rows"] = timeline.skipped.rows;
  json["skipped"]["why"] = ordered_json::array();
  for (const std::string& why : timeline.skipped.why) json["skipped"]["why"].push_back(valid_utf8(why));
  json["latency_basis"] = to_string(timeline.latency_basis);
  json["latency_source"] = timeline.latency.empty() ? (timeline.given ? "quantiles of the tool" : "none") : "histogram";
  json["duration_s"] = timeline.duration ? ordered_json(std::chrono::duration<double>(*timeline.duration).count())
                       : timeline.start && timeline.end
                           ? ordered_json(std::chrono::duration<double>(*timeline.end - *timeline.start).count())
                           : ordered_json(nullptr);
  json["error_kinds"] = ordered_json::array();
  for (const ErrorKind& kind : timeline.error_kinds) {
    json["error_kinds"].push_back({{"kind", valid_utf8(kind.kind)}, {"count", kind.count}});
  }
  json["notes"] = ordered_json::array();
  for (const std::string& note : timeline.notes) json["notes"].push_back(valid_utf8(note));
  return json;
}

}  // namespace camprobe::load
