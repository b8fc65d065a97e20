// exporters/report_text.cc
#include "exporters/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "exporters/safe_text.h"
#include "run/units.h"

namespace camprobe::exporters {

using run::at_time;
using run::in_bytes;
using run::in_count;
using run::in_percent;
using run::in_seconds;
using run::in_unit;

namespace {

constexpr const char* kRed = "\x1b[1;31m";
constexpr const char* kGreen = "\x1b[1;32m";
constexpr const char* kYellow = "\x1b[1;33m";
constexpr const char* kBold = "\x1b[1m";
constexpr const char* kFaint = "\x1b[2m";
constexpr const char* kReset = "\x1b[0m";

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The first `n` characters of valid UTF-8, in bytes.
std::size_t bytes_of(std::string_view utf8, std::size_t n) {
  std::size_t at = 0;
  for (; at < utf8.size(); ++at) {
    if ((static_cast<unsigned char>(utf8[at]) & 0xC0) != 0x80 && n-- == 0) break;
  }
  return at;
}

// Words onto lines of at most `width`; a word that is longer than a line is cut where the line ends.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t used = 0;
  const auto flush = [&] {
    lines.push_back(line);
    line.clear();
    used = 0;
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t begin = text.find_first_not_of(' ', at);
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    std::string_view word = text.substr(begin, end - begin);
    at = end;
    std::size_t length = characters(word);
    if (used > 0 && used + 1 + length > width) flush();
    while (length > width) {
      const std::size_t cut = bytes_of(word, width);
      line = word.substr(0, cut);
      flush();
      word.remove_prefix(cut);
      length = characters(word);
    }
    if (used > 0) line += ' ', ++used;
    line += word;
    used += length;
  }
  if (used > 0) flush();
  return lines;
}

class Page {
 public:
  explicit Page(const TextStyle& style) : width_(std::max<std::size_t>(style.width, 40)), colour_(style.colour) {}

  std::size_t width() const { return width_; }
  std::string take() { return std::move(text_); }
  void gap() { text_ += '\n'; }

  std::string painted(const std::string& text, const char* colour) const {
    return colour_ && colour != nullptr ? colour + text + kReset : text;
  }

  // `head` stands left of the first line, the others begin below the text that follows it.
  void paragraph(const std::string& head, const std::string& text, std::size_t indent,
                 const char* head_colour = nullptr, const char* colour = nullptr) {
    const std::string safe = printable_utf8(text);
    indent = std::min(indent, width_ - 20);
    const std::vector<std::string> lines = wrapped(safe, width_ - indent);
    const bool head_alone = !head.empty() && characters(head) >= indent;  // no room beside it
    if (head_alone) text_ += painted(head, head_colour) + "\n";
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool beside = i == 0 && !head_alone;
      text_ +=
          beside ? painted(head, head_colour) + std::string(indent - characters(head), ' ') : std::string(indent, ' ');
      text_ += painted(lines[i], colour) + "\n";
    }
  }

  void heading(const std::string& text) {
    gap();
    paragraph("", text, 0, nullptr, kBold);
  }

  // The first column takes the room that is left, cut with an ellipsis; the others are as wide as they must be, and the
  // last ones go where there is no room.
  void table(std::vector<std::vector<std::string>> rows) {
    if (rows.empty()) return;
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (auto& row : rows) {
      for (std::size_t c = 0; c < row.size(); ++c) {
        row[c] = printable_utf8(row[c]);
        widths[c] = std::max(widths[c], characters(row[c]));
      }
    }
    std::size_t columns = widths.size(), taken = 0;
    for (std::size_t c = 1; c < columns; ++c) taken += widths[c] + 2;
    while (columns > 1 && taken + 2 + 16 > width_) taken -= widths[--columns] + 2;
    const std::size_t first = std::min(widths[0], width_ - 2 - taken);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::string name = shortened(rows[r][0], first);
      std::string line = "  " + name;
      if (columns > 1) line += std::string(first - std::min(first, characters(name)), ' ');
      for (std::size_t c = 1; c < columns; ++c) {
        line += std::string(2 + widths[c] - characters(rows[r][c]), ' ') + rows[r][c];
      }
      while (!line.empty() && line.back() == ' ') line.pop_back();
      text_ += painted(line, r == 0 ? kFaint : nullptr) + "\n";
    }
  }

 private:
  std::size_t width_;
  bool colour_;
  std::string text_;
};

