// exporters/report_markdown.cc
#include "exporters/report_markdown.h"

#include <fmt/format.h>

#include <algorithm>

#include "exporters/safe_text.h"
#include "run/units.h"

namespace camprobe::exporters {

using run::in_bytes;
using run::in_count;
using run::in_seconds;
using run::in_unit;

std::string markdown_text(std::string_view text, std::size_t most_characters) {
  std::string out;
  for (const char c : shortened(printable_utf8(text), most_characters)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '@':  // no mention of a user who has nothing to do with it
        out += "&#64;";
        break;
      case '|':
      case '\\':
      case '`':
      case '*':
      case '_':
      case '[':
      case ']':
      case '#':
      case '~':
      case '!':
        out += '\\';
        out += c;
        break;
      default:
        out += c;
    }
  }
  return out;
}

// HTML's <code>, because a backtick span cannot hold every name, and inside a table not even a bar.
std::string markdown_code(std::string_view text, std::size_t most_characters) {
  return "<code>" + markdown_text(text, most_characters) + "</code>";
}

namespace {

constexpr std::size_t kRoomForTheLastLine = 200;
constexpr std::size_t kMostBytesOfGates = 30'000;

std::string ms_text(const std::optional<double>& ms) {
  return ms ? in_seconds(*ms / 1e3) : "-";
}

// Failed ones first, so that what does not fit are passed ones.
std::string gates_section(const run::Report& r) {
  std::string out = "### Gates\n\n| | gate | value | limit |\n|---|---|---|---|\n";
  std::size_t left_out = 0;
  for (const bool passed : {false, true}) {
    for (const run::ReportGate& g : r.gates) {
      if (g.passed != passed) continue;
      if (out.size() > kMostBytesOfGates) {
        ++left_out;
        continue;
      }
      std::string limit;
      if (g.min) limit += "&ge; " + in_unit(*g.min, g.unit);
      if (g.max) limit += (limit.empty() ? "" : ", ") + ("&le; " + in_unit(*g.max, g.unit));
      const std::string mark = g.passed ? (g.state == "missing" ? "unknown" : "pass") : "**FAIL**";
      const std::string value = g.state == "missing" ? markdown_text(g.text, 160)
                                : g.value            ? in_unit(*g.value, g.unit)
                                                     : "-";
      out += fmt::format("| {} | {} | {} | {} |\n", mark, markdown_text(g.name, 160), value, limit);
    }
  }
  if (left_out > 0) out += fmt::format("\n_{} more gates are not listed._\n", left_out);
  return out + "\n";
}

std::string estimate_text(const run::Estimate& e) {
  if (e.low == e.high) return in_unit(e.value, e.unit);
  return fmt::format("{} (95 %: {} to {})", in_unit(e.value, e.unit), in_unit(e.low, e.unit), in_unit(e.high, e.unit));
}

std::string finding_section(const run::Finding& f) {
  std::string out = fmt::format("#### {}: {}\n\n", f.confirmed ? f.kind : f.verdict, markdown_text(f.title));
  const auto item = [&](const char* head, const std::string& text) {
    if (!text.empty()) out += fmt::format("- {}: {}\n", head, text);
  };
  if (f.per_1000_requests) item("per 1,000 requests", estimate_text(*f.per_1000_requests));
  if (f.before && f.after) item("early, late", estimate_text(*f.before) + ", " + estimate_text(*f.after));
  if (f.since) {
    item("since", f.since->from_start ? "the start" : fmt::format("{} of the run", run::at_time(f.since->at_s)));
  }
  if (f.forecast) item("forecast", markdown_text(f.forecast->text));
  for (const run::ReportEvidence& e : f.evidence) item("because", markdown_text(e.text));
  item("next", markdown_text(f.advice, 600));
  if (!f.where.stack.empty()) {
    out += "\n<details><summary>stack</summary>\n\n<pre>\n";
    for (std::size_t i = 0; i < f.where.stack.size() && i < 30; ++i) {
      const run::ReportFrame& frame = f.where.stack[i];
      out += xml_text(shortened(frame.function, 200));
      if (!frame.file.empty())
        out += "  " + xml_text(shortened(frame.file, 200)) + (frame.line ? ":" + std::to_string(*frame.line) : "");
      out += "\n";
    }
    if (f.where.stack.size() > 30) out += fmt::format("... and {} more\n", f.where.stack.size() - 30);
    out += "</pre>\n</details>\n";
  }
  return out + "\n";
}

std::string load_section(const run::Report& r) {
  std::string out = "### Load\n\n| part | requests | errors | p50 | p95 | p99 |\n|---|---:|---:|---:|---:|---:|\n";
  const auto row = [&](const std::string& name, std::uint64_t requests, std::uint64_t errors,
                       const run::ReportQuantiles& q) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", name, in_count(static_cast<double>(requests)),
                       in_count(static_cast<double>(errors)), ms_text(q.p50), ms_text(q.p95), ms_text(q.p99));
  };
  row("all", r.load.requests, r.load.errors, r.load.latency);
  for (std::size_t i = 0; i < r.load.windows.size() && i < 20; ++i) {
    const auto& w = r.load.windows[i];
    row("window " + markdown_text(w.name.empty() ? w.kind : w.name, 80), w.requests, w.errors, w.latency);
  }
  if (r.load.endpoints.size() > 1) {
    for (std::size_t i = 0; i < r.load.endpoints.size() && i < 20; ++i) {
      const auto& e = r.load.endpoints[i];
      row(markdown_code(e.endpoint, 80), e.requests, e.errors, e.latency);
    }
  }
  return out + "\n";
}

std::string cam_section(const run::ReportCam& cam) {
  std::string out;
  const auto timed = [&](const char* name, const std::optional<run::ReportQuantiles>& q) {
    if (q)
      out += fmt::format("| {} | p50 {}, p95 {}, p99 {} |\n", name, ms_text(q->p50), ms_text(q->p95), ms_text(q->p99));
  };
  timed("decision time", cam.arbitration);
  timed("consensus time", cam.consensus);
  if (cam.provider_switch_rate)
    out += fmt::format("| provider switch rate | {} |\n", run::in_percent(*cam.provider_switch_rate));
  if (cam.cost_optimization_rate)
    out += fmt::format("| cost optimization rate | {} |\n", run::in_percent(*cam.cost_optimization_rate));
  return out.empty() ? "" : "### Arbitration\n\n| | |\n|---|---|\n" + out + "\n";
}

std::string top_section(const char* title, const std::vector<run::ReportStack>& top, bool bytes) {
  if (top.empty()) return "";
  std::string out = fmt::format("<details><summary>{}</summary>\n\n| function | share | |\n|---|---:|---:|\n", title);
  for (std::size_t i = 0; i < top.size() && i < 10; ++i) {
    out += fmt::format(
        "| {} | {} | {} |\n", markdown_code(top[i].stack.empty() ? "[unknown]" : top[i].stack.front().function, 120),
        run::in_percent(top[i].share), bytes ? in_bytes(top[i].weight) : in_seconds(top[i].weight / 1e9));
  }
  return out + "\n</details>\n\n";
}

std::string untold_section(const run::Report& r) {
  std::string out;
  for (const std::string& sentence : r.analysis.not_judged) out += "- " + markdown_text(sentence, 600) + "\n";
  for (const run::ReportLost& lost : r.lost)
    out +=
        fmt::format("- {} records lost: {}\n", in_count(static_cast<double>(lost.records)), markdown_text(lost.kind));
  return out.empty() ? "" : "### What could not be told\n\n" + out + "\n";
}

}  // namespace

void MarkdownPage::add(const std::string& section) {
  if (left_out_ == 0 && text_.size() + section.size() + kRoomForTheLastLine <= kMostMarkdownBytes) {
    text_ += section;
  } else if (!section.empty()) {
    ++left_out_;
  }
}

std::string MarkdownPage::take() {
  if (left_out_ > 0)
    text_ += fmt::format("_{} more sections do not fit here; `camprobe report` shows all._\n", left_out_);
  return std::move(text_);
}

std::string gates_markdown(const run::Report& report) {
  MarkdownPage page;
  const auto failed =
      std::count_if(report.gates.begin(), report.gates.end(), [](const auto& gate) { return !gate.passed; });
  page.add(failed == 0 ? fmt::format("## PASS: all {} gates\n\n", report.gates.size())
                       : fmt::format("## FAIL: {} of {} gates not passed\n\n", failed, report.gates.size()));
  page.add(gates_section(report));
  return page.take();
}

std::string report_markdown(const run::Report& r) {
  MarkdownPage page;
  const char* word = r.verdict == "fail" ? "FAIL" : r.verdict == "pass" ? "PASS" : "INCONCLUSIVE";
  std::string command;
  for (const std::string& part : r.run.command) command += (command.empty() ? "" : " ") + part;
  page.add(fmt::format("## {}: {}\n\n{}, {}\n\n", word, markdown_text(r.summary, 1500),
                       markdown_code(command.empty() ? r.run.file : command), in_seconds(r.run.seconds)));
  if (!r.gates.empty()) page.add(gates_section(r));
  std::string findings = r.findings.empty() ? "" : "### Findings\n\n";
  page.add(findings);
  for (const run::Finding& f : r.findings) page.add(finding_section(f));
  if (r.load.requests > 0) page.add(load_section(r));
  page.add(cam_section(r.cam));
  page.add(untold_section(r));
  page.add(top_section("Where the CPU time goes", r.top_cpu, false));
  page.add(top_section("What allocates most", r.top_allocated, true));
  page.add(top_section("What holds most at the end", r.top_live, true));
  page.add(fmt::format("<sub>Judged from {} to {} (warm-up to {}), thresholds {}, camprobe {}</sub>\n",
                       run::at_time(r.analysis.from_s), run::at_time(r.analysis.to_s),
                       run::at_time(r.analysis.warm_up_s), r.analysis.thresholds_version,
                       markdown_text(r.run.camprobe_version)));
  return page.take();
}

}  // namespace camprobe::exporters