// Template arguments run to pages: functions are cut, files and lines never.
std::string frame_text(const run::ReportFrame& frame, std::size_t characters_of_function) {
  std::string text = shortened(printable_utf8(frame.function), characters_of_function);
  if (!frame.file.empty()) {
    text += "  " + frame.file.substr(frame.file.rfind('/') == std::string::npos ? 0 : frame.file.rfind('/') + 1);
    if (frame.line) text += ":" + std::to_string(*frame.line);
  } else if (!frame.module.empty()) {
    text += "  [" +
            frame.module.substr(frame.module.rfind('/') == std::string::npos ? 0 : frame.module.rfind('/') + 1) + "]";
  }
  return text;
}

std::string interval_text(const run::Estimate& e) {
  if (e.low == e.high) return in_unit(e.value, e.unit);
  return fmt::format("{} (95 %: {} to {})", in_unit(e.value, e.unit), in_unit(e.low, e.unit), in_unit(e.high, e.unit));
}

const char* verdict_word(const run::Finding& f) {
  if (f.verdict == "leaks") return f.kind == "degradation" ? "WORSE" : "LEAK";
  if (f.verdict == "step") return f.kind == "degradation" ? "WORSE" : "step";
  if (f.verdict == "saturating") return "fills";
  if (f.verdict == "inconclusive") return "open";
  return "fine";
}

std::string ms_text(const std::optional<double>& ms) {
  return ms ? in_seconds(*ms / 1e3) : "-";
}

void write_finding(Page& page, const run::Finding& f, std::size_t number) {
  const char* colour = f.confirmed ? kRed : f.verdict == "inconclusive" ? kYellow : nullptr;
  page.gap();
  page.paragraph(fmt::format("{}. {}", number, verdict_word(f)), f.title, 11, colour, kBold);
  constexpr std::size_t kIndent = 14;
  const auto line = [&](const char* label, const std::string& text) {
    if (!text.empty()) page.paragraph(fmt::format("   {}", label), text, kIndent, kFaint);
  };
  if (f.before && f.after)
    line("how much",
         fmt::format("{} early, {} late", in_unit(f.before->value, f.before->unit), interval_text(*f.after)));
  if (f.per_1000_requests) {
    line("how much", interval_text(*f.per_1000_requests) + " per 1,000 requests" +
                         (f.per_hour ? "; " + in_unit(f.per_hour->value, f.per_hour->unit) + " an hour" : ""));
  } else if (f.per_hour) {
    line("how much", interval_text(*f.per_hour) + " an hour");
  }
  if (f.since) {
    std::string since = f.since->from_start ? "the start" : at_time(f.since->at_s);
    const std::string low = at_time(f.since->low_s), high = at_time(f.since->high_s);
    if (!f.since->from_start && (low != since || high != since)) since += fmt::format(" (95 %: {} to {})", low, high);
    if (f.since->until_s) since += ", until " + at_time(*f.since->until_s);
    if (!f.since->window.empty() && !f.since->from_start) since += ", in load window " + f.since->window;
    line("since", since);
  }
  std::string where;
  for (std::size_t i = 0; i < f.where.stack.size() && i < 5; ++i) {
    page.paragraph(i == 0 ? "   where" : "", (i == 0 ? "" : "< ") + frame_text(f.where.stack[i], 90), kIndent, kFaint);
  }
  if (f.where.stack.size() > 5) page.paragraph("", fmt::format("< {} more", f.where.stack.size() - 5), kIndent);
  line("endpoint", f.where.endpoint);
  line("span", f.where.span);
  line("peer", f.where.peer);
  for (std::size_t i = 0; i < f.evidence.size(); ++i) line(i == 0 ? "because" : "", f.evidence[i].text);
  if (f.forecast) line("forecast", f.forecast->text);
  line("next", f.advice);
  if (f.needs_seconds)
    line("to know", fmt::format("a run of {} under the same load would tell", in_seconds(*f.needs_seconds)));
  if (f.verdict != "inconclusive") line("sure", in_percent(f.confidence));
}

std::string setting_text(const std::string& name, double value) {
  if (value <= 0) return "off";
  if (name == "cpu_hz") return fmt::format("{:g} Hz", value);
  return "every " + (name == "heap_interval_bytes" ? in_bytes(value) : in_seconds(value / 1e9));
}

// "every 32 KiB to 0:04, every 64 KiB to 0:20, then every 32 KiB".
std::string held_text(const run::ReportHeld& held) {
  constexpr std::size_t kListed = 8;
  const std::vector<run::ReportStretch>& stretches = held.stretches;
  if (stretches.empty()) return "";
  if (stretches.size() > kListed || held.left_out > 0) {
    double least = stretches.front().value, most = least, whole = 0;
    std::map<double, double> seconds;
    for (const run::ReportStretch& s : stretches) {
      least = std::min(least, s.value), most = std::max(most, s.value);
      seconds[s.value] += s.to_s - s.from_s;
      whole += s.to_s - s.from_s;
    }
    const auto usual = std::max_element(seconds.begin(), seconds.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
    return fmt::format("{} for {} of the time, from {} to {} in {} stretches (--format json lists them)",
                       setting_text(held.name, usual->first), in_percent(whole > 0 ? usual->second / whole : 1),
                       setting_text(held.name, least), setting_text(held.name, most), stretches.size() + held.left_out);
  }
  std::string text;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const std::string value = setting_text(held.name, stretches[i].value);
    const bool is_last = i + 1 == stretches.size();
    text += (i == 0 ? "" : is_last ? ", then " : ", ") + value;
    if (!is_last) text += " to " + at_time(stretches[i].to_s);
  }
  return text;
}

// What resident memory was made of, of the first few processes.
void write_memory(Page& page, const run::Report& r) {
  constexpr std::size_t kMostProcesses = 4;
  std::size_t shown = 0;
  for (const run::ReportProcess& p : r.processes) {
    if (!p.memory || (!p.memory->live && !p.memory->retained) || ++shown > kMostProcesses) continue;
    const run::ReportMemory& m = *p.memory;
    std::string text = in_bytes(m.resident) + " resident:";
    if (m.live) text += fmt::format(" {} live,", in_bytes(*m.live));
    if (m.retained)
      text += fmt::format(" {} kept by {}{},", in_bytes(*m.retained), m.allocator.empty() ? "malloc" : m.allocator,
                          m.retained_is_told ? "" : " (what it holds less what is live)");
    if (m.mappings && *m.mappings > 0) text += fmt::format(" {} mapped,", in_bytes(*m.mappings));
    if (m.stacks) text += fmt::format(" {} stacks,", in_bytes(*m.stacks));
    if (m.rest)
      text += fmt::format(" {} {},", in_bytes(*m.rest), m.stacks ? "code and the rest" : "code, stacks and the rest");
    text.back() = '.';
    page.paragraph("  pid " + std::to_string(p.pid), text, 14);
  }
}

// Which intervals held when, and what the probe took.
void write_sampling(Page& page, const run::Report& r) {
  constexpr std::size_t kMostProcesses = 4;
  std::size_t shown = 0;
  for (const run::ReportProcess& p : r.processes) {
    if (p.settings.empty() || shown == kMostProcesses) continue;
    if (++shown == 1) page.heading("Sampling");
    const auto line = [&](const char* label, const std::string& text) {
      if (!text.empty()) page.paragraph(fmt::format("  {}", label), text, 14, kFaint);
    };
    line("pid", std::to_string(p.pid));
    for (const run::ReportHeld& held : p.settings) {
      if (held.name == "heap_interval_bytes") line("heap", held_text(held));
      if (held.name == "cpu_hz") line("CPU", held_text(held));
      if (held.name == "wait_interval_ns") line("waiting", held_text(held));
    }
    if (p.probe_cpu_share) {
      line("probe", fmt::format("{} of the process's CPU time by its own measure{}", in_percent(*p.probe_cpu_share),
                                p.probe_budget ? ", budget " + in_percent(*p.probe_budget) : ""));
    }
  }
}

void write_gates(Page& page, const run::Report& r) {
  for (const bool passed : {false, true}) {
    for (const run::ReportGate& gate : r.gates) {
      if (gate.passed != passed) continue;
      page.paragraph(passed ? "  pass" : "  FAIL", gate.name, 8, passed ? kGreen : kRed);
      page.paragraph("", gate.text, 8, nullptr, kFaint);
    }
  }
}

void write_tables(Page& page, const run::Report& r) {
  if (!r.load.windows.empty()) {
    page.heading("Load");
    std::vector<std::vector<std::string>> rows = {{"window", "from", "requests", "errors", "p50", "p95", "p99"}};
    for (const auto& w : r.load.windows) {
      rows.push_back({w.name.empty() ? w.kind : w.name, at_time(w.from_s), in_count(static_cast<double>(w.requests)),
                      in_count(static_cast<double>(w.errors)), ms_text(w.latency.p50), ms_text(w.latency.p95),
                      ms_text(w.latency.p99)});
    }
    page.table(std::move(rows));
  }
  if (r.load.endpoints.size() > 1) {
    page.heading("Endpoints");
    std::vector<std::vector<std::string>> rows = {{"endpoint", "requests", "errors", "p50", "p95", "p99"}};
    for (std::size_t i = 0; i < r.load.endpoints.size() && i < 10; ++i) {
      const auto& e = r.load.endpoints[i];
      rows.push_back({e.endpoint, in_count(static_cast<double>(e.requests)), in_count(static_cast<double>(e.errors)),
                      ms_text(e.latency.p50), ms_text(e.latency.p95), ms_text(e.latency.p99)});
    }
    page.table(std::move(rows));
  }
  const run::ReportCam& cam = r.cam;
  if (cam.arbitration || cam.consensus || cam.provider_switch_rate || cam.cost_optimization_rate) {
    page.heading("Arbitration");
    const auto timed = [&](const char* name, const std::optional<run::ReportQuantiles>& q) {
      if (!q) return;
      page.paragraph(std::string("  ") + name,
                     fmt::format("p50 {}, p95 {}, p99 {} ({})", ms_text(q->p50), ms_text(q->p95), ms_text(q->p99),
                                 in_count(static_cast<double>(q->count))),
                     26);
    };
    timed("decision time", cam.arbitration);
    timed("consensus time", cam.consensus);
    if (cam.provider_switch_rate) page.paragraph("  provider switch rate", in_percent(*cam.provider_switch_rate), 26);
    if (cam.cost_optimization_rate)
      page.paragraph("  cost optimization rate", in_percent(*cam.cost_optimization_rate), 26);
  }
  if (!r.top_cpu.empty()) {
    page.heading("Where the CPU time goes");
    std::vector<std::vector<std::string>> rows = {{"function", "share", "time"}};
    for (std::size_t i = 0; i < r.top_cpu.size() && i < 5; ++i) {
      const auto& s = r.top_cpu[i];
      rows.push_back({s.stack.empty() ? "[unknown]" : frame_text(s.stack.front(), page.width() / 2),
                      in_percent(s.share), in_seconds(s.weight / 1e9)});
    }
    page.table(std::move(rows));
  }
  const auto bytes_table = [&](const char* title, const std::vector<run::ReportStack>& stacks) {
    if (stacks.empty()) return;
    page.heading(title);
    std::vector<std::vector<std::string>> rows = {{"function", "share", "bytes"}};
    for (std::size_t i = 0; i < stacks.size() && i < 5; ++i) {
      rows.push_back({stacks[i].stack.empty() ? "[unknown]" : frame_text(stacks[i].stack.front(), page.width() / 2),
                      in_percent(stacks[i].share), in_bytes(stacks[i].weight)});
    }
    page.table(std::move(rows));
  };
  bytes_table("What allocates most", r.top_allocated);
  bytes_table("What holds most at the end", r.top_live);
  if (!r.sockets.empty()) {
    page.heading("Sockets");
    std::vector<std::vector<std::string>> rows = {{"peer", "kind", "read", "written", "opened", "open"}};
    for (std::size_t i = 0; i < r.sockets.size() && i < 8; ++i) {
      const auto& p = r.sockets[i];
      rows.push_back({p.peer, p.kind, in_bytes(static_cast<double>(p.read_bytes)),
                      in_bytes(static_cast<double>(p.write_bytes)), in_count(static_cast<double>(p.opened)),
                      in_count(static_cast<double>(p.still_open))});
    }
    page.table(std::move(rows));
  }
  if (!r.spans.empty()) {
    page.heading("Spans");
    std::vector<std::vector<std::string>> rows = {{"span", "count", "p50", "p95", "p99"}};
    for (std::size_t i = 0; i < r.spans.size() && i < 8; ++i) {
      const auto& s = r.spans[i];
      rows.push_back({s.name, in_count(static_cast<double>(s.latency.count)), ms_text(s.latency.p50),
                      ms_text(s.latency.p95), ms_text(s.latency.p99)});
    }
    page.table(std::move(rows));
  }
  if (!r.processes.empty()) {
    page.heading("Processes");
    std::vector<std::vector<std::string>> rows = {{"process", "pid", "CPU", "RSS peak", "probe", "ended"}};
    for (std::size_t i = 0; i < r.processes.size() && i < 12; ++i) {
      const auto& p = r.processes[i];
      std::string ended = p.ended_how;
      if (p.exit_status) ended += " " + std::to_string(*p.exit_status);
      rows.push_back({p.command.empty() ? p.executable : p.command, std::to_string(p.pid),
                      p.cpu_seconds ? in_seconds(*p.cpu_seconds) : "-",
                      p.peak_rss_bytes ? in_bytes(*p.peak_rss_bytes) : "-", p.probe_state, ended});
    }
    page.table(std::move(rows));
    write_memory(page, r);
    constexpr std::size_t kMostNotes = 6;
    std::size_t notes = 0;
    for (const auto& p : r.processes) {
      if (p.note.empty() || ++notes > kMostNotes) continue;
      page.paragraph("  pid " + std::to_string(p.pid), p.note, 14);
    }
  }
  write_sampling(page, r);
}

}  // namespace

std::string report_text(const run::Report& r, const TextStyle& style) {
  Page page(style);
  const char* word = r.verdict == "fail" ? "FAIL" : r.verdict == "pass" ? "PASS" : "INCONCLUSIVE";
  const char* colour = r.verdict == "fail" ? kRed : r.verdict == "pass" ? kGreen : kYellow;
  page.paragraph(word, r.summary, characters(word) + 2, colour, kBold);
  std::string command;
  for (const std::string& part : r.run.command) command += (command.empty() ? "" : " ") + part;
  std::string facts =
      shortened(printable_utf8(command.empty() ? r.run.file : command), 120) + ", " + in_seconds(r.run.seconds);
  if (r.load.requests > 0) {
    facts += fmt::format(", {} requests", in_count(static_cast<double>(r.load.requests)));
    if (!r.load.tool.empty())
      facts += fmt::format(" ({}), {} errors", r.load.tool, in_count(static_cast<double>(r.load.errors)));
    if (r.load.latency.p50)
      facts += fmt::format(", p50 {} p95 {} p99 {}", ms_text(r.load.latency.p50), ms_text(r.load.latency.p95),
                           ms_text(r.load.latency.p99));
  }
  page.paragraph("", facts, 0, nullptr, kFaint);

  std::size_t number = 0;
  for (const run::Finding& f : r.findings) write_finding(page, f, ++number);

  if (!r.gates.empty()) {
    page.heading("Gates");
    write_gates(page, r);
  }
  if (!r.analysis.not_judged.empty() || !r.lost.empty() || r.load.skipped_rows > 0) {
    page.heading("What could not be told");
    for (const std::string& sentence : r.analysis.not_judged) page.paragraph("  -", sentence, 4);
    if (r.load.skipped_rows > 0) {
      page.paragraph("  -",
                     fmt::format("{} rows of the load tool's results were skipped: {}.",
                                 in_count(static_cast<double>(r.load.skipped_rows)), r.load.skipped_why),
                     4);
    }
    for (const run::ReportLost& lost : r.lost) {
      page.paragraph("  -", fmt::format("{} records lost: {}.", in_count(static_cast<double>(lost.records)), lost.kind),
                     4);
    }
  }
  write_tables(page, r);
  page.gap();
  std::string judged = fmt::format("Judged from {} to {} (warm-up to {}), {} stacks, thresholds {}.",
                                   at_time(r.analysis.from_s), at_time(r.analysis.to_s), at_time(r.analysis.warm_up_s),
                                   in_count(static_cast<double>(r.analysis.stacks)), r.analysis.thresholds_version);
  if (const auto& least = r.analysis.smallest_leak_per_1000_requests) {
    judged += fmt::format(" A heap leak below {} per 1,000 requests may have gone unseen.", in_bytes(least->value));
  }
  page.paragraph("", judged, 0, nullptr, kFaint);
  return page.take();
}

std::string gates_text(const run::Report& r, const TextStyle& style) {
  Page page(style);
  const auto failed = static_cast<std::size_t>(
      std::count_if(r.gates.begin(), r.gates.end(), [](const auto& gate) { return !gate.passed; }));
  const std::string summary = failed == 0 ? fmt::format("all {} gates passed", r.gates.size())
                                          : fmt::format("{} of {} gates not passed", failed, r.gates.size());
  page.paragraph(failed == 0 ? "PASS" : "FAIL", summary, 6, failed == 0 ? kGreen : kRed, kBold);
  write_gates(page, r);
  return page.take();
}

}  // namespace camprobe::exporters
